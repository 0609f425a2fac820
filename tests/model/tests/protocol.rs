//! The protocol holds in every bounded configuration; and every clause of its rules is needed: dropped, it is caught.

use saga_model::check::{Report, Subject, Until, check, threads};
use saga_model::config::bounded;
use saga_model::mutants::CLAUSES;
use std::collections::BTreeSet;
use std::fmt::Write;

/// States that differ, over all bounded configurations. Fewer would mean that something has been made impossible.
const LEAST_STATES: usize = 100_000;

fn clean(subject: &Subject) -> Report {
    check(subject, None, Until::AnyBroken, threads(), |_, _| {})
}

/// What is broken, and the way there, to be read.
fn told(report: &Report) -> String {
    let mut text = format!("never seen: {:?}", report.missing);
    for (property, way) in &report.broken {
        let _ = write!(text, "\nbroken: {property}");
        for action in way {
            let _ = write!(text, "\n  {action}");
        }
    }
    text
}

#[test]
fn the_protocol_holds_and_everything_that_should_be_possible_is() {
    let mut states = 0;
    for subject in bounded() {
        let name = subject.name();
        let report = clean(&subject);
        states += report.unique;
        println!("{name}: {} states, {} of them differ, {:?}", report.states, report.unique, report.took);
        assert!(report.is_clean(), "{name}: {}", told(&report));
    }
    assert!(states > LEAST_STATES, "only {states} states");
}

#[test]
fn every_clause_of_the_rules_is_needed() {
    assert!(CLAUSES.len() >= 30);
    let mut missed = Vec::new();
    for clause in CLAUSES {
        let until = Until::Broken(clause.breaks);
        let report = check(&clause.subject(), Some(clause.mutant), until, threads(), |_, _| {});
        if report.way_to(clause.breaks).is_none() {
            let broken: Vec<&str> = report.broken.iter().map(|(name, _)| *name).collect();
            missed.push(format!("{:?} should break \"{}\", but breaks {broken:?}", clause.mutant, clause.breaks));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_protocol_holds_where_its_mutants_are_caught() {
    for clause in CLAUSES {
        let report = clean(&clause.subject());
        assert!(report.is_clean(), "{:?}: {}", clause.mutant, told(&report));
    }
}

#[test]
fn each_clause_is_dropped_at_exactly_one_place() {
    let mut source = String::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("the model's source") {
        let path = file.expect("an entry").path();
        if path.file_name().is_some_and(|name| name != "mutants.rs") {
            source += &std::fs::read_to_string(path).expect("readable");
        }
    }
    for clause in CLAUSES {
        let asked = source.matches(&format!("Mutant::{:?})", clause.mutant)).count();
        assert_eq!(asked, 1, "{:?} is asked for at {asked} places", clause.mutant);
    }
}

#[test]
fn the_rules_in_words_name_every_mutant_and_every_rule() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
    let words = std::fs::read_to_string(path).expect("docs/rules.md");
    for clause in CLAUSES {
        let row = words.lines().find(|line| line.contains(&format!("`{:?}`", clause.mutant)));
        assert!(row.is_some(), "docs/rules.md does not name {:?}", clause.mutant);
    }
    let names: BTreeSet<&str> = CLAUSES.iter().map(|clause| clause.rule).collect();
    assert!(names.iter().all(|rule| words.contains(&format!("## {rule}"))), "a rule has no section");
}
