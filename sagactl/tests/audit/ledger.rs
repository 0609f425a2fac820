//! A payment provider that only lists, in pages, what it was told to have.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const KEY: &str = "sk_test";

/// What the provider has on record, newest first as providers list it.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) intents: Vec<Value>,
    pub(crate) refunds: Vec<Value>,
}

impl Ledger {
    /// Everything that a real provider has.
    pub(crate) async fn of(url: &str, key: &str) -> reqwest::Result<Self> {
        let list = async |what: &str| {
            let url = format!("{url}/v1/{what}?limit=100");
            let list: Value = reqwest::Client::new().get(url).bearer_auth(key).send().await?.json().await?;
            assert_eq!(list["has_more"], false);
            Ok::<_, reqwest::Error>(list["data"].as_array().cloned().unwrap_or_default())
        };
        Ok(Self { intents: list("payment_intents").await?, refunds: list("refunds").await? })
    }

    pub(crate) fn intent(mut self, id: &str, order_id: &str, amount: i64, status: &str) -> Self {
        let metadata = json!({ "order_id": order_id });
        self.intents.push(json!({
            "id": id, "object": "payment_intent", "amount": amount, "currency": "eur", "status": status, "metadata": metadata,
        }));
        self
    }

    pub(crate) fn refund(mut self, id: &str, intent: &str, amount: i64) -> Self {
        let refund =
            json!({ "id": id, "object": "refund", "amount": amount, "status": "succeeded", "payment_intent": intent });
        self.refunds.push(refund);
        self
    }
}

/// Serves a ledger that can be exchanged.
pub(crate) struct Provider {
    pub(crate) url: String,
    ledger: Arc<Mutex<Ledger>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let served = Arc::clone(&ledger);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&served)));
            }
        });
        Self { url, ledger }
    }

    pub(crate) fn show(&self, ledger: Ledger) {
        *self.ledger.lock().expect("nobody panics with it") = ledger;
    }
}

/// One request, one answer, and the connection is closed.
async fn serve(mut socket: TcpStream, ledger: Arc<Mutex<Ledger>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && socket.read_buf(&mut request).await? > 0 {}
    let request = String::from_utf8_lossy(&request);
    let authorised = request.to_lowercase().contains(&format!("authorization: bearer {KEY}"));
    let target = request.split_whitespace().nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));

    let all = {
        let ledger = ledger.lock().expect("nobody panics with it");
        if path.ends_with("/refunds") { ledger.refunds.clone() } else { ledger.intents.clone() }
    };
    let (status, body) = if authorised { ("200 OK", page(&all, query)) } else { ("401 Unauthorized", json!({})) };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    socket.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await
}

fn page(all: &[Value], query: &str) -> Value {
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    let limit: usize = parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
    let after = parameter("starting_after").and_then(|last| all.iter().position(|item| item["id"] == last));
    let rest = &all[after.map_or(0, |at| at + 1)..];
    json!({ "object": "list", "data": &rest[..rest.len().min(limit)], "has_more": rest.len() > limit })
}
