//! A stack of stand-in programs on real servers: how processes are started, told, killed, frozen and found.

use std::path::PathBuf;
use std::time::Duration;

use sagactl::client::Service;
use sagactl::stack::{Program, Servers, Stack, StackError, StackOptions, StackRecord};
use tokio_postgres::config::Host;

use stand_ins::stand_ins;

mod stand_ins;

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn get(url: &str) -> reqwest::Result<String> {
    reqwest::Client::new().get(url).timeout(Duration::from_secs(1)).send().await?.text().await
}

#[tokio::test]
async fn processes_are_told_where_everything_is_and_nothing_else() -> Outcome {
    let options = StackOptions::unique().programs_folder(Some(stand_ins()?)).replicas(Service::Payment, 2);
    let stack = Stack::up(options.env(Service::Order, "DEADLINE_MS", 2000)).await?;

    let order = get(&stack.url(Service::Order)?).await?;
    for expected in [
        "DEADLINE_MS=2000".to_owned(),
        format!("AMQP_URL={}", stack.amqp_url()),
        format!("PAYMENT_URL={}", stack.url(Service::Payment)?),
        format!("INVENTORY_URL={}", stack.url(Service::Inventory)?),
    ] {
        assert!(order.lines().any(|line| line == expected), "{expected} is among\n{order}");
    }
    let told = order.lines().find_map(|line| line.strip_prefix("DATABASE_URL=")).ok_or("no DATABASE_URL")?;
    let [told, ours] = [told, stack.database_url(Service::Order)].map(str::parse::<tokio_postgres::Config>);
    let [told, ours] = [told?, ours?];
    if stack.servers().postgres_pid().await.is_some() {
        assert!(matches!(told.get_hosts(), [Host::Unix(_)]), "by the server's socket: {:?}", told.get_hosts());
    }
    assert_eq!(
        (told.get_dbname(), told.get_user(), told.get_password(), told.get_ports()),
        (ours.get_dbname(), ours.get_user(), ours.get_password(), ours.get_ports())
    );
    assert!(!order.contains("CARGO_"), "nothing of our own environment leaks:\n{order}");
    let payment = get(&stack.url((Service::Payment, 1))?).await?;
    assert!(payment.contains(&format!("PROVIDER_URL={}", stack.url(Program::SandboxProvider)?)));
    assert_ne!(stack.url(Service::Payment)?, stack.url((Service::Payment, 1))?);
    assert!(stack.url((Service::Payment, 2)).is_err());
    Ok(())
}

#[tokio::test]
async fn a_process_can_be_killed_frozen_stopped_and_started_again() -> Outcome {
    let stack =
        Stack::up(StackOptions::unique().programs_folder(Some(stand_ins()?)).only([Service::Inventory])).await?;
    let url = stack.url(Service::Inventory)?;
    assert!(stack.url(Service::Order).is_err(), "only what was asked for is started");

    let first = stack.pid(Service::Inventory);
    stack.kill9(Service::Inventory).await?;
    assert_eq!(stack.pid(Service::Inventory), None);
    assert!(get(&url).await.is_err());
    stack.set_env(Service::Inventory, "DRAIN_MS", Some("1"))?;
    stack.start(Service::Inventory).await?;
    assert!(get(&url).await?.contains("DRAIN_MS=1"), "same port, new setting");
    assert_ne!(stack.pid(Service::Inventory), first);

    stack.pause(Service::Inventory)?;
    assert!(get(&url).await.is_err_and(|error| error.is_timeout()), "a frozen process accepts and says nothing");
    stack.resume(Service::Inventory)?;
    assert!(get(&url).await.is_ok());

    let status = stack.terminate(Service::Inventory).await?;
    assert!(status.to_string().contains("15"), "the stand-in does not catch SIGTERM: {status}");
    stack.start(Service::Inventory).await?;
    let _ = get(&format!("{url}/exit")).await;
    assert_eq!(stack.ended(Service::Inventory).await?.code(), Some(3));
    Ok(())
}

#[tokio::test]
async fn a_program_that_ends_while_starting_is_reported_with_its_last_words() -> Outcome {
    let options = StackOptions::unique().programs_folder(Some(stand_ins()?)).env(Service::Payment, "FAIL", 1);
    let Err(StackError::Died { name, status, tail }) = Stack::up(options).await else {
        return Err("the stack started".into());
    };
    assert_eq!((name.as_str(), status.code(), tail.as_str()), ("payment-svc", Some(4), "told to fail"));
    Ok(())
}

#[tokio::test]
async fn a_lasting_stack_is_found_by_its_data_folder_until_it_ends() -> Outcome {
    let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("lasting-{}", std::process::id()));
    let start = async || -> Result<Stack, StackError> {
        let servers = Servers::in_folder(&Default::default(), &data).await?;
        let programs = stand_ins().map_err(|error| StackError::Setting(error.to_string()))?;
        let stack = Stack::up_on(servers.into(), StackOptions::lasting().programs_folder(Some(programs))).await?;
        stack.record().await.write()?;
        Ok(stack)
    };
    let stack = start().await?;
    let data = stack.servers().data().to_path_buf();
    let found = StackRecord::discover(&data)?;
    assert_eq!(found.endpoints(), stack.endpoints());
    assert_eq!(found.pid, std::process::id());
    assert!(get(&found.endpoints().order).await.is_ok());
    let before = stack.endpoints();
    drop(stack);
    assert!(matches!(StackRecord::discover(&data), Err(StackError::NotRunning(_))));

    let again = start().await?;
    assert_eq!(again.endpoints(), before, "the same folder gives the same addresses");
    drop(again);
    std::fs::remove_dir_all(data)?;
    Ok(())
}
