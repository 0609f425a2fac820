//! What every scenario needs: a stack of its own, orders, waiting for what must come, and the audit at the end.

use saga_common::choreography::{Expectation, ExpectedState};
use sagactl::audit::{self, ExpectedParked};
use sagactl::client::{Client, ClientError, Item, NewOrder, Order, OrderFilter, OrderStatus, Service};
use sagactl::stack::{ServerSettings, Servers, Stack, StackOptions, session};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use uuid::Uuid;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Nothing in these tests takes longer, unless something is wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const TEA: &str = "TEA-SENCHA-100";
pub(crate) const MUG: &str = "MUG-STONE";
pub(crate) const COFFEE: &str = "COFFEE-ETH-250";
/// Always out of stock.
pub(crate) const TEAPOT: &str = "TEAPOT-CAST";
/// Her wallet is empty.
pub(crate) const POOR: &str = "poor-paula";

/// A stack and a client of it.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) client: Client,
}

impl World {
    /// The usual stack, on the servers all tests of this process share.
    pub(crate) async fn start() -> Fallible<Self> {
        Self::with(StackOptions::unique()).await
    }

    pub(crate) async fn with(options: StackOptions) -> Fallible<Self> {
        Self::on(Servers::shared().await?, options).await
    }

    /// A stack on servers of its own, which the test may kill.
    pub(crate) async fn alone(options: StackOptions) -> Fallible<Self> {
        let servers = Servers::temporary(&ServerSettings::from_env()?).await?;
        Self::on(Arc::new(servers), options).await
    }

    /// One whose services do as fault directives say.
    pub(crate) async fn faulty() -> Fallible<Self> {
        Self::with(StackOptions::unique().env_all("FAULTS", "on")).await
    }

    async fn on(servers: Arc<Servers>, options: StackOptions) -> Fallible<Self> {
        let stack = Stack::up_on(servers, options).await?;
        let client = stack.client();
        Ok(Self { stack, client })
    }

    pub(crate) async fn place(&self, order: &NewOrder) -> Fallible<Order> {
        Ok(self.client.place_order(order, None, None).await?.order)
    }

    /// Places an order with fault directives, for a stack that is [`faulty`](Self::faulty).
    pub(crate) async fn place_with(&self, wanted: &NewOrder, faults: &str) -> Fallible<Uuid> {
        let client = self.client.clone().with_faults(Some(faults.to_owned()));
        Ok(client.place_order(wanted, None, None).await?.order.id)
    }

    /// Waits until the order is terminal, and it must be in this status.
    pub(crate) async fn ends(&self, id: Uuid, status: OrderStatus) -> Fallible<Order> {
        let order = self.client.wait_terminal(id, LIMIT).await?;
        if order.status != status {
            let timeline = serde_json::to_string_pretty(&self.client.timeline(id).await?)?;
            return Err(format!("order {id} ended {}, not {status}:\n{timeline}", order.status).into());
        }
        Ok(order)
    }

    /// Places orders until told otherwise, and waits until all are terminal.
    pub(crate) async fn place_all(&self, orders: &[NewOrder]) -> Fallible<Vec<Uuid>> {
        let mut ids = Vec::with_capacity(orders.len());
        for order in orders {
            ids.push(self.place(order).await?.id);
        }
        Ok(ids)
    }

    /// Waits until nothing is under way, then audits everything: each scenario's last line.
    pub(crate) async fn assert_consistent(&self) -> Outcome {
        self.assert_consistent_with(ExpectedParked::Nothing).await
    }

    /// As [`World::assert_consistent`], with messages that should be parked.
    pub(crate) async fn assert_consistent_with(&self, parked: ExpectedParked) -> Outcome {
        let config = audit::AuditConfig { parked, ..self.stack.audit_config() };
        let report = audit::until_quiescent(&config, LIMIT).await?;
        if report.is_clean() {
            return self.nothing_is_expected().await;
        }
        let failed: Vec<_> = report.failed().collect();
        Err(format!("the audit found:\n{}", serde_json::to_string_pretty(&failed)?).into())
    }

    /// Of orders that have ended, however they went, no timeline expects a step. (A listener may have lost its message with a queue,
    /// and a scenario may end with messages that are parked.)
    async fn nothing_is_expected(&self) -> Outcome {
        let latest = OrderFilter { limit: Some(25), ..OrderFilter::default() };
        let page = match self.client.orders(&latest).await {
            // A scenario may end with services that are stopped.
            Err(ClientError::NobodyListens { .. } | ClientError::Transport { .. }) => return Ok(()),
            page => page?,
        };
        for order in page.orders {
            let timeline = self.client.timeline(order.id).await?;
            let is_awaited = |it: &&Expectation| {
                let is_lost = it.service == "notification-svc" && it.state == ExpectedState::Late;
                !is_lost && !matches!(it.state, ExpectedState::Parked | ExpectedState::Unknown)
            };
            if let Some(expected) = timeline.expected.iter().find(is_awaited) {
                return Err(format!("order {} has ended, and its timeline expects {expected:?}", order.id).into());
            }
        }
        Ok(())
    }

    /// The command, which speaks to this stack and looks at nothing else.
    pub(crate) fn sagactl(&self) -> Fallible<Command> {
        let test = std::env::current_exe()?;
        let folder = test.ancestors().nth(2).ok_or("the test is in target/debug/deps")?;
        let mut command = Command::new(folder.join("sagactl"));
        command
            .env_remove("ORDERSAGA_DATA")
            .env_remove("ORDERSAGA_TOKEN_FILE")
            .env("ORDERSAGA_TOKEN", self.stack.token())
            .kill_on_drop(true);
        for service in Service::ALL {
            command.env(format!("{}_URL", service.name().to_uppercase()), self.stack.url(service)?);
        }
        Ok(command)
    }

    /// A connection to one service's database.
    pub(crate) async fn database(&self, service: Service) -> Fallible<tokio_postgres::Client> {
        Ok(session(self.stack.database_url(service)).await?)
    }
}

/// An order of one line.
pub(crate) fn order(customer: &str, sku: &str, quantity: u32, method: &str) -> NewOrder {
    order_of(customer, &[(sku, quantity)], method)
}

pub(crate) fn order_of(customer: &str, items: &[(&str, u32)], method: &str) -> NewOrder {
    NewOrder {
        customer_id: customer.to_owned(),
        currency: "EUR".to_owned(),
        items: items.iter().map(|(sku, quantity)| Item { sku: (*sku).to_owned(), quantity: *quantity }).collect(),
        payment_method: method.to_owned(),
    }
}
