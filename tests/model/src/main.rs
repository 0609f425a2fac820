//! `model`: checks a configuration of the protocol and prints what came of it.

mod args;
mod table;

use args::{Args, Wanted};
use saga_model::check::{Until, check, threads};
use saga_model::mutants::Clause;
use saga_model::{Report, Subject};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Wanted::Check(args)) => args,
        Ok(Wanted::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Wanted::List) => {
            table::list();
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    let mut runs = Vec::new();
    for subject in &args.subjects {
        runs.push((subject.clone(), run(subject, &args)));
    }
    if args.json {
        table::json(&runs, args.mutant)
    } else {
        table::print(&runs, args.mutant)
    }
    // Of a mutant, a counterexample is what was asked for; it is a violation all the same.
    if runs.iter().all(|(_, report)| report.is_clean()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(subject: &Subject, args: &Args) -> Report {
    let mutant = args.mutant.map(|clause: &Clause| clause.mutant);
    let until = args.mutant.map_or(Until::AnyBroken, |clause| Until::Broken(clause.breaks));
    let (started, mut said) = (Instant::now(), Instant::now());
    let on_terminal = std::io::stderr().is_terminal();
    let report = check(subject, mutant, until, args.threads.unwrap_or_else(threads), |states, unique| {
        if said.elapsed().as_secs() < if on_terminal { 1 } else { 10 } {
            return;
        }
        said = Instant::now();
        let end = if on_terminal { '\r' } else { '\n' };
        eprint!("{}: {states} states, {unique} unique, {} s{end}", subject.name(), started.elapsed().as_secs());
        let _ = std::io::stderr().flush();
    });
    if on_terminal && started.elapsed().as_secs() > 0 {
        eprintln!();
    }
    report
}
