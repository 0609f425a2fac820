//! When to try again, and when to park: pure, so that the whole schedule can be read off a table.

use std::time::Duration;

/// How long a message waits between attempts, and when it is parked.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Tries at once, in place, for what passes by itself (serialisation failure, deadlock).
    pub in_place: u32,
    /// First wait; each further one doubles it.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
    /// Attempts after which a message before the pivot is parked.
    pub attempts: u32,
    /// Attempts that ended the process after which a message is parked.
    pub fatal_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            in_place: 3,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(30),
            attempts: 8,
            fatal_attempts: 3,
        }
    }
}

/// May a message be given up?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Before the pivot: after the limit it is parked, and the saga's deadline ends the saga.
    Bounded,
    /// After the pivot and in undos: it waits for ever, with an alert.
    Endless,
}

/// What becomes of a message whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this long.
    Wait(Duration),
    /// Only a person can help.
    Park,
}

impl RetryPolicy {
    /// What follows the `attempt`th failed attempt (counted from 1). `jitter` in 0..1 spreads the waits over half
    /// to whole of their length, so that messages that failed together do not come back together.
    #[must_use]
    pub fn after(&self, attempt: u32, patience: Patience, jitter: f64) -> Decision {
        if patience == Patience::Bounded && attempt >= self.attempts {
            return Decision::Park;
        }
        let doublings = attempt.saturating_sub(1).min(20);
        let wait = self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait);
        let spread = wait / 2;
        // Written so that what is no number counts as none, and rounding cannot make the wait longer than it may be.
        let jitter = if jitter > 0.0 { jitter.min(1.0) } else { 0.0 };
        Decision::Wait(wait - spread + spread.mul_f64(jitter).min(spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_then_the_message_is_parked() {
        let policy = RetryPolicy::default();
        let waits: Vec<_> = (1..=8).map(|n| policy.after(n, Patience::Bounded, 1.0)).collect();
        let wait = |ms| Decision::Wait(Duration::from_millis(ms));
        assert_eq!(
            waits,
            [wait(250), wait(500), wait(1_000), wait(2_000), wait(4_000), wait(8_000), wait(16_000), Decision::Park]
        );
    }

    #[test]
    fn nothing_after_the_pivot_is_parked_for_failing() {
        let policy = RetryPolicy::default();
        for attempt in 1..10_000 {
            assert!(
                matches!(policy.after(attempt, Patience::Endless, 0.0), Decision::Wait(w) if w <= policy.longest_wait)
            );
        }
    }
}
