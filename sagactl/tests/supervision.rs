//! Processes that end by themselves are started again; those that were stopped are not.

use std::time::Duration;

use sagactl::client::Service;
use sagactl::stack::{Restart, Stack, StackOptions};
use tokio::time::timeout;

use stand_ins::stand_ins;

mod stand_ins;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Two replicas of a stand-in for payment-svc.
async fn supervised() -> Result<Stack, Box<dyn std::error::Error>> {
    let options = StackOptions::unique().programs_folder(Some(stand_ins()?)).only([Service::Payment]);
    Ok(Stack::up(options.replicas(Service::Payment, 2).supervise(true)).await?)
}

/// Waits for the restart log to be so.
async fn log(stack: &Stack, so: impl FnMut(&Vec<Restart>) -> bool) -> Result<Vec<Restart>, Box<dyn std::error::Error>> {
    Ok(timeout(Duration::from_secs(30), stack.follow_restarts().wait_for(so)).await??.clone())
}

async fn get(url: &str) -> reqwest::Result<String> {
    reqwest::Client::new().get(url).timeout(Duration::from_secs(1)).send().await?.text().await
}

#[tokio::test]
async fn a_killed_process_is_back_with_its_settings_and_counted() -> Outcome {
    let stack = supervised().await?;
    let second = (Service::Payment, 1);
    let before = (stack.pid(Service::Payment), stack.pid(second));
    let environment = get(&stack.url(second)?).await?;

    stack.kill_supervised(second).await?;
    let log = log(&stack, |log| log.iter().any(|it| it.ready_after_ms.is_some())).await?;
    assert_eq!(get(&stack.url(second)?).await?, environment, "same port, same settings");
    assert_eq!(stack.pid(Service::Payment), before.0, "the other replica is left alone");
    assert_ne!(stack.pid(second), before.1);
    assert_eq!((stack.restarts(Service::Payment), stack.restarts(second)), (0, 1));
    let [restart] = &log[..] else { return Err(format!("not one restart: {log:?}").into()) };
    assert_eq!((restart.instance(), restart.status.as_str()), (second.into(), "signal: 9 (SIGKILL)"));
    assert!(chrono::Utc::now() - restart.ended_at < chrono::Duration::seconds(30), "{restart:?}");
    assert_eq!(stack.record().await.restarts, log, "others find it in stack.json");
    Ok(())
}

#[tokio::test]
async fn a_process_that_ends_with_a_status_is_started_again_too() -> Outcome {
    let stack = supervised().await?;
    let url = stack.url(Service::Payment)?;
    for times in 1..=3 {
        stack.ready(Service::Payment).await?;
        let _ = get(&format!("{url}/exit")).await;
        log(&stack, |log| log.iter().filter(|it| it.ready_after_ms.is_some()).count() == times).await?;
    }
    assert!(stack.restart_log().iter().all(|it| it.status == "exit status: 3"), "{:?}", stack.restart_log());
    Ok(())
}

#[tokio::test]
async fn what_was_stopped_on_purpose_stays_so_until_it_is_started() -> Outcome {
    let stack = supervised().await?;
    stack.kill9(Service::Payment).await?;
    stack.terminate((Service::Payment, 1)).await?;
    // The supervisors have seen both ends by the time they have started another process again.
    stack.start((Service::Payment, 1)).await?;
    stack.kill_supervised((Service::Payment, 1)).await?;
    log(&stack, |log| !log.is_empty()).await?;
    assert_eq!(stack.pid(Service::Payment), None, "killed, and left so");
    assert_eq!((stack.restarts(Service::Payment), stack.restarts((Service::Payment, 1))), (0, 1));

    stack.start(Service::Payment).await?;
    assert_eq!(stack.restarts(Service::Payment), 0, "a start is no restart");
    stack.kill_supervised(Service::Payment).await?;
    log(&stack, |log| log.len() == 2).await?;
    assert!(stack.stop().await.iter().all(|(_, status)| status.to_string().contains("15")), "stop stops them");
    assert!(stack.instances().iter().all(|it| stack.pid(*it).is_none()), "and nobody starts them again");
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_down_between_two_attempts_can_be_stopped() -> Outcome {
    let stack = supervised().await?;
    // It ends at once from now on; the pauses between attempts grow.
    stack.set_env(Service::Payment, "FAIL", Some("1"))?;
    stack.kill_supervised(Service::Payment).await?;
    log(&stack, |log| log.len() >= 4).await?;
    assert!(stack.restart_log().iter().all(|it| it.ready_after_ms.is_none()), "{:?}", stack.restart_log());
    // Fails if it is caught while down, which is the point.
    let _ = stack.kill9(Service::Payment).await;
    let count = stack.restarts(Service::Payment);

    stack.set_env(Service::Payment, "FAIL", None)?;
    stack.start(Service::Payment).await?;
    assert_eq!(stack.restarts(Service::Payment), count, "started by us, not by the supervisor");
    stack.kill_supervised(Service::Payment).await?;
    let after = log(&stack, |log| log.last().is_some_and(|it| it.ready_after_ms.is_some())).await?;
    assert_eq!(after.len() as u64, count + 1);
    Ok(())
}
