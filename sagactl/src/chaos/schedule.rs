//! When which fault strikes whom: a pure function of seed, duration and kinds, worked out before the start.

use std::collections::VecDeque;

use super::dice::Dice;
use super::kinds::{Claim, Kind};
use crate::stack::Program;

/// How faults follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// Up to three at the same time: they meet each other's recoveries.
    #[default]
    Crowded,
    /// Each [`PAUSE_MS`] after the last one's end, so that what follows it is its own doing: for recovery times.
    OneAtATime,
}

/// At most so many faults at the same time.
const AT_ONCE: usize = 3;
/// How long nothing happens after a fault that is alone, in milliseconds: longer than any recovery should take.
pub const PAUSE_MS: u64 = 12_000;
/// Between two beginnings, in milliseconds, from and to.
const GAP_MS: (u64, u64) = (150, 900);
/// After so many faults comes a calm, in which all of them have ended.
const UNTIL_CALM: usize = 15;
/// How long a calm is, in milliseconds.
const CALM_MS: u64 = 3_000;
/// Orders flow this long before the first fault, in milliseconds.
const FIRST_MS: u64 = 2_000;

/// One fault to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// What.
    pub kind: &'static Kind,
    /// Whom, if the kind has targets.
    pub target: Option<Program>,
    /// How long it is held, in milliseconds.
    pub lasts_ms: u64,
    /// The seed of whatever else is left to chance.
    pub seed: u64,
}

impl Planned {
    fn ends_ms(&self) -> u64 {
        self.at_ms + self.lasts_ms + self.kind.overhead_ms
    }

    /// Whether both can happen at the same time.
    fn goes_with(&self, other: &Self) -> bool {
        use Claim::{Servers, ServersUp, Target};
        match (self.kind.claim, other.kind.claim) {
            (Servers, Servers | ServersUp) | (ServersUp, Servers) => false,
            (Target, Target) => self.target != other.target,
            _ => true,
        }
    }
}

/// The schedule of a run. Every kind gets its turn before any gets its next; of two faults that cannot happen at the same time the
/// second waits; now and then nothing happens for a while.
#[must_use]
pub fn schedule(seed: u64, duration_ms: u64, kinds: &[&'static Kind], pace: Pace) -> Vec<Planned> {
    let mut dice = Dice::new(seed, 1);
    let mut planned: Vec<Planned> = Vec::new();
    let mut turn: VecDeque<&'static Kind> = VecDeque::new();
    let mut now = FIRST_MS;
    let mut until_calm = UNTIL_CALM;
    while !kinds.is_empty() {
        if turn.is_empty() {
            let mut all = kinds.to_vec();
            dice.shuffle(&mut all);
            turn.extend(all);
        }
        let Some(kind) = turn.pop_front() else { break };
        let mut next = Planned {
            at_ms: now,
            kind,
            target: dice.pick(kind.targets).copied(),
            lasts_ms: dice.between(kind.lasts_ms.0, kind.lasts_ms.1),
            seed: dice.throw(),
        };
        if until_calm == 0 {
            next.at_ms = planned.iter().map(Planned::ends_ms).max().unwrap_or(now).max(now) + CALM_MS;
            until_calm = UNTIL_CALM;
        }
        next.at_ms = match pace {
            Pace::Crowded => free_from(&planned, &next),
            Pace::OneAtATime => planned.last().map_or(FIRST_MS, |last| last.ends_ms() + PAUSE_MS),
        };
        if next.ends_ms() > duration_ms {
            break;
        }
        until_calm -= 1;
        now = next.at_ms + dice.between(GAP_MS.0, GAP_MS.1);
        planned.push(next);
    }
    planned
}

/// The earliest moment, not before its own, at which it can happen.
fn free_from(planned: &[Planned], next: &Planned) -> u64 {
    let mut at_ms = next.at_ms;
    loop {
        let moved = Planned { at_ms, ..next.clone() };
        // Beginnings are in order, so whoever has not ended at `at_ms` is in the way.
        let running: Vec<&Planned> = planned.iter().rev().take(200).filter(|it| it.ends_ms() > at_ms).collect();
        let in_the_way = running.iter().filter(|it| !it.goes_with(&moved)).map(|it| it.ends_ms()).max();
        let crowded = (running.len() >= AT_ONCE).then(|| running.iter().map(|it| it.ends_ms()).min()).flatten();
        match in_the_way.max(crowded) {
            Some(later) if later > at_ms => at_ms = later,
            _ => return at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::kinds;
    use super::*;

    const TEN_MINUTES: u64 = 600_000;

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_another() {
        let all = kinds::all();
        assert_eq!(schedule(7, TEN_MINUTES, &all, Pace::Crowded), schedule(7, TEN_MINUTES, &all, Pace::Crowded));
        assert_ne!(schedule(7, TEN_MINUTES, &all, Pace::Crowded), schedule(8, TEN_MINUTES, &all, Pace::Crowded));
    }

    #[test]
    fn a_longer_run_begins_as_a_shorter_one() {
        let (short, long) =
            (schedule(7, 60_000, &kinds::all(), Pace::Crowded), schedule(7, TEN_MINUTES, &kinds::all(), Pace::Crowded));
        assert!(!short.is_empty() && long.starts_with(&short));
    }

    #[test]
    fn every_kind_gets_its_fair_share() {
        let kinds = kinds::all();
        let mut times: BTreeMap<&str, usize> = kinds.iter().map(|kind| (kind.name, 0)).collect();
        for planned in schedule(1, 1_800_000, &kinds, Pace::Crowded) {
            *times.entry(planned.kind.name).or_default() += 1;
        }
        let (least, most) = (times.values().min(), times.values().max());
        assert!(least.zip(most).is_some_and(|(least, most)| *least > 3 && most - least <= 1), "{times:?}");
    }

    #[test]
    fn what_cannot_happen_together_does_not_and_calms_are_kept() {
        let planned = schedule(3, TEN_MINUTES, &kinds::all(), Pace::Crowded);
        let mut calms = 0;
        for (n, one) in planned.iter().enumerate() {
            let others = planned[..n].iter().filter(|other| other.ends_ms() > one.at_ms);
            let together: Vec<_> = others.collect();
            assert!(together.len() < AT_ONCE);
            assert!(together.iter().all(|other| other.goes_with(one)), "{one:?} with {together:?}");
            let last_end = planned[..n].iter().map(Planned::ends_ms).max().unwrap_or(0);
            calms += usize::from(one.at_ms >= last_end + CALM_MS);
            assert!(one.ends_ms() <= TEN_MINUTES && one.at_ms >= FIRST_MS);
        }
        assert!(calms >= planned.len() / UNTIL_CALM / 2, "{calms} calms in {} faults", planned.len());
    }

    #[test]
    fn alone_a_fault_has_the_time_after_it_for_itself() {
        let planned = schedule(3, TEN_MINUTES, &kinds::all(), Pace::OneAtATime);
        assert!(planned.len() > 10);
        assert!(planned.windows(2).all(|pair| pair[1].at_ms == pair[0].ends_ms() + PAUSE_MS));
    }
}
