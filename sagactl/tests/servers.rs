//! The launcher, on real servers.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use sagactl::stack::{Servers, StackError, session};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn ask(url: &str, question: &str) -> Result<String, tokio_postgres::Error> {
    Ok(session(url).await?.query_one(question, &[]).await?.get(0))
}

#[tokio::test]
async fn a_database_has_its_own_role_and_keeps_its_data_over_a_crash() -> Outcome {
    // Not the shared ones: this test crashes them.
    let servers = Servers::temporary(&Default::default()).await?;
    let url = servers.create_database("orders").await?;
    assert_eq!(ask(&url, "SELECT current_user::text").await?, "orders");
    assert_eq!(ask(&url, "SHOW fsync").await?, "on");
    let other = servers.create_database("payment").await?.replace("/payment", "/orders");
    assert!(
        ask(&other, "SELECT current_user::text").await.is_err(),
        "one service's role cannot enter another's database"
    );

    let client = session(&url).await?;
    client.batch_execute("CREATE TABLE kept AS SELECT 'yes' AS word").await?;
    servers.kill_postgres().await?;
    servers.start_postgres().await?;
    assert_eq!(ask(&url, "SELECT word FROM kept").await?, "yes");

    servers.create_vhost("crashes").await?;
    servers.kill_broker().await?;
    assert!(servers.management().queues("crashes").await.is_err(), "nobody answers after a kill");
    servers.start_broker().await?;
    assert!(servers.management().queues("crashes").await?.is_empty(), "the virtual host is still there");

    let data = servers.data().to_path_buf();
    servers.stop().await;
    drop(servers);
    assert!(!data.exists(), "a temporary data folder goes with its servers");
    Ok(())
}

#[tokio::test]
async fn shared_servers_make_databases_and_virtual_hosts() -> Outcome {
    let servers = Servers::shared().await?;
    let url = servers.create_database("shared_one").await?;
    assert_eq!(ask(&url, "SELECT current_database()::text").await?, "shared_one");
    let again = servers.create_database("shared_one").await?;
    assert_eq!(ask(&again, "SELECT current_database()::text").await?, "shared_one");
    servers.drop_database("shared_one").await?;
    assert!(ask(&again, "SELECT 1::text").await.is_err());

    let amqp = servers.create_vhost("shared-one").await?;
    assert!(amqp.starts_with("amqp://") && amqp.ends_with("/shared-one"));
    assert!(servers.management().queues("shared-one").await?.is_empty());
    servers.management().delete_queue("shared-one", "never.there").await?;
    servers.management().delete_vhost("shared-one").await?;
    Ok(())
}

#[tokio::test]
async fn a_database_name_is_never_spliced_into_sql_unchecked() -> Outcome {
    let servers = Servers::shared().await?;
    let refused = servers.create_database("x\"; DROP ROLE ordersaga; --").await;
    assert!(matches!(refused, Err(StackError::Setting(_))));
    Ok(())
}

fn named<'a>(files: &'a [PathBuf], end: &str) -> Vec<&'a PathBuf> {
    files.iter().filter(|file| file.to_string_lossy().ends_with(end)).collect()
}

/// As RabbitMQ 3.10 leaves it if its node is killed when the queue is some seconds old.
#[tokio::test]
async fn a_quorum_queue_that_has_lost_its_log_takes_messages_again_when_its_node_is_back() -> Outcome {
    let servers = Servers::temporary(&Default::default()).await?;
    servers.create_vhost("young").await?;
    let (management, http) = (servers.management(), reqwest::Client::builder().no_proxy().build()?);
    let ask = |method, path: &str, body: &serde_json::Value| {
        let request = http.request(method, format!("{}/api/{path}", management.url)).json(body);
        request.basic_auth(&management.user, Some(&management.password)).timeout(Duration::from_secs(20)).send()
    };
    let quorum = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    ask(Method::PUT, "queues/young/orders", &quorum).await?.error_for_status()?;

    servers.kill_broker().await?;
    let logs = servers.data().join("rabbitmq/mnesia/ordersaga@localhost/quorum/ordersaga@localhost");
    let files = std::fs::read_dir(&logs)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let (logs, terms) = (named(&files, ".wal"), named(&files, "meta.dets"));
    assert!(!logs.is_empty() && !terms.is_empty(), "RabbitMQ keeps them somewhere else: {files:?}");
    for file in logs.into_iter().chain(terms) {
        std::fs::remove_file(file)?;
    }
    servers.start_broker().await?;

    let message = json!({"properties": {}, "routing_key": "orders", "payload": "hello", "payload_encoding": "string"});
    ask(Method::POST, "exchanges/young/amq.default/publish", &message).await?.error_for_status()?;
    let get = json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"});
    let got = ask(Method::POST, "queues/young/orders/get", &get).await?.error_for_status()?.text().await?;
    assert!(got.contains("hello"), "{got}");
    Ok(())
}
