//! Waiting for what another process does.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Nothing in a test takes longer on a busy machine, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(25);

/// For tests: asks every 25 ms until there is an answer, and returns it. An error may pass; the last one counts when 60 s are over.
///
/// # Errors
/// When there is no answer by then: `what` was waited for, and why there is none if asking failed.
pub async fn eventually<T, Fut>(what: &str, mut ask: impl FnMut() -> Fut) -> Result<T, Box<dyn Error>>
where
    Fut: Future<Output = Result<Option<T>, Box<dyn Error>>>,
{
    let deadline = Instant::now() + LIMIT;
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Err(error) if Instant::now() > deadline => return Err(format!("{what}: {error}").into()),
            Ok(None) if Instant::now() > deadline => return Err(format!("{what}: not within {LIMIT:?}").into()),
            _ => sleep(PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_passes_and_an_answer_ends_the_waiting() {
        let mut answers = [Err("not yet".into()), Ok(None), Ok(Some(7)), Ok(Some(8))].into_iter();
        let answer = eventually("a number", || std::future::ready(answers.next().unwrap_or(Ok(None)))).await;
        assert!(matches!(answer, Ok(7)), "{answer:?}");
    }
}
