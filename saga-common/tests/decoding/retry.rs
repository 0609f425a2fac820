//! The schedule of retries, for every policy there can be.

use proptest::prelude::*;
use saga_common::retry::{Decision, Patience, RetryPolicy};
use std::time::Duration;

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..100_000u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_nanos),
        (any::<u64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
        Just(Duration::MAX),
    ]
}

fn policies() -> impl Strategy<Value = RetryPolicy> {
    (durations(), durations(), prop_oneof![any::<u32>(), 0..20u32]).prop_map(|(first_wait, longest_wait, attempts)| {
        RetryPolicy { first_wait, longest_wait, attempts, ..RetryPolicy::default() }
    })
}

fn attempts() -> impl Strategy<Value = u32> {
    prop_oneof![0..40u32, any::<u32>()]
}

/// As a random number generator gives it, and as it never does.
fn jitters() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..=1.0f64, 1 => any::<f64>(), 1 => Just(f64::NAN)]
}

fn wait(policy: RetryPolicy, attempt: u32, jitter: f64) -> Duration {
    match policy.after(attempt, Patience::Endless, jitter) {
        Decision::Wait(wait) => wait,
        Decision::Park => panic!("what may not be given up was parked"),
    }
}

proptest! {
    #[test]
    fn waits_never_shrink_and_never_exceed_the_longest(policy in policies(), attempt in attempts(), jitter in jitters()) {
        let (this, next) = (wait(policy, attempt, jitter), wait(policy, attempt.saturating_add(1), jitter));
        prop_assert!(this <= next && next <= policy.longest_wait, "{:?} {:?}", this, next);
    }

    #[test]
    fn jitter_spreads_a_wait_over_half_to_whole_of_its_length(policy in policies(), attempt in attempts(), jitter in jitters()) {
        let doublings = attempt.saturating_sub(1).min(20);
        let whole = (policy.first_wait.as_nanos() << doublings).min(policy.longest_wait.as_nanos());
        let waited = wait(policy, attempt, jitter).as_nanos();
        prop_assert!(whole / 2 <= waited && waited <= whole, "{} of {}", waited, whole);
        // Rounding may take a few nanoseconds off a wait of years.
        prop_assert!(whole - wait(policy, attempt, 1.0).as_nanos() <= whole >> 50);
        prop_assert!(wait(policy, attempt, 0.0) <= wait(policy, attempt, jitter));
    }

    #[test]
    fn before_the_pivot_a_message_is_parked_exactly_at_the_limit(policy in policies(), attempt in attempts(), jitter in jitters()) {
        for attempt in [attempt, policy.attempts.saturating_sub(1), policy.attempts, policy.attempts.saturating_add(1)] {
            let decision = policy.after(attempt, Patience::Bounded, jitter);
            prop_assert_eq!(decision == Decision::Park, attempt >= policy.attempts);
            if decision != Decision::Park {
                prop_assert_eq!(decision, policy.after(attempt, Patience::Endless, jitter));
            }
        }
    }
}
