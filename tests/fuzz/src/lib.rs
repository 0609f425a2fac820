//! Almost valid input for everything that decodes what strangers wrote.
//!
//! Each decoder has its fuzz test beside it, where it may be private. A test hands [`fuzz`] two functions: one makes an
//! input from [`Dice`], mostly by spoiling a valid one ([`json`], [`bytes`], [`amqp`]); the other decodes it, asserts what
//! must hold and names the outcome. Without settings a test makes the same few thousand executions every time:
//!
//! ```sh
//! cargo test fuzz                                              # the short run
//! FUZZ_SECONDS=300 cargo test --release fuzz -- --nocapture    # a long one, from a new seed, with progress
//! FUZZ_SEED=123 cargo test fuzz                                # the execution that failed with this seed comes first
//! ```

pub mod amqp;
pub mod bytes;
pub mod json;

mod dice;
mod memory;

pub use dice::Dice;
pub use memory::peak_bytes;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// No input may keep a decoder busy for longer, on the slowest machine.
const LIMIT: Duration = Duration::from_secs(5);
/// All inputs together may not need more memory than this beyond what was needed before.
const MEMORY: u64 = 512 * 1024 * 1024;
const PROGRESS: Duration = Duration::from_secs(10);

/// How often each outcome came.
pub type Outcomes = BTreeMap<&'static str, u64>;

/// Decodes input after input: `executions` of them, or for `FUZZ_SECONDS`. Returns the outcomes, so that the test can
/// assert that all were met.
///
/// # Panics
/// With whatever `decode` panics with, or when an input takes too long or too much memory. The input and the seed
/// that makes it again are written to stderr first.
pub fn fuzz<I: Debug>(
    decoder: &str,
    executions: u64,
    make: impl Fn(&mut Dice) -> I,
    decode: impl Fn(&I) -> &'static str,
) -> Outcomes {
    let (began, memory_before) = (Instant::now(), peak_bytes());
    let mut seeds = seeds(executions);
    if seeds.until.is_some() {
        // Known even if an input ends the process.
        say(&format!("fuzz {decoder}: from FUZZ_SEED={}", seeds.next));
    }
    let (mut outcomes, mut done, mut next_progress) = (Outcomes::new(), 0, PROGRESS);
    for seed in &mut seeds {
        let input = make(&mut Dice::new(seed));
        let started = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| decode(&input))) {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(panic) => {
                say(&format!("fuzz {decoder}: FUZZ_SEED={seed} fails for {}", shown(&input)));
                resume_unwind(panic);
            }
        }
        let took = started.elapsed();
        assert!(took < LIMIT, "{decoder}: FUZZ_SEED={seed} took {took:?} for {}", shown(&input));
        done += 1;
        if began.elapsed() >= next_progress {
            next_progress = began.elapsed() + PROGRESS;
            say(&progress(decoder, done, began.elapsed(), &outcomes));
        }
    }
    let grown = peak_bytes().saturating_sub(memory_before);
    assert!(grown < MEMORY, "{decoder}: the last of {done} seeds was {}: {grown} bytes more than before", seeds.next);
    say(&progress(decoder, done, began.elapsed(), &outcomes));
    outcomes
}

/// The seeds of so many executions, or of as many as fit into `FUZZ_SECONDS`.
#[derive(Debug)]
pub struct Seeds {
    next: u64,
    left: u64,
    until: Option<Instant>,
}

/// One seed for each execution, so that a failing one can be had again without those before it.
#[must_use]
pub fn seeds(executions: u64) -> Seeds {
    let until = setting("FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let first = setting("FUZZ_SEED").unwrap_or_else(|| if until.is_some() { dice::fresh_seed() } else { 1 });
    Seeds { next: first, left: if until.is_some() { u64::MAX } else { executions }, until }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return None;
        }
        let seed = self.next;
        self.next = seed.wrapping_add(1);
        Some(seed)
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn progress(decoder: &str, done: u64, took: Duration, outcomes: &Outcomes) -> String {
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let outcomes: Vec<_> = outcomes.iter().map(|(outcome, n)| format!("{outcome} {n}")).collect();
    format!("fuzz {decoder}: {done} executions, {rate:.0}/s ({})", outcomes.join(", "))
}

fn shown(input: &impl Debug) -> String {
    const LONGEST: usize = 20_000;
    let text = format!("{input:?}");
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() { format!("{cut}... ({} bytes in all)", text.len()) } else { cut }
}

/// Past the test harness's capture: an input may end the process.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_can_be_had_again_by_its_seed() {
        let make = |seed| bytes::spoiled(&mut Dice::new(seed), b"{\"valid\": [1, 2, 3]}");
        assert_eq!(make(7).0, make(7).0);
        assert!((0..100).any(|seed| make(seed).0 != make(7).0));
    }

    #[test]
    fn a_decoder_that_panics_fails_the_run() {
        let failed = catch_unwind(|| {
            fuzz("fragile", 1_000, |dice| dice.below(100), |n| if *n == 7 { panic!("seven") } else { "other" })
        });
        assert!(failed.is_err());
    }
}
