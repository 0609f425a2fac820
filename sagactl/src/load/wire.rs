//! One kept connection that posts and reads answers: HTTP/1.1 as far as order-svc speaks it.
//!
//! Of our own, because what the load client costs is part of what it measures: on the machine it shares with the system, a general
//! HTTP client takes several times as much of the processor.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer is an order, or a problem: far less than this.
const MAX_ANSWER: usize = 1 << 20;

/// A connection. After an error it is of no use any more.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4_096) })
    }

    /// Sends a request and reads the whole answer. Whether a request that failed was carried out is unknown.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            match answer(&self.read) {
                Reading::Done(answer) => return Ok(answer),
                Reading::Broken(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
                Reading::More if self.read.len() > MAX_ANSWER => return Err(io::ErrorKind::InvalidData.into()),
                Reading::More => {}
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A whole request.
pub(super) fn post(host: &str, path: &str, token: Option<&str>, key: Option<&str>, body: &[u8]) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let key = key.map_or_else(String::new, |key| format!("idempotency-key: \"{key}\"\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{token}{key}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Done(Answer),
    More,
    Broken(&'static str),
}

/// What the bytes so far amount to.
fn answer(bytes: &[u8]) -> Reading {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Reading::More };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Reading::Broken("the head is no text") };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let Some(status) = status else { return Reading::Broken("this is no HTTP/1.1") };
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let Some(length) = length else { return Reading::Broken("the answer has no content-length") };
    match bytes.get(end + 4..end + 4 + length) {
        Some(body) => Reading::Done(Answer { status, body: body.to_vec() }),
        None => Reading::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_wherever_it_is_cut() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        for cut in 0..whole.len() {
            assert_eq!(answer(&whole[..cut]), Reading::More, "{cut}");
        }
        assert_eq!(answer(whole), Reading::Done(Answer { status: 202, body: b"{}".to_vec() }));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for wrong in ["SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"] {
            assert!(matches!(answer(wrong.as_bytes()), Reading::Broken(_)), "{wrong}");
        }
    }

    #[test]
    fn a_request_says_how_long_it_is_and_carries_its_key() {
        let request = String::from_utf8(post("h:1", "/orders", Some("t"), Some("k"), b"{}")).expect("text");
        assert!(
            request.contains("\r\nauthorization: Bearer t\r\nidempotency-key: \"k\"\r\n")
                && request.contains("content-length: 2\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\n{}"));
    }
}
