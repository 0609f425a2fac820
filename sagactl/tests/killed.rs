//! Nothing outlives a launcher that is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sagactl::client::Service;
use sagactl::stack::{Servers, Stack, StackOptions};

use stand_ins::stand_ins;

mod stand_ins;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Set for the process that is to be killed.
const LAUNCHER: &str = "ORDERSAGA_TEST_LAUNCHER";

/// What the test below runs in a process of its own, and kills. A test of nothing otherwise.
#[tokio::test]
async fn launcher() -> Outcome {
    if std::env::var_os(LAUNCHER).is_none() {
        return Ok(());
    }
    let servers = Servers::temporary(&Default::default()).await?;
    let options = StackOptions::unique().supervise(true).programs_folder(Some(stand_ins()?));
    let stack = Stack::up_on(servers.into(), options).await?;
    let first = stack.pid(Service::Order);
    stack.kill_supervised(Service::Order).await?;
    stack.ready(Service::Order).await?;
    assert_ne!(stack.pid(Service::Order), first, "started again");
    println!("\nREADY {}", stack.servers().data().display());
    std::future::pending().await
}

#[tokio::test]
async fn nothing_outlives_a_killed_launcher() -> Outcome {
    let mut launcher = Command::new(std::env::current_exe()?)
        .args(["--exact", "launcher", "--nocapture"])
        .env(LAUNCHER, "yes")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(launcher.stdout.take().ok_or("no output")?);
    let ready = |line: std::io::Result<String>| line.ok()?.strip_prefix("READY ").map(str::to_owned);
    let data = output.lines().find_map(ready).ok_or("the launcher did not start")?;

    let children = descendants(launcher.id());
    let names: Vec<String> = children.iter().filter_map(|pid| name(*pid)).collect();
    for expected in ["postgres", "beam.smp", "epmd", "order-svc", "payment-svc"] {
        assert!(names.iter().any(|it| it == expected), "{expected} runs below the launcher: {names:?}");
    }
    launcher.kill()?;
    launcher.wait()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while children.iter().any(|pid| name(*pid).is_some()) {
        let left: Vec<String> = children.iter().filter_map(|pid| name(*pid)).collect();
        assert!(Instant::now() < deadline, "still there after the launcher was killed: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }

    assert!(std::path::Path::new(&data).exists(), "nobody was left to remove it");
    drop(Servers::temporary(&Default::default()).await?);
    assert!(!std::path::Path::new(&data).exists(), "the next start removes what a killed one left");
    Ok(())
}

/// The name of a process; `None` when it is gone, or only waits to be buried.
fn name(pid: u32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |wanted: &str| status.lines().find_map(|line| line.strip_prefix(wanted)).map(str::trim);
    (!field("State:")?.starts_with('Z')).then(|| field("Name:").unwrap_or_default().to_owned())
}

fn descendants(root: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(all.iter().copied().filter(|pid| parent(*pid) == Some(found[next])).collect::<Vec<_>>());
        next += 1;
    }
    found.split_off(1)
}
