//! Another command beside ours: what it prints, and how the two compare.

use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longer than any measurement of one round.
const ANSWERS_WITHIN: Duration = Duration::from_secs(900);

/// What somebody measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Sagas a second.
    pub rate: f64,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// Processor seconds for 1,000 sagas, client included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_s_per_1000: Option<f64>,
}

/// Why the other command gave no figures.
#[derive(Debug, thiserror::Error)]
pub enum BesideError {
    /// It could not be run, or did not end.
    #[error("`{command}` cannot be run: {reason}")]
    NotRun {
        /// The command.
        command: String,
        /// Why not.
        reason: String,
    },
    /// What it said is not what is expected, or says that the figures do not count.
    #[error("`{command}` gave no figures: {reason}")]
    NoFigures {
        /// The command.
        command: String,
        /// What is wrong.
        reason: String,
    },
}

/// Runs the command in a shell and reads its figures.
///
/// # Errors
/// When it cannot be run, fails, or prints no figures that count.
pub async fn measure(command: &str) -> Result<Measure, BesideError> {
    let not_run = |reason: String| BesideError::NotRun { command: command.to_owned(), reason };
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWERS_WITHIN, shell.output()).await;
    let output = output.map_err(|_| not_run(format!("it did not end within {} s", ANSWERS_WITHIN.as_secs())))?;
    let output = output.map_err(|error| not_run(error.to_string()))?;
    if !output.status.success() {
        return Err(not_run(output.status.to_string()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    figures(&text).map_err(|reason| BesideError::NoFigures { command: command.to_owned(), reason })
}

/// Reads the last line that has figures: JSON, or a line of the floor program.
fn figures(text: &str) -> Result<Measure, String> {
    for line in text.lines().rev().map(str::trim) {
        if line.starts_with('{') {
            return serde_json::from_str(line).map_err(|error| error.to_string());
        }
        if line.contains("/s p50 ") {
            return floor_line(line);
        }
    }
    Err("it printed neither JSON with rate, p50_ms and p99_ms nor a line such as `1234/s p50 5.0 p99 9.0 .. | verified`".to_owned())
}

/// `7020/s p50 37.00 p99 61.00 max 80.0 ms | cpu_s/1k: pg 0.06 sum 0.27 | idle 2% .. | verified | ..`: figures that the floor program
/// has not verified do not count, nor those of a run in which something lagged or was stuck.
fn floor_line(line: &str) -> Result<Measure, String> {
    if let Some(bad) = ["VERIFY-FAIL", "LAGGING", "STUCK", "QUEUE-LEFT"].into_iter().find(|bad| line.contains(bad)) {
        return Err(format!("it says {bad}: {line}"));
    }
    if !line.split('|').any(|part| part.trim() == "verified") {
        return Err(format!("it does not say that it verified: {line}"));
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    let rate = words.first().and_then(|word| word.strip_suffix("/s")?.parse().ok());
    let all = (rate, after("p50"), after("p99"));
    let (Some(rate), Some(p50_ms), Some(p99_ms)) = all else { return Err(format!("this is not understood: {line}")) };
    Ok(Measure { rate, p50_ms, p99_ms, cpu_s_per_1000: after("sum") })
}

/// Ours as a multiple of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Half of the rounds had at most this.
    pub median: f64,
    /// The lowest of a round.
    pub min: f64,
    /// The highest of a round.
    pub max: f64,
}

/// How we compare, over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Of the rates: higher is better.
    pub rate: Ratio,
    /// Of the medians: lower is better.
    pub p50: Ratio,
    /// Lower is better.
    pub p99: Ratio,
    /// Lower is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Ratio>,
}

/// Compares each of our rounds with the mean of theirs just before and just after it: machines become faster and slower by the
/// minute. `theirs` has one more than `ours`; `None` if it has not, or if nothing was measured.
#[must_use]
pub fn compare(ours: &[Measure], theirs: &[Measure]) -> Option<Comparison> {
    if ours.is_empty() || theirs.len() != ours.len() + 1 {
        return None;
    }
    let ratios = |of: &dyn Fn(&Measure) -> Option<f64>| {
        let pair = |(round, ours): (usize, &Measure)| {
            let around = f64::midpoint(of(theirs.get(round)?)?, of(theirs.get(round + 1)?)?);
            (around > 0.0).then_some(of(ours)? / around)
        };
        ratio(ours.iter().enumerate().map(pair).collect::<Option<Vec<f64>>>()?)
    };
    Some(Comparison {
        rate: ratios(&|it| Some(it.rate))?,
        p50: ratios(&|it| Some(it.p50_ms))?,
        p99: ratios(&|it| Some(it.p99_ms))?,
        cpu: ratios(&|it| it.cpu_s_per_1000),
    })
}

fn ratio(all: Vec<f64>) -> Option<Ratio> {
    let (min, max) = (all.iter().copied().reduce(f64::min)?, all.iter().copied().reduce(f64::max)?);
    Some(Ratio { median: median(all)?, min, max })
}

/// The middle one, or the mean of the two in the middle.
#[must_use]
pub fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let upper = *all.get(all.len() / 2)?;
    Some(if all.len() % 2 == 1 { upper } else { f64::midpoint(upper, all[all.len() / 2 - 1]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: &str = "    4266/s p50 61.50 p99 105.12 max 140.3 ms | cpu_s/1k: app.svc 0.071 load 0.003 pg 0.097 rmq 0.286 sum 0.455 | \
        idle 2% other 1% steal 0.0s avg_batch 20.1 tail backlog 11->14 drain 31 ms (tail after the last saga 5 ms) | verified | \
        floor parts=both client=raw linger=1 tail=1";

    fn measured(rate: f64) -> Measure {
        Measure { rate, p50_ms: 100.0 / rate, p99_ms: 200.0 / rate, cpu_s_per_1000: Some(1.0) }
    }

    #[test]
    fn a_line_of_the_floor_program_is_read() {
        let read = figures(&format!("noise\n{FLOOR}\n"));
        let wanted = Measure { rate: 4266.0, p50_ms: 61.5, p99_ms: 105.12, cpu_s_per_1000: Some(0.455) };
        assert_eq!(read, Ok(wanted));
    }

    #[test]
    fn figures_that_do_not_count_are_refused() {
        for line in [
            FLOOR.replace("| verified |", "| VERIFY-FAIL queue 3 |"),
            FLOOR.replace("| verified |", "|"),
            FLOOR.replace("11->14", "11->900 LAGGING"),
            FLOOR.replace("p99", "p98"),
            "hello".to_owned(),
            "{\"rate\": 1}".to_owned(),
        ] {
            assert!(figures(&line).is_err(), "{line}");
        }
    }

    #[test]
    fn one_line_of_json_is_read_whatever_else_is_in_it() {
        let read = figures("{\"rate\": 10, \"p50_ms\": 1.5, \"p99_ms\": 2, \"more\": []}");
        assert_eq!(read, Ok(Measure { rate: 10.0, p50_ms: 1.5, p99_ms: 2.0, cpu_s_per_1000: None }));
    }

    /// The machine is half as fast in the second round: the ratio is what it was in the first.
    #[test]
    fn a_round_is_compared_with_its_neighbours_only() {
        let ours = [measured(20.0), measured(10.0), measured(30.0)];
        let theirs = [measured(10.0), measured(10.0), measured(0.1), measured(0.1)];
        let compared = compare(&ours[..1], &theirs[..2]).expect("a ratio");
        assert!((compared.rate.median - 2.0).abs() < 1e-9 && (compared.p50.median - 0.5).abs() < 1e-9, "{compared:?}");
        let all = compare(&ours, &theirs).expect("a ratio");
        assert!((all.rate.min - 10.0 / 5.05).abs() < 1e-9 && (all.rate.max - 300.0).abs() < 1e-9, "{all:?}");
        assert_eq!(compare(&ours, &ours), None);
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[tokio::test]
    async fn a_command_that_fails_or_says_nothing_is_an_error() {
        assert!(matches!(measure("exit 3").await, Err(BesideError::NotRun { .. })));
        assert!(matches!(measure("echo hello").await, Err(BesideError::NoFigures { .. })));
        let read = measure("echo '{\"rate\":1,\"p50_ms\":2,\"p99_ms\":3}'").await.expect("figures");
        assert!((read.p99_ms - 3.0).abs() < 1e-9);
    }
}
