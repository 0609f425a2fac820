//! What is printed.

use saga_model::config::{bounded, large};
use saga_model::mutants::{CLAUSES, Clause};
use saga_model::{Report, Subject};

/// A table, and the ways to what is broken.
pub(crate) fn print(runs: &[(Subject, Report)], mutant: Option<&'static Clause>) {
    if let Some(clause) = mutant {
        println!("{:?} ({}): {}; expected to break: {}", clause.mutant, clause.rule, clause.instead, clause.breaks);
    }
    println!("{:<24} {:>12} {:>12} {:>6} {:>9}  verdict", "configuration", "states", "unique", "depth", "seconds");
    for (subject, report) in runs {
        let seconds = report.took.as_secs_f64();
        let verdict = verdict(report);
        println!(
            "{:<24} {:>12} {:>12} {:>6} {seconds:>9.1}  {verdict}",
            subject.name(),
            report.states,
            report.unique,
            report.depth
        );
    }
    for (subject, report) in runs {
        for (property, way) in report.broken.iter().take(1) {
            println!("\n{}: broken: {property}", subject.name());
            for (number, action) in (1..).zip(way) {
                println!("{number:>4}. {action}");
            }
        }
        for witness in &report.missing {
            println!("\n{}: never seen: {witness}", subject.name());
        }
    }
}

/// One object a line.
pub(crate) fn json(runs: &[(Subject, Report)], mutant: Option<&'static Clause>) {
    for (subject, report) in runs {
        let way: Vec<String> =
            report.broken.first().map_or_else(Vec::new, |(_, way)| way.iter().map(|action| quoted(action)).collect());
        println!(
            "{{\"config\":{},\"mutant\":{},\"states\":{},\"unique_states\":{},\"depth\":{},\"seconds\":{:.3},\
             \"verdict\":{},\"broken\":[{}],\"never_seen\":[{}],\"path\":[{}]}}",
            quoted(subject.name()),
            mutant.map_or_else(|| "null".to_owned(), |clause| quoted(&format!("{:?}", clause.mutant))),
            report.states,
            report.unique,
            report.depth,
            report.took.as_secs_f64(),
            quoted(&verdict(report)),
            report.broken.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>().join(","),
            report.missing.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","),
            way.join(","),
        );
    }
}

/// Names for `--config` and `--mutant`.
pub(crate) fn list() {
    println!("Configurations, checked by `cargo test`:");
    bounded().iter().for_each(describe);
    println!("Large configurations:");
    large().iter().for_each(describe);
    println!("Mutants:");
    for clause in CLAUSES {
        println!("  {} {:<24} {}", clause.rule, format!("{:?}", clause.mutant), clause.instead);
    }
}

fn describe(subject: &Subject) {
    let about = match subject {
        Subject::Protocol(config) => config.describe(),
        Subject::Locks => "any three transactions of one database, lock by lock".to_owned(),
    };
    println!("  {:<24} {about}", subject.name());
}

fn verdict(report: &Report) -> String {
    match (report.broken.first(), report.missing.len()) {
        (Some((property, way)), _) => format!("broken after {} actions: {property}", way.len()),
        (None, 0) => "holds".to_owned(),
        (None, missing) => format!("holds, but {missing} never seen"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
