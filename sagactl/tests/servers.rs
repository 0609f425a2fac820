//! The launcher, on real servers.

use sagactl::stack::{Servers, StackError, session};

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
