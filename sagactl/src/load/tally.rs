//! From what was seen of each order to the figures. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::percentiles::Percentiles;

/// A backlog that grows by more than this part of the sagas of the window means that the ends did not keep up.
const LAGGING: f64 = 0.05;

/// An order whose end was seen. Times are microseconds since the beginning of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The order.
    pub id: Uuid,
    /// When it should have been placed; in a closed loop that is when it was.
    pub intended_us: u64,
    /// When it was asked for.
    pub sent_us: u64,
    /// When order-svc had answered.
    pub answered_us: u64,
    /// When it was seen to be confirmed or cancelled.
    pub seen_us: u64,
}

/// What the database says of an order at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final {
    /// Whether it is confirmed (or further); else it is cancelled.
    pub confirmed: bool,
    /// When it was closed, in microseconds since the beginning of the load; only confirmed orders are.
    pub closed_us: Option<u64>,
}

/// Which sagas count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// End of the warm-up, in microseconds.
    pub from_us: u64,
    /// End of placing, in microseconds.
    pub to_us: u64,
    /// In an open loop times are of the orders that were *meant* to be placed in the window, also of those that ended long after
    /// it; in a closed loop of those that ended in it, as nothing is meant there before it is done.
    pub open: bool,
}

/// Sagas per second, one value for each second from the beginning of the load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerSecond {
    /// Orders that order-svc had accepted.
    pub placed: Vec<u64>,
    /// Orders that were confirmed or cancelled.
    pub ended: Vec<u64>,
    /// Sagas with nothing left to do.
    pub closed: Vec<u64>,
    /// Microseconds from placing to the terminal state that half of those took that ended in this second.
    pub p50_us: Vec<u64>,
    /// The same that 99 % took.
    pub p99_us: Vec<u64>,
}

/// What was measured in the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Sagas that ended in the window.
    pub ended: u64,
    /// The same for each second.
    pub rate: f64,
    /// Of those, confirmed; the others were cancelled.
    pub confirmed: u64,
    /// From placing to the terminal state.
    pub terminal: Percentiles,
    /// From placing until nothing was left to do (`closed_at`; the terminal state for those cancelled).
    pub closed: Percentiles,
    /// From placing to order-svc's answer.
    pub http: Percentiles,
    /// From the intended moment to the request: how late the client itself was. Contained in the others.
    pub late: Percentiles,
    /// Confirmed orders that were not yet closed when the window began.
    pub backlog_before: u64,
    /// The same when it ended.
    pub backlog_after: u64,
    /// Whether what is left to do after the terminal state kept up.
    pub keeps_up: bool,
    /// How many sagas were in the system on average, by Little's law.
    pub in_flight: f64,
    /// By how many percent more sagas ended in the second half of the window than in the first; far from 0: the state was not steady.
    pub drift_percent: f64,
    /// Over time.
    pub per_second: PerSecond,
}

/// Sums up.
#[must_use]
pub fn figures(ended: &[Ended], finals: &HashMap<Uuid, Final>, window: Window) -> Figures {
    let within = |us: u64| (window.from_us..window.to_us).contains(&us);
    let counts = |it: &&Ended| within(if window.open { it.intended_us } else { it.seen_us });
    // The database's clock, and the moment at which the client looked: nothing is closed before it has ended.
    let end = |it: &Ended| finals.get(&it.id).and_then(|it| it.closed_us).map_or(it.seen_us, |us| us.max(it.seen_us));
    let confirmed = |it: &&Ended| finals.get(&it.id).is_some_and(|it| it.confirmed);
    let backlog = |at: u64| {
        let open =
            |it: &&Ended| it.seen_us <= at && finals.get(&it.id).and_then(|it| it.closed_us).is_none_or(|us| us > at);
        ended.iter().filter(confirmed).filter(open).count() as u64
    };
    let took = |of: &dyn Fn(&Ended) -> u64| {
        Percentiles::of(ended.iter().filter(counts).map(|it| of(it).saturating_sub(it.intended_us)))
    };
    let in_window: Vec<&Ended> = ended.iter().filter(|it| within(it.seen_us)).collect();
    let seconds = window.to_us.saturating_sub(window.from_us).max(1) as f64 / 1e6;
    let rate = in_window.len() as f64 / seconds;
    let terminal = took(&|it| it.seen_us);
    let (before, after) = (backlog(window.from_us), backlog(window.to_us));
    let middle = u64::midpoint(window.from_us, window.to_us);
    let first_half = in_window.iter().filter(|it| it.seen_us < middle).count();
    let second_half = in_window.len() - first_half;
    let times = times_per_second(ended);
    Figures {
        ended: in_window.len() as u64,
        rate,
        confirmed: in_window.iter().copied().filter(|it| confirmed(it)).count() as u64,
        terminal,
        closed: took(&end),
        http: took(&|it| it.answered_us),
        late: took(&|it| it.sent_us),
        backlog_before: before,
        backlog_after: after,
        keeps_up: after.saturating_sub(before) as f64 <= LAGGING * in_window.len() as f64,
        in_flight: rate * terminal.mean_ms / 1e3,
        drift_percent: (second_half as f64 / first_half.max(1) as f64 - 1.0) * 100.0,
        per_second: PerSecond {
            placed: per_second(ended.iter().map(|it| it.answered_us)),
            ended: per_second(ended.iter().map(|it| it.seen_us)),
            closed: per_second(ended.iter().map(end)),
            p50_us: times.iter().map(|it| at_quantile(it, 50)).collect(),
            p99_us: times.iter().map(|it| at_quantile(it, 99)).collect(),
        },
    }
}

fn per_second(times_us: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut counts = Vec::new();
    for us in times_us {
        let second = usize::try_from(us / 1_000_000).unwrap_or_default();
        if counts.len() <= second {
            counts.resize(second + 1, 0);
        }
        counts[second] += 1;
    }
    counts
}

/// How long sagas took, in order, by the second in which they ended.
fn times_per_second(ended: &[Ended]) -> Vec<Vec<u64>> {
    let mut seconds: Vec<Vec<u64>> = Vec::new();
    for it in ended {
        let second = usize::try_from(it.seen_us / 1_000_000).unwrap_or_default();
        if seconds.len() <= second {
            seconds.resize(second + 1, Vec::new());
        }
        seconds[second].push(it.seen_us.saturating_sub(it.intended_us));
    }
    seconds.iter_mut().for_each(|times| times.sort_unstable());
    seconds
}

fn at_quantile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;

    fn order(n: u64, intended_ms: u64, took_ms: u64) -> Ended {
        let intended_us = intended_ms * MS;
        let (sent_us, answered_us) = (intended_us + 10, intended_us + MS);
        Ended { id: Uuid::from_u64_pair(0, n), intended_us, sent_us, answered_us, seen_us: intended_us + took_ms * MS }
    }

    fn closed_after(orders: &[Ended], ms: u64) -> HashMap<Uuid, Final> {
        let close = |it: &Ended| (it.id, Final { confirmed: true, closed_us: Some(it.seen_us + ms * MS) });
        orders.iter().map(close).collect()
    }

    fn window(from_ms: u64, to_ms: u64, open: bool) -> Window {
        Window { from_us: from_ms * MS, to_us: to_ms * MS, open }
    }

    #[test]
    fn only_the_steady_state_counts() {
        let orders: Vec<Ended> = (0..3_000).map(|n| order(n, n, if n < 1_000 { 500 } else { 10 })).collect();
        let figures = figures(&orders, &closed_after(&orders, 2), window(1_500, 2_500, false));
        assert_eq!((figures.ended, figures.confirmed), (1_000, 1_000));
        assert!((figures.rate - 1_000.0).abs() < 1e-9, "{}", figures.rate);
        assert!(
            (figures.terminal.p50_ms - 10.0).abs() < 0.1 && figures.terminal.max_ms < 10.1,
            "{:?}",
            figures.terminal
        );
        assert!((figures.closed.p99_ms - 12.0).abs() < 0.1, "{:?}", figures.closed);
        assert!((figures.http.p50_ms - 1.0).abs() < 0.1, "{:?}", figures.http);
        assert!((figures.in_flight - 10.0).abs() < 0.1, "{}", figures.in_flight);
        assert!(figures.keeps_up);
        assert_eq!((figures.per_second.p99_us[1], figures.per_second.p50_us[2]), (500 * MS, 10 * MS));
    }

    /// A system that stands still for a second must not look as if only a few orders had been slow.
    #[test]
    fn an_open_loop_counts_every_order_that_was_meant_to_be_placed_while_nothing_went() {
        let stood = |n: u64| if (1_000..2_000).contains(&n) { 2_000 - n + 5 } else { 5 };
        let orders: Vec<Ended> = (0..3_000).map(|n| order(n, n, stood(n))).collect();
        let figures = figures(&orders, &closed_after(&orders, 1), window(1_000, 2_000, true));
        assert_eq!(figures.terminal.count, 1_000);
        assert!(figures.terminal.p50_ms > 450.0 && figures.terminal.p99_ms > 950.0, "{:?}", figures.terminal);
    }

    #[test]
    fn ends_that_do_not_keep_up_are_told() {
        let orders: Vec<Ended> = (0..2_000).map(|n| order(n, n, 5)).collect();
        let falling_behind = orders.iter().map(|it| {
            let closed_us = it.seen_us + it.seen_us / 4;
            (it.id, Final { confirmed: true, closed_us: Some(closed_us) })
        });
        let behind = figures(&orders, &falling_behind.collect(), window(500, 1_500, false));
        assert!(!behind.keeps_up && behind.backlog_after > behind.backlog_before, "{behind:?}");
        let steady = figures(&orders, &closed_after(&orders, 200), window(500, 1_500, false));
        assert!(
            steady.keeps_up,
            "a backlog that does not grow is none: {} to {}",
            steady.backlog_before, steady.backlog_after
        );
    }

    #[test]
    fn a_state_that_is_not_steady_shows() {
        let slower = |n: u64| if n < 1_000 { n } else { 1_000 + (n - 1_000) * 2 };
        let orders: Vec<Ended> = (0..2_000).map(|n| order(n, slower(n), 5)).collect();
        let drift = |from, to| figures(&orders, &closed_after(&orders, 1), window(from, to, false)).drift_percent;
        assert!(drift(200, 800).abs() < 1.0, "{}", drift(200, 800));
        assert!((drift(500, 1_500) + 50.0).abs() < 2.0, "{}", drift(500, 1_500));
    }

    #[test]
    fn a_cancelled_order_is_done_when_it_is_cancelled() {
        let orders = [order(1, 0, 20)];
        let cancelled = HashMap::from([(orders[0].id, Final { confirmed: false, closed_us: None })]);
        let figures = figures(&orders, &cancelled, window(0, 1_000, false));
        assert_eq!((figures.confirmed, figures.backlog_after), (0, 0));
        assert_eq!(figures.closed.max_ms, figures.terminal.max_ms);
        assert_eq!(figures.per_second.closed, [1]);
    }

    #[test]
    fn no_order_is_closed_before_it_has_ended_though_the_end_is_seen_late() {
        let orders = [order(1, 0, 20)];
        let earlier = HashMap::from([(orders[0].id, Final { confirmed: true, closed_us: Some(19 * MS) })]);
        let figures = figures(&orders, &earlier, window(0, 1_000, false));
        assert_eq!(figures.closed.max_ms, figures.terminal.max_ms);
    }

    #[test]
    fn nothing_gives_figures_too() {
        let nothing = figures(&[], &HashMap::new(), window(0, 1_000, false));
        assert_eq!((nothing.ended, nothing.terminal), (0, Percentiles::default()));
    }
}
