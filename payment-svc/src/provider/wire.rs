//! One request and its whole answer. What is not a whole answer is unknown.

use super::outcome::ProviderError;
use reqwest::RequestBuilder;

/// No answer to any of our requests comes near it; what is longer is not read on.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Status and body.
pub(super) type Answer = (u16, Vec<u8>);

/// Sends a request, within the client's timeouts.
pub(super) async fn exchange(request: RequestBuilder) -> Result<Answer, ProviderError> {
    let lost = |error: reqwest::Error| ProviderError::unknown(describe(error));
    let mut answer = request.send().await.map_err(lost)?;
    let (status, mut body) = (answer.status().as_u16(), Vec::new());
    while let Some(part) = answer.chunk().await.map_err(lost)? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST_ANSWER {
            return Err(ProviderError::unknown(format!("{status} with more than {LONGEST_ANSWER} bytes")));
        }
    }
    Ok((status, body))
}

/// The whole chain of causes in one line, without the URL (which may hold a password).
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
