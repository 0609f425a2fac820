//! The program by itself on real servers: starts, tells that it lives, drains.

use sagactl::client::Service;
use sagactl::stack::{Program, Servers, Stack, StackOptions};

#[tokio::test]
async fn starts_becomes_ready_and_drains_when_told_to() -> Result<(), Box<dyn std::error::Error>> {
    let stack = Stack::up_on(Servers::shared().await?, StackOptions::unique().only([Program::OrderSvc])).await?;
    let alive = reqwest::get(format!("{}/livez", stack.url(Service::Order)?)).await?;
    assert_eq!(alive.status(), 200);
    assert_eq!(stack.client().choreography(Service::Order).await?.participant, "order");
    assert!(stack.terminate(Service::Order).await?.success(), "it drains and ends with 0");
    Ok(())
}
