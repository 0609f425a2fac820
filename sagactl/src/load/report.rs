//! What a load run found, for people, machines and the eye.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::beside::{Comparison, Measure, Ratio};
use super::percentiles::Percentiles;
use super::sampling::Sample;
use super::tally::Figures;
use crate::cmd::show::table;
use crate::plot::{self, Series};

/// One round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Times, rates, backlog.
    pub figures: Figures,
    /// Orders that could not be placed.
    pub failed: u64,
    /// Why the first of those could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// Processor seconds for 1,000 sagas, by program; empty if the servers are not on this machine.
    pub cpu_s_per_1000: Vec<(String, f64)>,
    /// The same, of everything together.
    pub cpu_s_per_1000_sum: f64,
    /// How much of the machine was idle, in percent.
    pub idle_percent: f64,
    /// How much of the machine went to programs that are not part of this, in percent.
    pub others_percent: f64,
    /// How often the database was asked which orders had ended.
    pub looks: u64,
    /// Once a second.
    pub samples: Vec<Sample>,
}

impl Round {
    /// What is compared with others.
    #[must_use]
    pub fn measure(&self) -> Measure {
        let Percentiles { p50_ms, p99_ms, .. } = self.figures.terminal;
        let cpu = (!self.cpu_s_per_1000.is_empty()).then_some(self.cpu_s_per_1000_sum);
        Measure { rate: self.figures.rate, p50_ms, p99_ms, cpu_s_per_1000: cpu }
    }
}

/// A run whose audit was clean: there is no report of any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Medians over all rounds; at the top level, so that a report can stand beside another one.
    #[serde(flatten)]
    pub measure: Measure,
    /// The command that does the same again.
    pub command: String,
    /// When it began.
    pub begun: DateTime<Utc>,
    /// What it ran on.
    pub machine: BTreeMap<String, String>,
    /// What speaks against taking the figures for more than they are.
    pub warnings: Vec<String>,
    /// Each round.
    pub rounds: Vec<Round>,
    /// What the other command measured: before the first round, and after each.
    pub beside: Vec<Measure>,
    /// Ours as multiples of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What the audit looked at, and found in order.
    pub audited: BTreeMap<String, u64>,
}

impl Report {
    /// The tables.
    #[must_use]
    pub fn people(&self) -> String {
        let mut text = String::new();
        for (n, round) in self.rounds.iter().enumerate() {
            if self.rounds.len() > 1 {
                let _ = writeln!(text, "Round {}", n + 1);
            }
            people(&mut text, round);
        }
        if let Some(comparison) = &self.comparison {
            compared(&mut text, comparison, &self.beside);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        let orders = self.audited.get("orders").copied().unwrap_or_default();
        let _ = write!(text, "The audit is clean ({orders} orders). Again: {}", self.command);
        text
    }

    /// Plots by file name; of the last round those over time.
    #[must_use]
    pub fn plots(&self) -> Vec<(&'static str, String)> {
        let Some(round) = self.rounds.last() else { return Vec::new() };
        let per_second = &round.figures.per_second;
        let line = |name, colour, values| Series { name, colour, values };
        let throughput = [
            line("placed", "#06c", per_second.placed.as_slice()),
            line("ended", "#080", &per_second.ended),
            line("closed", "#c60", &per_second.closed),
        ];
        let latency = [line("p50", "#080", per_second.p50_us.as_slice()), line("p99", "#c60", &per_second.p99_us)];
        let of = |value: &dyn Fn(&Sample) -> u64| round.samples.iter().map(value).collect::<Vec<u64>>();
        let (queued, outbox) = (of(&|it| it.queued.unwrap_or_default()), of(&|it| it.outbox_rows));
        let age = of(&|it| it.outbox_age_ms);
        let backlog = [line("in queues", "#06c", &queued), line("in outboxes", "#c60", &outbox)];
        let programs: Vec<&String> =
            round.samples.last().map(|it| it.resident_kib.keys().collect()).unwrap_or_default();
        let resident: Vec<Vec<u64>> = programs
            .iter()
            .map(|name| of(&|it| it.resident_kib.get(*name).copied().unwrap_or_default() / 1_024))
            .collect();
        let colours = ["#06c", "#080", "#c60", "#808", "#088", "#c06", "#666"];
        let memory: Vec<Series<'_>> = programs
            .iter()
            .zip(&resident)
            .zip(colours)
            .map(|((name, values), colour)| line(name.as_str(), colour, values))
            .collect();
        vec![
            ("throughput.svg", plot::over_time(&throughput, &[], "/s")),
            ("latency.svg", plot::over_time(&latency, &[], " \u{b5}s")),
            ("backlog.svg", plot::over_time(&backlog, &[], "")),
            ("outbox-age.svg", plot::over_time(&[line("oldest in an outbox", "#06c", &age)], &[], " ms")),
            ("memory.svg", plot::over_time(&memory, &[], " MiB")),
        ]
    }
}

fn people(text: &mut String, round: &Round) {
    let figures = &round.figures;
    let cancelled = figures.ended.saturating_sub(figures.confirmed);
    let _ = writeln!(
        text,
        "{:.1} sagas/s: {} ended in the window, {} confirmed and {cancelled} cancelled; {:.1} in flight on average; {} orders could not be placed",
        figures.rate, figures.ended, figures.confirmed, figures.in_flight, round.failed
    );
    if let Some(why) = &round.first_failure {
        let _ = writeln!(text, "the first of them: {why}");
    }
    let numbers = ["count", "mean ms", "p50", "p90", "p99", "p99.9", "max"];
    let mut times = table(["from placing to", "count", "mean ms", "p50", "p90", "p99", "p99.9", "max"], &numbers);
    for (name, it) in [
        ("the answer (HTTP)", figures.http),
        ("the terminal state", figures.terminal),
        ("nothing left to do", figures.closed),
        ("(late by the client)", figures.late),
    ] {
        let mut cells = vec![name.to_owned(), it.count.to_string()];
        let all = [it.mean_ms, it.p50_ms, it.p90_ms, it.p99_ms, it.p999_ms, it.max_ms];
        cells.extend(all.map(|ms| format!("{ms:.2}")));
        times.add_row(cells);
    }
    let _ = writeln!(text, "{times}");
    let keeps_up = if figures.keeps_up { "keeps up" } else { "LAGGING" };
    let queued = round.samples.iter().filter_map(|it| it.queued).max();
    let most = |of: &dyn Fn(&Sample) -> u64| round.samples.iter().map(of).max().unwrap_or_default();
    let _ = writeln!(
        text,
        "confirmed and not closed: {} -> {} ({keeps_up}); at most {} messages in queues, {} in outboxes, the oldest {} ms old",
        figures.backlog_before,
        figures.backlog_after,
        queued.map_or_else(|| "an unknown number of".to_owned(), |queued| queued.to_string()),
        most(&|it| it.outbox_rows),
        most(&|it| it.outbox_age_ms)
    );
    if round.cpu_s_per_1000.is_empty() {
        return;
    }
    let mut cost =
        table(["program", "CPU s / 1,000", "memory MiB", "at most"], &["CPU s / 1,000", "memory MiB", "at most"]);
    for (program, seconds) in &round.cpu_s_per_1000 {
        let kib = |sample: Option<&Sample>| sample.and_then(|it| it.resident_kib.get(program).copied());
        let mib = |kib: Option<u64>| kib.map_or_else(String::new, |kib| format!("{:.1}", kib as f64 / 1_024.0));
        let highest = round.samples.iter().filter_map(|it| kib(Some(it))).max();
        cost.add_row([program.clone(), format!("{seconds:.3}"), mib(kib(round.samples.last())), mib(highest)]);
    }
    cost.add_row(["all".to_owned(), format!("{:.3}", round.cpu_s_per_1000_sum), String::new(), String::new()]);
    let _ = writeln!(text, "{cost}");
    let _ = writeln!(
        text,
        "the machine was {:.0} % idle; {:.0} % went to other programs; the database was asked {} times who had ended",
        round.idle_percent, round.others_percent, round.looks
    );
}

fn compared(text: &mut String, comparison: &Comparison, beside: &[Measure]) {
    let mut ratios = table(["ours as a multiple of theirs", "median", "min", "max"], &["median", "min", "max"]);
    let rows: [(&str, Option<Ratio>); 4] = [
        ("rate (more is better)", Some(comparison.rate)),
        ("p50 (less is better)", Some(comparison.p50)),
        ("p99 (less is better)", Some(comparison.p99)),
        ("CPU (less is better)", comparison.cpu),
    ];
    for (name, ratio) in rows {
        if let Some(it) = ratio {
            let numbers = [it.median, it.min, it.max].map(|number| format!("{number:.2}"));
            ratios.add_row([vec![name.to_owned()], numbers.to_vec()].concat());
        }
    }
    let theirs: Vec<String> =
        beside.iter().map(|it| format!("{:.0}/s p50 {:.2} p99 {:.2}", it.rate, it.p50_ms, it.p99_ms)).collect();
    let _ = writeln!(text, "{ratios}\ntheirs: {}", theirs.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let samples = vec![
            Sample {
                second: 0.0,
                queued: Some(3),
                resident_kib: BTreeMap::from([("order-svc".to_owned(), 20_480)]),
                ..Sample::default()
            },
            Sample {
                second: 1.0,
                outbox_age_ms: 7,
                resident_kib: BTreeMap::from([("order-svc".to_owned(), 10_240)]),
                ..Sample::default()
            },
        ];
        let figures = Figures { ended: 500, rate: 100.0, confirmed: 490, keeps_up: false, ..Figures::default() };
        let cpu = vec![("order-svc".to_owned(), 0.5)];
        let round = Round { figures, cpu_s_per_1000: cpu, cpu_s_per_1000_sum: 0.5, samples, ..Round::default() };
        Report {
            measure: round.measure(),
            command: "sagactl load".to_owned(),
            begun: Utc::now(),
            machine: BTreeMap::new(),
            warnings: vec!["a debug build".to_owned()],
            rounds: vec![round],
            beside: Vec::new(),
            comparison: None,
            audited: BTreeMap::from([("orders".to_owned(), 510)]),
        }
    }

    /// So that two builds can be put beside each other.
    #[test]
    fn a_report_in_one_line_has_the_figures_that_are_compared() {
        let line = serde_json::to_string(&report()).expect("JSON");
        let read: Measure = serde_json::from_str(&line).expect("figures");
        assert_eq!(read, report().measure);
    }

    #[test]
    fn people_read_what_lags_what_it_cost_and_what_to_beware_of() {
        let text = report().people();
        for part in
            ["100.0 sagas/s", "LAGGING", "order-svc", "20.0", "warning: a debug build", "510 orders", "10 cancelled"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn every_plot_has_its_lines() {
        let plots = report().plots();
        let lines = |name: &str| {
            let (_, svg) = plots.iter().find(|(it, _)| *it == name).expect("a plot");
            svg.matches("<polyline").count()
        };
        assert_eq!(
            (lines("throughput.svg"), lines("backlog.svg"), lines("outbox-age.svg"), lines("memory.svg")),
            (3, 2, 1, 1)
        );
    }
}
