//! Sees orders end, on a thread of its own.
//!
//! What is measured is when anybody who looks could have seen the order confirmed or cancelled, that is, committed. Of the ways to
//! learn that:
//! - `Prefer: wait` and the event stream look at followed orders every 20 ms: too coarse for sagas of 5 ms, and each answer is read
//!   from the database for one order alone;
//! - `updated_at` is the clock at the UPDATE, not at the COMMIT, which is a batch's last statements and a flush of the log later: it
//!   would flatter the system; and closing the order overwrites it;
//! - a trigger with NOTIFY, or a queue of the client's own, would make every saga more expensive than it is.
//!
//! So this asks the database, set-wise, by primary key, on one session: which of these orders have ended? A closed loop needs to
//! know while it runs anyway. [`Rhythm`] keeps it cheap: nobody is asked about who is too young to have ended, the oldest come first, and
//! the pause between two looks is a sixteenth of a typical saga, from 0.2 to 15 ms. An end is thus seen up to that much *late* (20 ms for
//! a moment when the system suddenly becomes faster), never early: what is printed is never better than it was, and there are
//! no two clocks to be compared. What the looks cost shows in the report in a line of its own.
//!
//! Closing (`closed_at`) needs no such care: nobody waits for it, so it is read once, when the load is over.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::rhythm::Rhythm;
use super::tally::Ended;
use crate::stack::session;

/// After so long without any order ending, once no more are placed, the others are given up.
const PATIENCE: Duration = Duration::from_secs(60);

const ENDED: &str = "select id from orders where id = any($1) and status not in ('pending', 'cancelling')";

/// An order that was accepted. Times are microseconds since the beginning of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) id: Uuid,
    pub(super) intended_us: u64,
    pub(super) sent_us: u64,
    pub(super) answered_us: u64,
}

/// What became of the orders.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) ended: Vec<Ended>,
    /// Orders that had not ended when patience was over.
    pub(super) unended: Vec<Uuid>,
    /// How many times the database was asked.
    pub(super) looks: u64,
}

/// For those who tell how it is going.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) ended: u64,
    pub(super) last_us: u64,
}

/// The watching thread.
pub(super) struct Watch {
    thread: JoinHandle<io::Result<Watched>>,
    pub(super) seen: Arc<Mutex<Seen>>,
    /// The database session that looks.
    pub(super) backend: Option<u32>,
}

impl Watch {
    /// Begins. Orders come through `placed`; each end gives a permit back to `places`.
    pub(super) async fn start(
        database_url: &str,
        begun: Instant,
        placed: Receiver<Placed>,
        places: Arc<Semaphore>,
    ) -> io::Result<Self> {
        let seen = Arc::<Mutex<Seen>>::default();
        let (tell, told) = oneshot::channel();
        let (url, shared) = (database_url.to_owned(), Arc::clone(&seen));
        let thread = thread::Builder::new().name("load-watch".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (client, look) = runtime.block_on(connect(&url)).map_err(io::Error::other)?;
            let backend =
                runtime.block_on(client.query_one("select pg_backend_pid()", &[])).map_err(io::Error::other)?;
            let _ = tell.send(backend.get::<_, i32>(0).unsigned_abs());
            let mut watching = Watching { places, seen: shared, ..Watching::new(begun) };
            watching.run(&placed, |orders| {
                let rows = runtime.block_on(client.query(&look, &[&orders])).map_err(io::Error::other)?;
                Ok(rows.iter().map(|row| row.get(0)).collect())
            })?;
            Ok(watching.done())
        })?;
        match told.await {
            Ok(backend) => Ok(Self { thread, seen, backend: Some(backend) }),
            Err(_) => Err(joined(thread).err().unwrap_or_else(|| io::ErrorKind::Other.into())),
        }
    }

    /// Waits for the end of all orders; the senders must be gone.
    pub(super) async fn end(self) -> io::Result<Watched> {
        tokio::task::spawn_blocking(|| joined(self.thread)).await.map_err(io::Error::other)?
    }
}

fn joined(thread: JoinHandle<io::Result<Watched>>) -> io::Result<Watched> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that watches the orders has panicked")))
}

async fn connect(url: &str) -> Result<(Client, Statement), tokio_postgres::Error> {
    let client = session(url).await?;
    // The plan is made while the table may be empty, and is used while it grows.
    client
        .batch_execute(
            "set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan",
        )
        .await?;
    let look = client.prepare(ENDED).await?;
    Ok((client, look))
}

struct Watching {
    begun: Instant,
    places: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
    rhythm: Rhythm,
    waiting: VecDeque<Placed>,
    watched: Watched,
}

impl Watching {
    fn new(begun: Instant) -> Self {
        Self {
            begun,
            places: Arc::new(Semaphore::new(0)),
            seen: Arc::default(),
            rhythm: Rhythm::new(),
            waiting: VecDeque::new(),
            watched: Watched::default(),
        }
    }

    /// Looks until nobody places any more and all have ended.
    fn run(
        &mut self,
        placed: &Receiver<Placed>,
        mut look: impl FnMut(Vec<Uuid>) -> io::Result<HashSet<Uuid>>,
    ) -> io::Result<()> {
        let mut placing = true;
        let mut last_end = Instant::now();
        loop {
            while placing {
                match placed.try_recv() {
                    Ok(order) => self.waiting.push_back(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => placing = false,
                }
            }
            if placing {
                last_end = Instant::now();
            } else if self.waiting.is_empty() || last_end.elapsed() > PATIENCE {
                return Ok(());
            }
            let asked = self.grown_up();
            if asked > 0 {
                let found = look(self.waiting.iter().take(asked).map(|it| it.id).collect())?;
                self.watched.looks += 1;
                if !found.is_empty() {
                    last_end = Instant::now();
                }
                let before = self.waiting.iter().take_while(|it| !found.contains(&it.id)).count().min(asked);
                self.found(asked, &found);
                if self.rhythm.looked(asked, found.len(), before) {
                    continue;
                }
            }
            match (placing, self.waiting.is_empty()) {
                (true, true) => match placed.recv_timeout(PATIENCE) {
                    Ok(order) => self.waiting.push_back(order),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => placing = false,
                },
                _ => thread::sleep(self.rhythm.pause().max(self.nobody_for())),
            }
        }
    }

    /// How many of the oldest orders could have ended.
    fn grown_up(&self) -> usize {
        let born_before = self.now_us().saturating_sub(self.rhythm.young_us());
        self.waiting.iter().take(self.rhythm.at_once()).take_while(|it| it.sent_us <= born_before).count()
    }

    /// How long nobody is old enough to have ended.
    fn nobody_for(&self) -> Duration {
        let grown_up = self.waiting.front().map_or(0, |oldest| oldest.sent_us + self.rhythm.young_us());
        Duration::from_micros(grown_up.saturating_sub(self.now_us()))
    }

    fn found(&mut self, asked: usize, found: &HashSet<Uuid>) {
        let seen_us = self.now_us();
        let looked_at: Vec<Placed> = self.waiting.drain(..asked).collect();
        for order in looked_at.into_iter().rev() {
            if !found.contains(&order.id) {
                self.waiting.push_front(order);
                continue;
            }
            self.rhythm.took(seen_us.saturating_sub(order.sent_us));
            let Placed { id, intended_us, sent_us, answered_us } = order;
            self.watched.ended.push(Ended { id, intended_us, sent_us, answered_us, seen_us: seen_us.max(answered_us) });
        }
        self.places.add_permits(found.len());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.ended += found.len() as u64;
        seen.last_us = seen_us;
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn done(mut self) -> Watched {
        self.watched.unended = self.waiting.iter().map(|it| it.id).collect();
        self.watched
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn every_order_is_seen_to_end_once_and_gives_its_place_back() {
        let (sender, receiver) = mpsc::channel();
        for n in 0..500 {
            let placed = Placed { id: Uuid::from_u64_pair(1, n), intended_us: 0, sent_us: 0, answered_us: 0 };
            sender.send(placed).expect("it listens");
        }
        drop(sender);
        let mut watching = Watching::new(Instant::now());
        let places = Arc::clone(&watching.places);
        let mut round = 0;
        let run = watching.run(&receiver, |orders| {
            round += 1;
            // Every third ends later.
            Ok(orders.into_iter().filter(|id| round > 20 || id.as_u64_pair().1 % 3 > 0).collect())
        });
        run.expect("nothing failed");
        let watched = watching.done();
        let ids: HashSet<Uuid> = watched.ended.iter().map(|it| it.id).collect();
        assert_eq!((watched.ended.len(), ids.len(), watched.unended.len()), (500, 500, 0));
        assert_eq!(places.available_permits(), 500);
    }

    #[test]
    fn a_database_that_fails_ends_the_watch() {
        let (sender, receiver) = mpsc::channel();
        let placed = Placed { id: Uuid::nil(), intended_us: 0, sent_us: 0, answered_us: 0 };
        sender.send(placed).expect("it listens");
        let mut watching = Watching::new(Instant::now());
        assert!(watching.run(&receiver, |_| Err(io::ErrorKind::BrokenPipe.into())).is_err());
    }
}
