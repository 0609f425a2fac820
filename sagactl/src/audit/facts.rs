//! One compact record per saga, gathered from all databases, for the checks that compare them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::database::Snapshot;
use super::provider::{Intent, Ledger};
use super::rows::{self, Query};
use super::{AuditError, Database};

/// What all databases and the provider say about one saga.
#[derive(Clone, Debug, Default)]
pub(super) struct Saga {
    pub(super) order: Option<Order>,
    pub(super) reservations: Option<Reservations>,
    pub(super) payment: Option<Payment>,
    pub(super) movements: Option<Movements>,
    /// Of all services, each service's in the order in which they were made.
    pub(super) guards: Vec<Guard>,
    /// Kinds of the notifications that were written.
    pub(super) notified: Vec<String>,
    pub(super) intents: Vec<Intent>,
    /// So old that its guard rows have been dropped.
    pub(super) guards_forgotten: bool,
}

/// How an order's saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Undecided,
    Confirmed,
    Cancelled,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) status: String,
    pub(super) end: End,
    pub(super) closed: bool,
    pub(super) customer_id: String,
    pub(super) currency: String,
    pub(super) amount_minor: i64,
    pub(super) method: String,
    /// `SKU=quantity,..` in order of SKU.
    pub(super) contents: String,
    /// Participants that must answer a failure.
    pub(super) required: Vec<String>,
    /// The saga of its return, if it has come back or is about to.
    pub(super) return_id: Option<Uuid>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    pub(super) held: i64,
    pub(super) released: i64,
    pub(super) sold: i64,
    /// Sold, and back on the shelf.
    pub(super) returned: i64,
    /// Of those, the returns that brought them back.
    pub(super) returns: Vec<Uuid>,
    /// As in [`Order::contents`].
    pub(super) contents: String,
}

#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) status: String,
    pub(super) customer_id: String,
    pub(super) currency: String,
    pub(super) amount_minor: i64,
    pub(super) method: String,
    pub(super) reference: Option<String>,
    /// The return that it was given back for.
    pub(super) return_id: Option<Uuid>,
}

/// What was taken from wallets for an order, and what came back, in minor units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Movements {
    pub(super) charged: i64,
    pub(super) refunded: i64,
}

/// A guard row: what a step made of a message.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// Whose.
    pub(super) at: Database,
    pub(super) step: String,
    pub(super) verdict: String,
    /// What it reacted to; the message itself for a saga's first step.
    pub(super) message_id: Uuid,
    pub(super) said: Option<Said>,
    /// Its undoing said the saga's end. That message is not among what is recorded as said.
    pub(super) said_end: bool,
    /// Younger than the grace: what follows from it may be under way.
    pub(super) young: bool,
}

/// What a step said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) id: Uuid,
    /// Such as `order.placed.v1`.
    pub(super) event_type: String,
}

/// A request key of a client, and the order it stands for.
#[derive(Clone, Debug)]
pub(super) struct RequestKey {
    pub(super) customer_id: String,
    pub(super) key: String,
    pub(super) order_id: Uuid,
}

/// A message that waits for a person.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) database: Database,
    pub(super) message_id: Uuid,
    pub(super) step: String,
    pub(super) reason: String,
}

/// Everything the checks across databases look at.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) sagas: BTreeMap<Uuid, Saga>,
    pub(super) parked: Vec<Parked>,
    /// Read only for a history.
    pub(super) request_keys: Vec<RequestKey>,
    /// Older sagas have no guard rows any more, in one database at least.
    pub(super) remembers_from: Uuid,
    /// Whether the provider was asked.
    pub(super) has_ledger: bool,
}

impl Saga {
    /// Has the provider given something back?
    fn given_back(&self) -> bool {
        self.intents.iter().any(|intent| intent.refunded_minor > 0)
    }

    /// One service's guard rows.
    pub(super) fn guards_at(&self, at: Database) -> impl Iterator<Item = &Guard> {
        self.guards.iter().filter(move |guard| guard.at == at)
    }
}

impl Facts {
    /// Adds what this database knows.
    pub(super) async fn read(&mut self, snapshot: &Snapshot<'_>, grace: Duration) -> Result<(), AuditError> {
        match snapshot.database {
            Database::Orders => {
                self.each(snapshot, rows::ORDERS, |saga, row| saga.order = Some(rows::order(row))).await?;
            }
            Database::Inventory => {
                self.each(snapshot, rows::RESERVATIONS, |saga, row| saga.reservations = Some(rows::reservations(row)))
                    .await?;
            }
            Database::Payment => {
                self.each(snapshot, rows::PAYMENTS, |saga, row| saga.payment = Some(rows::payment(row))).await?;
                self.each(snapshot, rows::MOVEMENTS, |saga, row| saga.movements = Some(rows::movements(row))).await?;
            }
            Database::Notification => {
                self.each(snapshot, rows::NOTIFICATIONS, |saga, row| saga.notified = row.get(1)).await?;
            }
        }
        let (purpose, sql) = rows::GUARDS;
        let grace: [(&(dyn ToSql + Sync), Type); 1] = [(&grace.as_secs_f64(), Type::FLOAT8)];
        for row in snapshot.query(purpose, sql, &grace).await? {
            self.sagas.entry(row.get(0)).or_default().guards.push(rows::guard(snapshot.database, &row));
        }
        self.remembers_from = self.remembers_from.max(snapshot.remembers_from);
        let (purpose, sql) = rows::PARKED;
        for row in snapshot.query(purpose, sql, &[]).await? {
            let database = snapshot.database;
            self.parked.push(Parked { database, message_id: row.get(0), step: row.get(1), reason: row.get(2) });
        }
        Ok(())
    }

    /// Adds what clients' requests were taken for.
    pub(super) async fn read_request_keys(&mut self, orders: &Snapshot<'_>) -> Result<(), AuditError> {
        let (purpose, sql) = rows::REQUEST_KEYS;
        self.request_keys.extend(orders.query(purpose, sql, &[]).await?.iter().map(rows::request_key));
        Ok(())
    }

    /// Adds what the provider knows.
    pub(super) fn add_ledger(&mut self, ledger: Ledger) {
        self.has_ledger = true;
        for (order_id, intents) in ledger {
            self.sagas.entry(order_id).or_default().intents = intents;
        }
    }

    /// Marks sagas whose guard rows have been dropped. Call it when all databases are read.
    pub(super) fn mark_forgotten(&mut self) {
        for (_, saga) in self.sagas.range_mut(..self.remembers_from) {
            saga.guards_forgotten = true;
        }
    }

    /// Drops sagas whose order was placed after the orders were read, and lets orders be on their way back of which a
    /// participant's snapshot, or the provider's ledger, which is read last, knows a return that was asked for after that.
    pub(super) async fn forget_later(&mut self, snapshot: &Snapshot<'_>) -> Result<(), AuditError> {
        self.forget_later_orders(snapshot).await?;
        let unknown = |saga: &Saga| {
            let paid_back = saga.payment.as_ref().is_some_and(|payment| payment.return_id.is_some());
            let put_back = saga.reservations.as_ref().is_some_and(|found| found.returned > 0);
            (paid_back || put_back || saga.given_back())
                && saga.order.as_ref().is_some_and(|order| order.return_id.is_none())
        };
        let early: Vec<Uuid> = self.sagas.iter().filter(|(_, saga)| unknown(saga)).map(|(id, _)| *id).collect();
        if early.is_empty() {
            return Ok(());
        }
        let later = "SELECT order_id, id FROM returns WHERE order_id = ANY($1)";
        for row in snapshot.query("returns asked for meanwhile", later, &[(&early, Type::UUID_ARRAY)]).await? {
            let Some(saga) = self.sagas.get_mut(&row.get::<_, Uuid>(0)) else { continue };
            let given_back = saga.given_back();
            if let Some(order) = &mut saga.order {
                order.return_id = Some(row.get(1));
                order.status = "returning".to_owned();
            }
            if let Some(payment) = saga.payment.as_mut().filter(|payment| given_back && payment.status == "charged") {
                payment.return_id = Some(row.get(1));
                payment.status = "refunding".to_owned();
            }
        }
        Ok(())
    }

    async fn forget_later_orders(&mut self, snapshot: &Snapshot<'_>) -> Result<(), AuditError> {
        let without: Vec<Uuid> =
            self.sagas.iter().filter(|(_, saga)| saga.order.is_none()).map(|(id, _)| *id).collect();
        if without.is_empty() {
            return Ok(());
        }
        let later = "SELECT id FROM orders WHERE id = ANY($1)";
        for row in snapshot.query("orders placed meanwhile", later, &[(&without, Type::UUID_ARRAY)]).await? {
            self.sagas.remove(&row.get::<_, Uuid>(0));
        }
        Ok(())
    }

    /// How many of everything there are.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::from([("parked messages".to_owned(), self.parked.len() as u64)]);
        let mut add = |what: String, n: u64| *counts.entry(what).or_default() += n;
        for saga in self.sagas.values() {
            if let Some(order) = &saga.order {
                add("orders".to_owned(), 1);
                add(format!("orders {}", order.status), 1);
            }
            if let Some(Reservations { held, released, sold, returned, .. }) = &saga.reservations {
                add("reservations".to_owned(), (held + released + sold + returned).unsigned_abs());
            }
            if let Some(payment) = &saga.payment {
                add("payments".to_owned(), 1);
                add(format!("payments {}", payment.status), 1);
            }
            add("notifications".to_owned(), saga.notified.len() as u64);
            if self.has_ledger {
                add("provider intents".to_owned(), saga.intents.len() as u64);
            }
        }
        counts
    }

    async fn each(
        &mut self,
        snapshot: &Snapshot<'_>,
        (purpose, sql): Query,
        put: impl Fn(&mut Saga, &Row),
    ) -> Result<(), AuditError> {
        for row in snapshot.query(purpose, sql, &[]).await? {
            put(self.sagas.entry(row.get(0)).or_default(), &row);
        }
        Ok(())
    }
}
