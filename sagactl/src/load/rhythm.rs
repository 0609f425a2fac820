//! When to look at orders, and at which: often enough that what is seen is not late, seldom enough not to be load.

use std::time::Duration;

/// A sleep shorter than this is none.
const SHORTEST_PAUSE_US: u64 = 200;
const LONGEST_PAUSE_US: u64 = 15_000;
/// A look is at most this part of a typical saga late.
const LOOKS_A_SAGA: u64 = 16;
/// Nobody is taken for young for longer: what a system that suddenly becomes faster has ended is not seen later than this.
const LONGEST_YOUTH_US: u64 = 20_000;
/// Orders in one look.
const FEWEST: usize = 32;
const MOST: usize = 2_000;

/// What is known of how long sagas take, in microseconds.
#[derive(Debug, Clone)]
pub(super) struct Rhythm {
    fastest_us: u64,
    typical_us: u64,
    width: usize,
}

impl Rhythm {
    /// Nothing is known yet: looks soon.
    pub(super) fn new() -> Self {
        Self { fastest_us: 0, typical_us: 0, width: FEWEST }
    }

    /// No order younger than this can have ended.
    pub(super) fn young_us(&self) -> u64 {
        (self.fastest_us * 3 / 5).min(LONGEST_YOUTH_US)
    }

    /// The pause before the next look.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_micros((self.typical_us / LOOKS_A_SAGA).clamp(SHORTEST_PAUSE_US, LONGEST_PAUSE_US))
    }

    /// How many orders to look at, oldest first: sagas end almost in the order in which they began, so that looking at all that
    /// are in flight would mostly find what has not ended.
    pub(super) fn at_once(&self) -> usize {
        self.width
    }

    /// A look at `asked` orders found `found` that had ended, `before` of those that had not came before the first of them. Returns
    /// whether there are likely more behind them.
    pub(super) fn looked(&mut self, asked: usize, found: usize, before: usize) -> bool {
        let width = match found {
            // Those in front may be stuck, and hide all others.
            0 => self.width + self.width / 2,
            _ => before + FEWEST + 2 * found,
        };
        self.width = width.min(MOST);
        asked > 1 && found * 2 > asked - before
    }

    /// A saga took so long.
    pub(super) fn took(&mut self, us: u64) {
        // The fastest one fades, so that a system that became slower is not asked too early for ever.
        let faded = self.fastest_us + self.fastest_us / 256 + 1;
        self.fastest_us = match self.fastest_us {
            0 => us,
            // Much faster than all before: it may have ended long before it was looked at.
            fastest if us < fastest * 4 / 5 => us / 2,
            _ => us.min(faded),
        };
        self.typical_us = if self.typical_us == 0 { us } else { self.typical_us - self.typical_us / 64 + us / 64 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sagas: impl IntoIterator<Item = u64>) -> Rhythm {
        let mut rhythm = Rhythm::new();
        sagas.into_iter().for_each(|us| rhythm.took(us));
        rhythm
    }

    #[test]
    fn fast_sagas_are_looked_at_more_often_and_never_too_late() {
        let (fast, slow) = (after([5_000; 100]), after([100_000; 100]));
        assert!(fast.pause() < slow.pause());
        assert!(fast.pause() <= Duration::from_micros(5_000 / LOOKS_A_SAGA));
        assert_eq!(after([60_000_000; 100]).pause(), Duration::from_micros(LONGEST_PAUSE_US));
        assert!(fast.young_us() < 5_000 && fast.young_us() > 2_000);
    }

    #[test]
    fn what_is_young_follows_a_system_that_becomes_slower_or_faster() {
        assert!(after([[1_000; 50], [50_000; 50]].concat()).young_us() < 1_000);
        assert!(after([vec![1_000; 50], vec![50_000; 3_000]].concat()).young_us() > 10_000);
        assert!(after([50_000, 1_000]).young_us() < 500);
        assert_eq!(
            after([1_500_000; 8]).young_us(),
            LONGEST_YOUTH_US,
            "the first ones are slow, the next ones need not be"
        );
    }

    #[test]
    fn a_look_that_finds_much_is_followed_by_a_wider_one_at_once() {
        let mut rhythm = Rhythm::new();
        let before = rhythm.at_once();
        assert!(rhythm.looked(32, 30, 0), "there are likely more");
        assert!(rhythm.at_once() > before);
        assert!(!rhythm.looked(100, 3, 0));
        assert!(!rhythm.looked(1, 1, 0), "it was the only one");
    }

    #[test]
    fn orders_that_are_stuck_do_not_hide_those_behind_them() {
        let mut rhythm = Rhythm::new();
        let stuck = 300;
        let looks = (0..20).take_while(|_| {
            let hidden = rhythm.at_once() <= stuck;
            rhythm.looked(rhythm.at_once(), 0, 0);
            hidden
        });
        assert!(looks.count() < 10);
        let width = rhythm.at_once();
        rhythm.looked(width, 40, stuck);
        assert!(rhythm.at_once() > stuck + 40, "they are still there at the next look");
    }
}
