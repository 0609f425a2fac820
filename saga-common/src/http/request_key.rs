//! The header `Idempotency-Key`: what makes it safe to send a request again.

use super::problem::{Problem, Reply};
use axum::http::HeaderMap;

const LONGEST: usize = 255;

/// The key of a request, if it has one.
///
/// # Errors
/// 400 for a header that is none.
pub fn request_key(headers: &HeaderMap) -> Reply<Option<String>> {
    let header = headers.get("idempotency-key").map(|value| value.to_str().unwrap_or_default());
    header.map(|header| key(header).map_err(|wrong| Problem::new(400, wrong))).transpose()
}

/// The key of an `Idempotency-Key` header: a quoted string as the IETF draft has it, or bare as many clients send it.
fn key(header: &str) -> Result<String, String> {
    let bare = header.trim();
    let key = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(bare);
    let printable = key.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\');
    if key.is_empty() || key.len() > LONGEST || !printable {
        return Err("Idempotency-Key must have 1 to 255 printable ASCII characters, in quotes or without".to_owned());
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_keys_may_be_quoted_or_bare() {
        assert_eq!(key("\"a-1\""), Ok("a-1".to_owned()));
        assert_eq!(key("a-1"), Ok("a-1".to_owned()));
        assert!(key("").is_err() && key("\"\"").is_err() && key(&"x".repeat(256)).is_err());
    }
}
