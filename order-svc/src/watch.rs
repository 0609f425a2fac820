//! Waiting for orders: one query for all who wait, however many they are.

use crate::reads::bounded;
use order_contracts::OrderId;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a waiter sees of its order: changes whenever its row does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: String,
    pub(crate) closed: bool,
}

impl Seen {
    /// Confirmed or cancelled (or further).
    pub(crate) fn is_terminal(&self) -> bool {
        !matches!(self.status.as_str(), "" | "pending" | "cancelling")
    }

    /// Will it change no more by itself?
    pub(crate) fn is_final(&self) -> bool {
        match self.status.as_str() {
            "cancelled" | "returned" => true,
            "returning" => false,
            _ => self.closed,
        }
    }
}

/// Orders somebody waits for. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<HashMap<Uuid, watch::Sender<Seen>>>>);

impl Watch {
    /// Follows an order.
    pub(crate) fn follow(&self, order_id: OrderId) -> watch::Receiver<Seen> {
        self.orders().entry(order_id.0).or_insert_with(|| watch::channel(Seen::default()).0).subscribe()
    }

    fn orders(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<Seen>>> {
        // A panic while it was held cannot leave the map half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn followed(&self) -> Vec<Uuid> {
        let mut orders = self.orders();
        orders.retain(|_, sender| sender.receiver_count() > 0);
        orders.keys().copied().collect()
    }

    fn show(&self, order: Uuid, seen: Seen) {
        if let Some(sender) = self.orders().get(&order) {
            sender.send_if_modified(|last| {
                let changed = *last != seen;
                *last = seen;
                changed
            });
        }
    }
}

/// Looks at followed orders until stopped; asks nothing while nobody waits.
pub(crate) async fn look(watch: Watch, reads: PgPool, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // Whoever still waits learns that nobody looks any more.
            () = stop.cancelled() => return watch.orders().clear(),
        }
        let followed = watch.followed();
        if followed.is_empty() {
            continue;
        }
        let rows = sqlx::query!(
            r#"select id, status, closed_at is not null as "closed!" from orders where id = any($1)"#,
            &followed
        )
        .fetch_all(&reads);
        match bounded(rows).await {
            Ok(rows) => {
                for row in rows {
                    watch.show(row.id, Seen { status: row.status, closed: row.closed });
                }
            }
            Err(error) => tracing::debug!(error = %error, "followed orders cannot be looked up"),
        }
    }
}
