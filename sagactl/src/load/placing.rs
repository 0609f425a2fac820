//! Places orders, on a thread of its own: so many in flight, or so many a second.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::mix::Mix;
use super::watching::Placed;
use super::wire::{self, Wire};

/// One request at most. An order without an answer by then counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// After a failure its place in the loop stays empty for so long, or a service that is gone would be asked a million times.
const AFTER_FAILURE: Duration = Duration::from_millis(20);
/// In an open loop not more requests wait for answers than this: what is meant to be placed beyond it waits, and its time counts.
const REQUESTS_AT_ONCE: usize = 4_096;

/// How orders follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A closed loop: the next one is placed when one has ended, so that always so many are under way.
    InFlight(usize),
    /// An open loop: so many a second, evenly spaced, whatever becomes of them. Times count from the moment an order *should* have been
    /// placed, so that a system that stands still is not asked less and judged by what it was asked (coordinated omission).
    Rate(f64),
}

/// What is placed, where and for how long.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    /// Base URL of order-svc.
    pub(super) url: String,
    /// An operator's bearer token.
    pub(super) token: Option<String>,
    pub(super) mix: Mix,
    pub(super) seed: u64,
    /// Number of the first order.
    pub(super) first: u64,
    /// Begins the keys, which no other run may use.
    pub(super) run: String,
    pub(super) pace: Pace,
    pub(super) duration: Duration,
}

/// What did not work.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: AtomicU64,
    first: Mutex<Option<String>>,
}

impl Failures {
    fn add(&self, what: String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// How many orders could not be placed, and why the first.
    pub(super) fn told(&self) -> (u64, Option<String>) {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.count.load(Ordering::Relaxed), first)
    }
}

/// The placing thread.
pub(super) struct Placing {
    thread: JoinHandle<io::Result<()>>,
    pub(super) failures: Arc<Failures>,
    pub(super) next: Arc<AtomicU64>,
}

impl Placing {
    /// Begins. Whoever sees an order end adds a permit to `places`, which must be empty.
    pub(super) fn start(
        orders: Orders,
        begun: Instant,
        watch: Sender<Placed>,
        places: Arc<Semaphore>,
    ) -> io::Result<Self> {
        let (failures, next) = (Arc::<Failures>::default(), Arc::new(AtomicU64::new(orders.first)));
        let host = host(&orders.url)?;
        let placer = Arc::new(Placer {
            host,
            orders,
            begun,
            watch,
            places,
            idle: Mutex::default(),
            failures: Arc::clone(&failures),
            next: Arc::clone(&next),
        });
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(placer.place_all())
        };
        let thread = thread::Builder::new().name("load-place".to_owned()).spawn(run)?;
        Ok(Self { thread, failures, next })
    }

    /// Waits until all requests are answered, soon after the duration.
    pub(super) async fn end(self) -> io::Result<()> {
        let panicked = |_| Err(io::Error::other("the thread that places the orders has panicked"));
        let joined = tokio::task::spawn_blocking(move || self.thread.join().unwrap_or_else(panicked));
        joined.await.map_err(io::Error::other)?
    }
}

/// `host:port` of a plain HTTP URL.
fn host(url: &str) -> io::Result<String> {
    let host = url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default());
    let host = host.filter(|host| host.contains(':')).map(str::to_owned);
    host.ok_or_else(|| io::Error::other(format!("load speaks plain HTTP to http://host:port only, not {url}")))
}

struct Placer {
    host: String,
    orders: Orders,
    begun: Instant,
    watch: Sender<Placed>,
    places: Arc<Semaphore>,
    /// Connections nobody uses at the moment.
    idle: Mutex<Vec<Wire>>,
    failures: Arc<Failures>,
    next: Arc<AtomicU64>,
}

impl Placer {
    async fn place_all(self: Arc<Self>) -> io::Result<()> {
        let mut requests = JoinSet::new();
        match self.orders.pace {
            Pace::InFlight(count) => {
                self.places.add_permits(count);
                while let Some(left) = self.orders.duration.checked_sub(self.begun.elapsed()) {
                    let Ok(Ok(place)) = timeout(left, self.places.acquire()).await else { break };
                    place.forget();
                    while requests.try_join_next().is_some() {}
                    requests.spawn(Arc::clone(&self).place(self.now_us()));
                }
            }
            Pace::Rate(rate) => {
                let stop = Arc::new(AtomicBool::new(false));
                let mut due = metronome(self.begun, rate, self.orders.duration, Arc::clone(&stop))?;
                while let Some(intended_us) = due.recv().await {
                    while requests.try_join_next().is_some() {}
                    if requests.len() >= REQUESTS_AT_ONCE {
                        requests.join_next().await;
                    }
                    requests.spawn(Arc::clone(&self).place(intended_us));
                    if self.begun.elapsed() > self.orders.duration * 2 {
                        // Far behind: what is still meant to be placed would only be placed after everybody has left.
                        stop.store(true, Ordering::Relaxed);
                        break;
                    }
                }
                while due.recv().await.is_some() {
                    self.failures.add("it was not placed in twice the time of the run".to_owned());
                }
            }
        }
        while requests.join_next().await.is_some() {}
        Ok(())
    }

    async fn place(self: Arc<Self>, intended_us: u64) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        match self.ask(n, intended_us).await {
            // If nobody watches any more, the watch has failed, and says so itself.
            Ok(placed) => drop(self.watch.send(placed)),
            Err(error) => {
                self.failures.add(error.to_string());
                tokio::time::sleep(AFTER_FAILURE).await;
                self.places.add_permits(1);
            }
        }
    }

    async fn ask(&self, n: u64, intended_us: u64) -> io::Result<Placed> {
        let wish = self.orders.mix.wish(self.orders.seed, n);
        let body = serde_json::to_vec(&wish.order).map_err(io::Error::other)?;
        let key = wish.keyed.then(|| format!("{}-{n}", self.orders.run));
        let request = wire::post(&self.host, "/orders", self.orders.token.as_deref(), key.as_deref(), &body);
        let sent_us = self.now_us();
        let answer = self.exchange(&request).await?;
        let answered_us = self.now_us();
        if answer.status != 202 {
            let body = String::from_utf8_lossy(&answer.body).chars().take(200).collect::<String>();
            return Err(io::Error::other(format!("order-svc answered {} {body}", answer.status)));
        }
        #[derive(Deserialize)]
        struct Order {
            id: Uuid,
        }
        let Order { id } = serde_json::from_slice(&answer.body).map_err(io::Error::other)?;
        if wish.cancel {
            // Whether it comes in time or not (409), the saga ends.
            let (path, token) = (format!("/orders/{id}/cancel"), self.orders.token.as_deref());
            self.exchange(&wire::post(&self.host, &path, token, None, b"")).await?;
        }
        Ok(Placed { id, intended_us, sent_us, answered_us })
    }

    async fn exchange(&self, request: &[u8]) -> io::Result<wire::Answer> {
        let kept = self.idle().pop();
        let asked = async {
            let mut wire = match kept {
                Some(wire) => wire,
                None => Wire::connect(&self.host).await?,
            };
            let answer = wire.exchange(request).await?;
            self.idle().push(wire);
            Ok(answer)
        };
        timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Wire>> {
        // A push or pop is whole or not there.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Says when an order is due, from a thread of its own: tokio's timers go by milliseconds, which is too coarse for a thousand orders a
/// second, and would count as the system's time.
fn metronome(
    begun: Instant,
    rate: f64,
    duration: Duration,
    stop: Arc<AtomicBool>,
) -> io::Result<mpsc::UnboundedReceiver<u64>> {
    let (tick, ticks) = mpsc::unbounded_channel();
    let beat = move || {
        for nth in 0_u64.. {
            let due = due(nth, rate);
            if due >= duration || stop.load(Ordering::Relaxed) {
                return;
            }
            if let Some(early) = due.checked_sub(begun.elapsed()) {
                thread::sleep(early);
            }
            if tick.send(u64::try_from(due.as_micros()).unwrap_or(u64::MAX)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("load-pace".to_owned()).spawn(beat)?;
    Ok(ticks)
}

/// When the nth order should be placed, after the beginning.
fn due(nth: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(nth as f64 / rate).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_due_does_not_wait_for_anybody_and_ends_with_the_duration() {
        // Began a second ago: all that was due since then comes at once, each with its own moment.
        let begun = Instant::now().checked_sub(Duration::from_secs(1)).expect("the machine is up for longer");
        let mut due = metronome(begun, 1_000.0, Duration::from_millis(500), Arc::default()).expect("a thread");
        let mut moments = Vec::new();
        while let Some(us) = due.recv().await {
            moments.push(us);
        }
        assert_eq!(moments, (0..500).map(|ms| ms * 1_000).collect::<Vec<u64>>());
    }

    #[test]
    fn only_plain_http_with_a_port_is_spoken() {
        assert_eq!(host("http://127.0.0.1:8080").ok(), Some("127.0.0.1:8080".to_owned()));
        assert_eq!(host("http://[::1]:80/x").ok(), Some("[::1]:80".to_owned()));
        assert!(host("https://127.0.0.1:8080").is_err() && host("http://shop").is_err());
    }
}
