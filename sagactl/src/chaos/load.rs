//! Places orders at a rate, as careful clients do: always with a key, and again with the same key until the outcome is known.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::dice::Dice;
use super::history::{History, What};
use super::mix::{self, Wish};
use crate::client::{Client, ClientError, OrderStatus, Wallet};

/// Not more requests at once: more than that only measures the queue in front of order-svc.
const AT_ONCE: usize = 400;
/// After so long without an answer nobody asks for an order any more.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many of the latest orders are remembered for those that want to bother one.
const RECENT: usize = 200;

/// The history cannot be written, so nothing more is asked for.
#[derive(Debug, thiserror::Error)]
#[error("the history of the load cannot be written any more")]
pub struct Stopped;

/// The load client.
#[derive(Debug)]
pub struct Load {
    client: Client,
    seed: u64,
    history: History,
    begun: Instant,
    next: AtomicU64,
    /// Set when no more orders are to be placed.
    stop: AtomicBool,
    /// Orders known to be placed, for each second since the beginning.
    placed: Mutex<Vec<u64>>,
    recent: Mutex<VecDeque<Uuid>>,
    trouble: Mutex<Option<String>>,
}

impl Load {
    /// A client that has not begun yet.
    #[must_use]
    pub fn new(client: Client, seed: u64, history: History) -> Self {
        Self {
            client,
            seed,
            history,
            begun: Instant::now(),
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            placed: Mutex::default(),
            recent: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// Places `rate` orders a second until `total` are placed or it is stopped, and returns when all outcomes are known.
    pub async fn run(self: std::sync::Arc<Self>, rate: f64, total: u64) {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate.max(0.01)));
        // What could not be placed while the system was slow is not made up for in one go.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut placing = JoinSet::new();
        while !self.stop.load(Ordering::Relaxed) && self.next.load(Ordering::Relaxed) < total {
            ticks.tick().await;
            while placing.try_join_next().is_some() {}
            if placing.len() < AT_ONCE {
                let (load, n) = (std::sync::Arc::clone(&self), self.take());
                placing.spawn(async move { load.place_and_follow(n).await });
            }
        }
        while placing.join_next().await.is_some() {}
    }

    /// No more orders from now on.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The number of an order nobody else places.
    pub fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// What the order of this number is.
    #[must_use]
    pub fn wish(&self, n: u64) -> Wish {
        mix::wish(self.seed, n)
    }

    /// Asked for, and known to be placed.
    pub fn counts(&self) -> (u64, u64) {
        (self.next.load(Ordering::Relaxed), locked(&self.placed).iter().sum())
    }

    /// Orders known to be placed, for each second from the beginning until now.
    pub fn placed_per_second(&self) -> Vec<u64> {
        let mut placed = locked(&self.placed).clone();
        placed.resize(placed.len().max(self.second()), 0);
        placed
    }

    fn second(&self) -> usize {
        usize::try_from(self.begun.elapsed().as_secs()).unwrap_or_default()
    }

    /// The latest orders, latest last.
    pub fn recent(&self) -> Vec<Uuid> {
        locked(&self.recent).iter().copied().collect()
    }

    /// What made the client itself fail, if anything did.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    /// The client it speaks through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the history.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn close(self) -> std::io::Result<()> {
        self.history.close()
    }

    async fn place_and_follow(&self, n: u64) {
        let wish = self.wish(n);
        if self.asked(&wish).await.is_err() {
            return;
        }
        let Some(order) = self.place(&wish).await else { return };
        if let Some(after_ms) = wish.cancel_after_ms {
            sleep(Duration::from_millis(after_ms)).await;
            self.cancel(order).await;
        } else if wish.comes_back {
            self.take_back(order, Dice::new(self.seed, n.wrapping_add(2_000))).await;
        }
    }

    /// Writes down that an order is going to be asked for.
    pub(super) async fn asked(&self, wish: &Wish) -> Result<(), Stopped> {
        let body = serde_json::to_string(&wish.order).unwrap_or_default();
        let (key, customer) = (wish.key.clone(), wish.order.customer_id.clone());
        self.note(What::Asked { key, customer, body }).await
    }

    /// Asks until the outcome is known; `None` if it is not an order, or nobody ever answers.
    pub(super) async fn place(&self, wish: &Wish) -> Option<Uuid> {
        let mut dice = Dice::new(self.seed, wish.n);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.client.place_order(&wish.order, Some(&wish.key), wish.wait_seconds).await {
                Ok(placed) => {
                    let (order, state) = (placed.order.id, placed.order.status.to_string());
                    let (key, status) = (wish.key.clone(), placed.status);
                    self.note(What::Told { key, status, order: Some(order), state: Some(state) }).await.ok()?;
                    self.count(order);
                    return Some(order);
                }
                Err(error) => {
                    if let Some(status) = error.status() {
                        let key = wish.key.clone();
                        self.note(What::Told { key, status, order: None, state: None }).await.ok()?;
                    }
                    if !error.is_transient() && error.status() != Some(409) {
                        return None;
                    }
                }
            }
            sleep(Duration::from_millis(dice.between(50, 500))).await;
        }
        None
    }

    /// Asks for a cancellation until there is an answer.
    pub(super) async fn cancel(&self, order: Uuid) {
        let begun = Instant::now();
        if self.note(What::AskedToCancel { order }).await.is_err() {
            return;
        }
        while begun.elapsed() < PATIENCE {
            let status = match self.client.cancel(order).await {
                Ok(_) => Some(202),
                Err(error) if error.is_transient() => None,
                Err(error) => error.status(),
            };
            if let Some(status) = status {
                let _ = self.note(What::ToldOfCancel { order, status }).await;
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Has an order delivered and asks for its return, if it is ever confirmed. What came of a request is seen in the order.
    async fn take_back(&self, order: Uuid, mut dice: Dice) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(dice.between(50, 500))).await;
            let Ok(found) = self.client.order(order).await else { continue };
            if self.note(What::Seen { order, state: found.status.to_string() }).await.is_err() {
                return;
            }
            let _ = match found.status {
                OrderStatus::Pending => continue,
                OrderStatus::Confirmed => self.client.set_order_status(order, &OrderStatus::Shipped).await,
                OrderStatus::Shipped => self.client.set_order_status(order, &OrderStatus::Delivered).await,
                OrderStatus::Delivered => self.client.return_order(order).await,
                _ => return,
            };
        }
    }

    /// Counts an order once, also if several requests stood for it.
    fn count(&self, order: Uuid) {
        let mut recent = locked(&self.recent);
        if recent.contains(&order) {
            return;
        }
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(order);
        drop(recent);
        let second = self.second();
        let mut placed = locked(&self.placed);
        if placed.len() <= second {
            placed.resize(second + 1, 0);
        }
        placed[second] += 1;
    }

    async fn note(&self, what: What) -> Result<(), Stopped> {
        self.history.write(what).await.map_err(|error| {
            self.stop();
            locked(&self.trouble).get_or_insert(error.to_string());
            Stopped
        })
    }
}

/// Fills wallets and shelves, so that the only orders that are refused are those meant to be.
///
/// # Errors
/// When a service does not do it.
pub async fn prepare(client: &Client) -> Result<(), ClientError> {
    for customer in mix::customers() {
        let wallet = Wallet { balance_minor: 100_000_000_000, currency: "EUR".to_owned() };
        client.put_wallet(&customer, &wallet).await?;
    }
    for sku in mix::IN_STOCK {
        client.put_stock(sku, 100_000_000).await?;
    }
    Ok(())
}

/// What these locks guard is whole between two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
