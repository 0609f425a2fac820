//! The command line.

use saga_model::Subject;
use saga_model::config;
use saga_model::mutants::Clause;
use saga_model::state::Budget;

/// What is printed for `--help`.
pub(crate) const HELP: &str = "\
Checks the saga protocol state by state.

Usage: model [OPTIONS]

  --config NAME    a configuration (--list), may be given more than once; default: all that `cargo test` checks
  --all            every configuration there is, the large ones too
  --mutant NAME    drop a clause of the rules; in its own configuration unless --config says another
  --crashes N, --duplicates N, --losses N, --stalls N, --errors N, --repeats N, --unheard N, --delayed N,
  --tampered N, --redrives N
                   what may go wrong, instead of what the configuration says
  --threads N      default: one for each processor
  --json           one JSON object a line instead of a table
  --list           names of configurations and mutants

Exit status: 0 everything holds, 1 something does not (the way there is printed), 2 wrong usage.
";

/// What was asked for.
pub(crate) enum Wanted {
    Check(Args),
    Help,
    List,
}

/// A check.
pub(crate) struct Args {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) mutant: Option<&'static Clause>,
    pub(crate) threads: Option<usize>,
    pub(crate) json: bool,
}

/// Reads the command line.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Args { subjects: Vec::new(), mutant: None, threads: None, json: false };
    let mut budgets: Vec<(String, u8)> = Vec::new();
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Wanted::Help),
            "--list" => return Ok(Wanted::List),
            "--json" => wanted.json = true,
            "--all" => wanted.subjects.extend(config::bounded().into_iter().chain(config::large())),
            "--config" => {
                let name = value()?;
                wanted
                    .subjects
                    .push(config::named(&name).ok_or_else(|| format!("there is no configuration `{name}`"))?);
            }
            "--mutant" => {
                let name = value()?;
                wanted.mutant = Some(Clause::named(&name).ok_or_else(|| format!("there is no mutant `{name}`"))?);
            }
            "--threads" => wanted.threads = Some(number(&arg, &value()?)?.into()),
            other => {
                let budget = other.strip_prefix("--").ok_or_else(|| format!("what is `{other}`?"))?;
                budgets.push((budget.to_owned(), number(&arg, &value()?)?));
            }
        }
    }
    if wanted.subjects.is_empty() {
        wanted.subjects = wanted.mutant.map_or_else(config::bounded, |clause| vec![clause.subject()]);
    }
    for subject in &mut wanted.subjects {
        let Subject::Protocol(config) = subject else { continue };
        for (name, most) in &budgets {
            *field(&mut config.budget, name).ok_or_else(|| format!("there is no option --{name}"))? = *most;
        }
    }
    Ok(Wanted::Check(wanted))
}

fn number(option: &str, value: &str) -> Result<u8, String> {
    value.parse().map_err(|_| format!("{option} takes a number from 0 to 255, not `{value}`"))
}

fn field<'a>(budget: &'a mut Budget, name: &str) -> Option<&'a mut u8> {
    Some(match name {
        "crashes" => &mut budget.crashes,
        "duplicates" => &mut budget.duplicates,
        "losses" => &mut budget.losses,
        "stalls" => &mut budget.stalls,
        "errors" => &mut budget.errors,
        "repeats" => &mut budget.repeats,
        "unheard" => &mut budget.unheard,
        "delayed" => &mut budget.delayed,
        "tampered" => &mut budget.tampered,
        "redrives" => &mut budget.redrives,
        _ => return None,
    })
}
