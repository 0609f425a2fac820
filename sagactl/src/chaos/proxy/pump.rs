//! Moves the bytes of one connection in one direction.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::mode::{Direction, Mode, State};

const PIECE: usize = 16 * 1024;
/// How PostgreSQL's simple query protocol spells it.
const COMMIT: &[u8] = b"COMMIT\0";

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// One side closed it.
    Closed,
    /// The proxy cut it, or a side was gone.
    Reset,
}

/// How a connection breaks while nothing passes.
enum Broken {
    Cut,
    Dead,
}

pub(super) struct Pump<'a> {
    direction: Direction,
    state: watch::Receiver<State>,
    /// The proxy's cuts when the connection was made.
    cuts: u64,
    struck: &'a AtomicU64,
    /// Whether the connection has lost bytes, whichever way: it can only be cut then.
    lost: &'a AtomicBool,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        direction: Direction,
        mut state: watch::Receiver<State>,
        cuts: u64,
        struck: &'a AtomicU64,
        lost: &'a AtomicBool,
    ) -> Self {
        state.mark_changed();
        Self { direction, state, cuts, struck, lost }
    }

    pub(super) async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> End {
        let mut piece = vec![0; PIECE];
        loop {
            let wanted = match self.state.borrow().mode {
                // Small pieces, so that a change of mode is felt soon.
                Mode::Throttle { bytes_per_second } => (bytes_per_second as usize / 20).clamp(1, PIECE),
                _ => PIECE,
            };
            let read = tokio::select! {
                read = from.read(&mut piece[..wanted]) => read,
                broken = Self::broken(&mut self.state, self.cuts, self.lost) => match broken {
                    Broken::Cut => return End::Reset,
                    Broken::Dead => {
                        self.struck.fetch_add(1, Ordering::Relaxed);
                        return self.stay_dead().await;
                    }
                },
            };
            match read {
                Ok(0) => return self.close().await,
                Ok(length) => {
                    if let Some(end) = self.pass(&piece[..length], &mut to).await {
                        return end;
                    }
                }
                Err(_) => return End::Reset,
            }
        }
    }

    /// Waits until the connection breaks.
    async fn broken(state: &mut watch::Receiver<State>, cuts: u64, lost: &AtomicBool) -> Broken {
        loop {
            let now = *state.borrow_and_update();
            let losing = matches!(now.mode, Mode::Lose(_));
            if now.cuts > cuts || now.mode == Mode::Refuse || (lost.load(Ordering::Relaxed) && !losing) {
                return Broken::Cut;
            }
            if now.mode == Mode::HalfOpen {
                return Broken::Dead;
            }
            if state.changed().await.is_err() {
                return Broken::Cut;
            }
        }
    }

    /// A close is a message too: while nothing passes it does not pass either.
    async fn close(&mut self) -> End {
        while self.state.borrow_and_update().mode.holds() {
            if self.state.changed().await.is_err() {
                break;
            }
        }
        End::Closed
    }

    /// Carries one piece, as the mode of the moment wants it. `Some` if that ends the connection.
    async fn pass(&mut self, piece: &[u8], to: &mut WriteHalf<'_>) -> Option<End> {
        loop {
            let mode = self.state.borrow_and_update().mode;
            if mode != Mode::Pass && !matches!(mode, Mode::CutAtCommit { .. }) {
                self.struck.fetch_add(1, Ordering::Relaxed);
            }
            match mode {
                Mode::Delay { by, jitter } => sleep(by + jitter.mul_f64(rand::random())).await,
                Mode::Throttle { bytes_per_second } => {
                    sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(bytes_per_second.max(1)))).await;
                }
                Mode::Stall => {
                    tokio::select! {
                        changed = self.state.changed() => if changed.is_err() { return Some(End::Reset) },
                    }
                    if self.state.borrow().cuts > self.cuts {
                        return Some(End::Reset);
                    }
                    continue;
                }
                Mode::HalfOpen => {
                    return Some(self.stay_dead().await);
                }
                lossy if lossy.loses(self.direction) => {
                    self.lost.store(true, Ordering::Relaxed);
                    return None;
                }
                Mode::Refuse => return Some(End::Reset),
                Mode::Truncate(direction) if direction == self.direction => {
                    let _ = to.write_all(&piece[..piece.len() / 2]).await;
                    return Some(End::Reset);
                }
                Mode::CutAtCommit { arrives } if self.direction == Direction::ToServer && has(piece, COMMIT) => {
                    self.struck.fetch_add(1, Ordering::Relaxed);
                    if arrives {
                        let _ = to.write_all(piece).await;
                        // Long enough for the server to read it; it acts on what it has read.
                        sleep(Duration::from_millis(20)).await;
                    }
                    return Some(End::Reset);
                }
                Mode::Pass | Mode::Lose(_) | Mode::Truncate(_) | Mode::CutAtCommit { .. } => {}
            }
            return to.write_all(piece).await.is_err().then_some(End::Reset);
        }
    }

    /// Only the two ends' own patience gets them out of it.
    async fn stay_dead(&mut self) -> End {
        // A dead connection costs two sockets; after this long nobody waits on it any more.
        const FORGOTTEN_AFTER: Duration = Duration::from_secs(180);
        let cut = async {
            while self.state.borrow_and_update().cuts <= self.cuts {
                if self.state.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FORGOTTEN_AFTER, cut).await;
        End::Reset
    }
}

fn has(piece: &[u8], wanted: &[u8]) -> bool {
    piece.windows(wanted.len()).any(|window| window == wanted)
}
