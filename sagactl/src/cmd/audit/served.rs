//! What a watch has found last, as metrics.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The verdict of the last audit; none before the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Last>>>);

#[derive(Debug, Clone, Copy)]
struct Last {
    violations: u64,
    stuck: usize,
    at: i64,
}

impl Verdict {
    pub(super) fn note(&self, violations: u64, stuck: usize) {
        let last = Last { violations, stuck, at: Utc::now().timestamp() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// Serves from now on, whatever is asked for.
    pub(super) async fn serve(&self, address: SocketAddr) -> std::io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        let verdict = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let text = verdict.text();
                tokio::spawn(async move { drop(answer(stream, &text).await) });
            }
        });
        Ok(())
    }

    fn text(&self) -> String {
        let Some(Last { violations, stuck, at }) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else {
            return String::new();
        };
        format!(
            "# HELP saga_audit_violations Contradictions that the last audit has found.\n\
             # TYPE saga_audit_violations gauge\n\
             saga_audit_violations {violations}\n\
             # HELP saga_audit_stuck_sagas Sagas that had not ended by then, though they should have.\n\
             # TYPE saga_audit_stuck_sagas gauge\n\
             saga_audit_stuck_sagas {stuck}\n\
             # HELP saga_audit_last_run_timestamp_seconds When it was, in seconds since 1970.\n\
             # TYPE saga_audit_last_run_timestamp_seconds gauge\n\
             saga_audit_last_run_timestamp_seconds {at}\n"
        )
    }
}

/// One answer a connection: who asks now and then needs no more.
async fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    let mut asked = Vec::new();
    let mut chunk = [0; 1_024];
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") && asked.len() < 16_384 {
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            read => asked.extend_from_slice(&chunk[..read]),
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
