//! order-svc alone, as a process on real servers: nobody answers its orders.

mod clock;
mod hostile;
mod overload;

use sagactl::client::{Client, Item, NewOrder, Service};
use sagactl::stack::{Program, Stack, StackOptions, session};
use uuid::Uuid;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The service, a client of it, and a look at its database.
pub(crate) struct Shop {
    pub(crate) stack: Stack,
    pub(crate) client: Client,
    pub(crate) database: tokio_postgres::Client,
}

impl Shop {
    /// Orders are overdue after so long.
    pub(crate) async fn up(deadline_ms: u64) -> Outcome<Self> {
        let options = StackOptions::unique().only([Program::OrderSvc]).env(Service::Order, "DEADLINE_MS", deadline_ms);
        let stack = Stack::up(options).await?;
        let database = connect(&stack).await?;
        Ok(Self { client: stack.client(), stack, database })
    }

    pub(crate) async fn place(&self, customer: &str, key: Option<&str>) -> Outcome<Uuid> {
        let order = NewOrder {
            customer_id: customer.to_owned(),
            currency: "EUR".to_owned(),
            items: vec![Item { sku: "MUG-STONE".to_owned(), quantity: 1 }],
            payment_method: "wallet".to_owned(),
        };
        Ok(self.client.place_order(&order, key, None).await?.order.id)
    }

    /// One value.
    pub(crate) async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, question: &str) -> Outcome<T> {
        Ok(self.database.query_one(question, &[]).await?.try_get(0)?)
    }
}

/// A connection of the test's own.
pub(crate) async fn connect(stack: &Stack) -> Outcome<tokio_postgres::Client> {
    Ok(session(stack.database_url(Service::Order)).await?)
}

#[tokio::test]
async fn starts_becomes_ready_and_drains_when_told_to() -> Outcome {
    let shop = Shop::up(30_000).await?;
    let alive = reqwest::get(format!("{}/livez", shop.stack.url(Service::Order)?)).await?;
    assert_eq!(alive.status(), 200);
    assert_eq!(shop.client.choreography(Service::Order).await?.participant, "order");
    assert!(shop.stack.terminate(Service::Order).await?.success(), "it drains and ends with 0");
    Ok(())
}
