//! Plays one order: places it with its directives, cancels it where the scenario says so, waits for its end, and looks
//! whether the fault has fired.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::edges::Tried;
use super::{Cell, Edge, Hold, MatrixError, Participant, Scenario, Until};
use crate::client::{Client, ClientError, Order, OrderStatus, Service};
use crate::stack::{Stack, database_says, session};

/// No order takes longer, whatever has gone wrong for it.
const LIMIT: Duration = Duration::from_secs(90);
/// What follows an order's end is done by then.
const LISTENER_LIMIT: Duration = Duration::from_secs(60);
const NOT_FIRED: &str = "the order never came there: the fault did not fire";
const PAUSE: Duration = Duration::from_millis(50);

/// The fault that is tried: whose, and its directive.
type Fault = (Service, String);

/// A running stack, with a look into its databases.
pub(super) struct Stage<'a> {
    stack: &'a Stack,
    client: Client,
    databases: BTreeMap<Service, tokio_postgres::Client>,
}

impl<'a> Stage<'a> {
    pub(super) async fn open(stack: &'a Stack) -> Result<Self, MatrixError> {
        let mut databases = BTreeMap::new();
        for service in Service::ALL {
            databases.insert(service, session(stack.database_url(service)).await?);
        }
        Ok(Self { stack, client: stack.client(), databases })
    }

    /// What the services say of themselves.
    pub(super) async fn participants(&self) -> Result<Vec<Participant>, MatrixError> {
        let mut participants = Vec::new();
        for service in Service::ALL {
            let faults = self.client.faults(service).await?;
            if !faults.enabled {
                return Err(MatrixError::Off(service));
            }
            let map = self.client.choreography(service).await?;
            participants.push(Participant { service, map, faults });
        }
        Ok(participants)
    }

    /// Plays the cell's order; the time it took.
    pub(super) async fn try_cell(&self, cell: &Cell) -> Result<Duration, String> {
        let begun = Instant::now();
        let (fault, directives) = ((cell.service, cell.directive()), cell.directives());
        self.play(cell.scenario, &directives, &fault).await?;
        // A listener may come after the order's end.
        within(LISTENER_LIMIT, NOT_FIRED, async || self.fired(fault.0, None, &fault.1).await).await?;
        Ok(begun.elapsed())
    }

    /// Plays the edge's order with a crash.
    pub(super) async fn try_edge(&self, edge: &Edge, crash: &str) -> Result<Tried, String> {
        let mut directives = edge.scenario.directives();
        directives.push(crash.to_owned());
        let order = self.play(edge.scenario, &directives.join(","), &(edge.service, crash.to_owned())).await?;
        let sql = "select verdict from saga.idempotency_keys where saga_id = $1 and step = $2";
        let rows = self.rows(edge.service, sql, &[&order.id, &edge.told_by()]).await?;
        let verdict = rows.first().map(|row| row.get::<_, String>(0));
        let fired = self.fired(edge.service, Some(order.id), crash).await?;
        Ok(Tried { order_id: order.id, edge: *edge, verdict, crashed: fired.then(|| crash.to_owned()) })
    }

    async fn play(&self, scenario: Scenario, directives: &str, fault: &Fault) -> Result<Order, String> {
        let customer = format!("matrix-{}", Uuid::now_v7().simple());
        let (order_id, saga_id) = if scenario.comes_back() {
            self.take_back(scenario, &customer, directives, fault).await?
        } else {
            let order_id = self.place(scenario, &customer, Some(directives), fault).await?;
            (order_id, order_id)
        };
        if let Some(hold) = scenario.hold() {
            let meanwhile = self.meanwhile(saga_id, &hold, fault).await;
            // Also if that went wrong: others would be held as well.
            self.release(saga_id, &hold).await.and(meanwhile)?;
        }
        let wrong = |error| format!("order {order_id}: {error}");
        let order = if scenario.comes_back() {
            self.client.wait_returned(order_id, LIMIT).await.map_err(wrong)?
        } else {
            self.client.wait_closed(order_id, LIMIT).await.map_err(wrong)?
        };
        if order.status != scenario.ends() {
            let reason = order.reason.unwrap_or_default();
            return Err(format!("order {order_id} ended {} ({reason}), not {}", order.status, scenario.ends()));
        }
        // Nor does its timeline expect anything, when the last of its messages are through.
        let over = format!("order {order_id} has ended, and its timeline still expects a step");
        within(LISTENER_LIMIT, &over, async || {
            let timeline = self.client.timeline(order_id).await;
            Ok(timeline.is_ok_and(|it| it.expected.is_empty() && it.terminal.is_empty()))
        })
        .await?;
        Ok(order)
    }

    /// Places the order; after an unclear answer again under the same key, without directives if the fault has fired: the
    /// saga would meet it again, under another id.
    async fn place(
        &self,
        scenario: Scenario,
        customer: &str,
        directives: Option<&str>,
        fault: &Fault,
    ) -> Result<Uuid, String> {
        let (order, key) = (scenario.order(customer), Uuid::now_v7().to_string());
        let ask = async |client: &Client| client.place_order(&order, Some(&key), None).await;
        let placed = self.until_clear("order.placed", directives, fault, ask).await;
        placed.map(|placed| placed.order.id).map_err(|error| format!("the order was not placed: {error}"))
    }

    /// Places an order, lets it be delivered, and asks for its return with these directives; its id and its return's.
    async fn take_back(
        &self,
        scenario: Scenario,
        customer: &str,
        directives: &str,
        fault: &Fault,
    ) -> Result<(Uuid, Uuid), String> {
        let id = self.place(scenario, customer, None, fault).await?;
        self.client.wait_closed(id, LIMIT).await.map_err(|error| format!("order {id}: {error}"))?;
        for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
            let ask = async |client: &Client| client.set_order_status(id, &status).await;
            let moved = self.until_clear("order.status-changed", None, fault, ask).await;
            moved.map_err(|error| format!("order {id} was not {status}: {error}"))?;
        }
        let ask = async |client: &Client| client.return_order(id).await;
        let asked = self.until_clear("return.requested", Some(directives), fault, ask).await;
        let asked = asked.map_err(|error| format!("order {id} was not taken back: {error}"))?;
        let return_id = asked.taken_back.map(|it| it.id).ok_or_else(|| format!("order {id} has no return"))?;
        Ok((id, return_id))
    }

    /// Asks with these directives until there is a clear answer; without them once a fault that what it asks for meets has fired.
    async fn until_clear<T>(
        &self,
        begins_with: &str,
        directives: Option<&str>,
        (service, fault): &Fault,
        ask: impl AsyncFn(&Client) -> Result<T, ClientError>,
    ) -> Result<T, String> {
        let mut client = self.client.clone().with_faults(directives.map(str::to_owned));
        let begun = Instant::now();
        loop {
            match ask(&client).await {
                Ok(answer) => return Ok(answer),
                Err(error) if may_pass(&error) && begun.elapsed() < LIMIT => {}
                Err(error) => return Err(error.to_string()),
            }
            if fault.contains(&format!("@{begins_with}=")) && self.fired(*service, None, fault).await? {
                client = self.client.clone();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn cancel(&self, order_id: Uuid) -> Result<(), String> {
        let cancelled = insist(|| self.client.cancel(order_id)).await;
        cancelled.map(drop).map_err(|error| format!("order {order_id} could not be cancelled: {error}"))
    }

    async fn release(&self, order_id: Uuid, hold: &Hold) -> Result<(), String> {
        let released = insist(|| self.client.release(hold.service, order_id)).await;
        released.map(drop).map_err(|error| format!("order {order_id} could not be released: {error}"))
    }

    /// What happens while something is held.
    async fn meanwhile(&self, order_id: Uuid, hold: &Hold, fault: &Fault) -> Result<(), String> {
        self.held(order_id, hold).await?;
        match hold.until {
            Until::Cancelled => {
                self.cancel(order_id).await?;
                self.overtaken(order_id, hold).await
            }
            Until::Fired => self.there(order_id, fault).await,
        }
    }

    /// Waits until the cancellation has got past what is held. The order's own service has it when it says so.
    async fn overtaken(&self, order_id: Uuid, hold: &Hold) -> Result<(), String> {
        if hold.service == Service::Order {
            return Ok(());
        }
        let sql = "select 1 from saga.idempotency_keys where saga_id = $1
                   and (step = 'compensate' or verdict in ('undoing', 'undone', 'fenced'))";
        let undone = async || self.rows(hold.service, sql, &[&order_id]).await.map(|rows| !rows.is_empty());
        within(LIMIT, &format!("order {order_id}: its cancellation never got past {}", hold.directive), undone).await
    }

    /// Waits until the step is held.
    async fn held(&self, order_id: Uuid, hold: &Hold) -> Result<(), String> {
        let held = async || self.fired(hold.service, Some(order_id), &hold.directive).await;
        within(LIMIT, &format!("order {order_id} was never held by {}", hold.directive), held).await
    }

    /// Waits until the fault has fired.
    async fn there(&self, order_id: Uuid, (service, directive): &Fault) -> Result<(), String> {
        within(LIMIT, NOT_FIRED, async || self.fired(*service, Some(order_id), directive).await).await
    }

    /// Has this directive fired, for this order or for any?
    async fn fired(&self, service: Service, order_id: Option<Uuid>, directive: &str) -> Result<bool, String> {
        let sql = "select 1 from saga.faults
                   where directive = $1 and ($2::uuid is null or saga_id = $2) and fired_at is not null";
        self.rows(service, sql, &[&directive, &order_id]).await.map(|rows| !rows.is_empty())
    }

    async fn rows(&self, service: Service, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, String> {
        let database = self.databases.get(&service);
        let database = database.ok_or_else(|| format!("{} has no database", self.stack.vhost()))?;
        database
            .query(sql, parameters)
            .await
            .map_err(|error| format!("{service}'s database: {}", database_says(&error)))
    }
}

/// Looks until it is so.
async fn within(
    limit: Duration,
    else_wrong: &str,
    is_so: impl AsyncFn() -> Result<bool, String>,
) -> Result<(), String> {
    let begun = Instant::now();
    while !is_so().await? {
        if begun.elapsed() > limit {
            return Err(else_wrong.to_owned());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Asks again while the service is away, as it is after a crash.
async fn insist<T>(ask: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_transient() && begun.elapsed() < LIMIT => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// Is it worth asking again? 409: the first request may still be running.
fn may_pass(error: &ClientError) -> bool {
    error.is_transient() || matches!(error, ClientError::Problem(problem) if problem.status == 409)
}
