//! The protocol holds in every bounded configuration; and every clause of its rules is needed: dropped, it is caught.

use saga_model::Protocol;
use saga_model::check::{Report, Subject, Until, check, threads};
use saga_model::config::bounded;
use saga_model::mutants::CLAUSES;
use saga_model::state::State;
use stateright::Model;
use std::collections::HashSet;
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

/// A state that is reached again from itself, if there is one.
fn circle(model: &Protocol) -> Option<State> {
    // Of each state on the way: what can happen there and has not been tried.
    let mut way: Vec<(State, Vec<State>)> = Vec::new();
    let mut on_way = HashSet::new();
    let mut done = HashSet::new();
    for begun in model.init_states() {
        let next = model.next_states(&begun);
        on_way.insert(begun.clone());
        way.push((begun, next));
        while let Some((_, untried)) = way.last_mut() {
            match untried.pop() {
                Some(state) if on_way.contains(&state) => return Some(state),
                Some(state) if done.contains(&state) => {}
                Some(state) => {
                    let next = model.next_states(&state);
                    on_way.insert(state.clone());
                    way.push((state, next));
                }
                None => {
                    let (state, _) = way.pop().expect("the last one");
                    on_way.remove(&state);
                    done.insert(state);
                }
            }
        }
    }
    None
}

#[test]
fn no_state_comes_again_so_every_way_ends() {
    for clause in CLAUSES {
        if let Subject::Protocol(config) = clause.subject() {
            let found = circle(&Protocol { config, mutant: None });
            assert!(found.is_none(), "{:?}: in a circle: {found:#?}", clause.mutant);
        }
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
