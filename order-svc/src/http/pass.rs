//! `/services/<name>/..`: what the gateway serves, for whoever has none before order-svc. The page asks all services at its own origin,
//! so what it asks the others comes through here, as it is: with the caller's own token, so that each service decides for itself
//! who may do what. order-svc's token is for its own questions, and never passes here.

use super::Shop;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use saga_common::http::{Problem, Reply};
use std::sync::Arc;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// A directive or a redrive is small.
const REQUEST_BYTES: usize = 65_536;
/// A parked message of a mebibyte, escaped.
const ANSWER_BYTES: usize = 8 * 1_048_576;
const THERE: [HeaderName; 3] = [header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT];
const BACK: [HeaderName; 4] = [header::CONTENT_TYPE, header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ETAG];

/// What the page reads of the others: the first part of an address.
const READ: [&str; 9] =
    ["readyz", "choreography", "sagas", "parked", "faults", "acts", "totals", "payment-methods", "stock"];

/// The addresses of the other services. Like all that the page is made of they are no part of the documented interface.
pub(super) fn routes() -> Router<Arc<Shop>> {
    let passed = get(pass).put(pass).post(pass).layer(DefaultBodyLimit::max(REQUEST_BYTES));
    Router::new().route("/services/{service}/{*path}", passed)
}

async fn pass(
    State(shop): State<Arc<Shop>>,
    Path((service, _)): Path<(String, String)>,
    address: Uri,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Reply<Response> {
    let nothing = || Problem::not_found("there is nothing at this address");
    let name = format!("{service}-svc");
    let (_, url) = shop.maps.peers().services().find(|(known, _)| *known == name).ok_or_else(nothing)?;
    // As it was sent, not as it was read: what stands here for a slash may be one there.
    let path = address.path().strip_prefix(&format!("/services/{service}/")).ok_or_else(nothing)?;
    if !passes(&method, path) {
        return Err(nothing());
    }
    let query = address.query().map(|query| format!("?{query}")).unwrap_or_default();
    let request = shop.maps.peers().request(method, &format!("{url}/{path}{query}")).timeout(ANSWER_WITHIN).body(body);
    let answer = request.headers(chosen(&headers, &THERE)).send().await;
    let answer = answer.map_err(|error| unreachable(&name, &error))?;
    let (status, back) = (answer.status(), chosen(answer.headers(), &BACK));
    Ok((status, back, all(&name, answer).await?).into_response())
}

/// Plain words between slashes, of what the page asks for and no more.
fn passes(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(fits)
    };
    if !parts.iter().all(plain) {
        return false;
    }
    match (method, parts.as_slice()) {
        (&Method::GET, [first, ..]) => READ.contains(first),
        (&Method::PUT, ["faults"]) | (&Method::POST, ["parked", _, "redrive"]) => true,
        _ => false,
    }
}

fn chosen(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    names.iter().flat_map(|name| headers.get_all(name).iter().map(|value| (name.clone(), value.clone()))).collect()
}

async fn all(name: &str, mut answer: reqwest::Response) -> Reply<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(name, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            return Err(Problem::new(502, format!("{name} says more than passes here")));
        }
    }
    Ok(body)
}

fn unreachable(name: &str, error: &reqwest::Error) -> Problem {
    tracing::debug!(service = name, error = %saga_common::error::chain(error), "not passed");
    let why = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
    Problem::new(502, format!("{name} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_page_asks_for_passes() {
        for (method, path) in [
            (Method::GET, "readyz"),
            (Method::GET, "parked/01a2007a-5c78-71fc-875b-1cd4b7bd1a8b"),
            (Method::GET, "stock/MUG-STONE"),
            (Method::PUT, "faults"),
            (Method::POST, "parked/01a2007a-5c78-71fc-875b-1cd4b7bd1a8b/redrive"),
        ] {
            assert!(passes(&method, path), "{method} {path}");
        }
        for (method, path) in [
            (Method::GET, ""),
            (Method::GET, "metrics"),
            (Method::GET, "wallets/anna"),
            (Method::GET, "parked/../metrics"),
            (Method::GET, "parked/..%2fmetrics"),
            (Method::GET, "parked//x"),
            (Method::GET, "/metrics"),
            (Method::PUT, "stock/MUG-STONE"),
            (Method::PUT, "faults/x"),
            (Method::POST, "parked/x/y/redrive"),
            (Method::POST, "orders"),
            (Method::DELETE, "parked"),
        ] {
            assert!(!passes(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn what_a_caller_sends_beside_their_token_stays_here() {
        let sent = [("authorization", "Bearer x"), ("cookie", "a=b"), ("x-forwarded-for", "::1"), ("host", "shop")];
        let headers = sent.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
        let passed = chosen(&headers.collect(), &THERE);
        assert_eq!(passed.len(), 1);
        assert_eq!(passed["authorization"], "Bearer x");
    }
}
