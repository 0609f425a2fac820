//! What the client puts on the wire, and what it makes of what comes back.

use std::time::{Duration, Instant};

use sagactl::client::{Client, ClientError, Endpoints, Item, NewOrder, OrderFilter, OrderStatus, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

const ORDER: &str = r#"{"id":"019a0000-0000-7000-8000-0000000000a1","customer_id":"anna","status":"STATUS","currency":"EUR",
    "amount_minor":2580,"items":[{"sku":"TEA-SENCHA-100","quantity":2,"unit_price_minor":1290}],"payment_method":"wallet",
    "created_at":"2026-11-21T10:00:00Z","deadline_at":"2026-11-21T10:00:30Z","closed_at":null,
    "answers":{"required":["inventory","payment"],"given":[]},"a_field_of_tomorrow":1}"#;

/// Answers one request after the other with these, each on a connection of its own, and gives the requests back.
async fn service(answers: Vec<String>) -> (Client, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let endpoints = Endpoints { order: url.clone(), payment: url.clone(), inventory: url.clone(), notification: url };
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().await.expect("a client");
            requests.push(request(&mut socket).await);
            socket.write_all(answer.as_bytes()).await.expect("a patient client");
        }
        requests
    });
    (Client::new(endpoints), requests)
}

/// One whole request, head and body.
async fn request(socket: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        socket.read_buf(&mut request).await.expect("a request");
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
            return text.into_owned();
        }
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\nlocation: /orders/1\r\n\r\n{body}",
        body.len()
    )
}

fn order(status: &str) -> String {
    answer("200 OK", &ORDER.replace("STATUS", status))
}

fn new_order() -> NewOrder {
    NewOrder {
        customer_id: "anna".to_owned(),
        currency: "EUR".to_owned(),
        items: vec![Item { sku: "TEA-SENCHA-100".to_owned(), quantity: 2 }],
        payment_method: "wallet".to_owned(),
    }
}

#[tokio::test]
async fn an_order_is_placed_with_its_key_its_patience_and_the_token() {
    let accepted = answer("202 Accepted", &ORDER.replace("STATUS", "pending"));
    let (client, requests) = service(vec![accepted]).await;
    let client = client.with_token(Some("secret".to_owned()));
    let placed = client.place_order(&new_order(), Some("key-1"), Some(5)).await.expect("an order");
    assert_eq!((placed.status, placed.location.as_deref()), (202, Some("/orders/1")));
    assert_eq!(placed.order.status, OrderStatus::Pending);

    let request = &requests.await.expect("served")[0];
    for wanted in ["POST /orders HTTP/1.1", "idempotency-key: key-1", "prefer: wait=5", "authorization: Bearer secret"]
    {
        assert!(request.contains(wanted), "{wanted} is not in {request}");
    }
    assert!(
        request.ends_with(r#""items":[{"sku":"TEA-SENCHA-100","quantity":2}],"payment_method":"wallet"}"#),
        "{request}"
    );
}

#[tokio::test]
async fn ids_are_escaped_and_filters_become_a_query() {
    let stock = answer("200 OK", r#"{"sku":"A/B C","available":1,"reserved":0,"sold":0}"#);
    let orders = answer("200 OK", r#"{"orders":[]}"#);
    let (client, requests) = service(vec![stock, orders]).await;
    client.stock("A/B C").await.expect("stock");
    let filter = OrderFilter { status: Some("pending".to_owned()), limit: Some(3), cursor: None };
    client.orders(&filter).await.expect("orders");
    let requests = requests.await.expect("served");
    assert!(requests[0].starts_with("GET /stock/A%2FB%20C HTTP/1.1"), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /orders?status=pending&limit=3 HTTP/1.1"), "{}", requests[1]);
    assert!(!requests[1].contains("authorization"), "{}", requests[1]);
}

#[tokio::test]
async fn a_problem_is_not_a_transport_error() {
    let problem = r#"{"type":"about:blank","title":"Conflict","status":409,"detail":"the order is confirmed"}"#;
    let (client, _requests) = service(vec![answer("409 Conflict", problem)]).await;
    let error = client.cancel(Uuid::now_v7()).await.expect_err("a conflict");
    assert_eq!((error.status(), error.is_transient()), (Some(409), false));
    assert_eq!(error.to_string(), "order-svc answered 409 Conflict: the order is confirmed");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_from_one_that_breaks_off_or_is_silent() {
    let nowhere = Endpoints { order: "http://127.0.0.1:1".to_owned(), ..Endpoints::default() };
    let error = Client::new(nowhere).order(Uuid::now_v7()).await.expect_err("nobody there");
    assert!(
        matches!(&error, ClientError::NobodyListens { service: Service::Order, .. }) && error.is_transient(),
        "{error}"
    );
    assert_eq!(error.to_string(), "nothing listens on http://127.0.0.1:1, where order-svc should be");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let cut = tokio::spawn(async move { listener.accept().await.map(drop) });
    let error = Client::new(Endpoints { order: url, ..Endpoints::default() }).order(Uuid::now_v7()).await;
    let error = error.expect_err("no answer");
    assert!(matches!(&error, ClientError::Transport { .. }) && error.is_transient(), "{error}");
    cut.await.expect("no panic").expect("a client");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent =
        Endpoints { order: format!("http://{}", listener.local_addr().expect("bound")), ..Endpoints::default() };
    let client = Client::new(silent).with_timeout(Duration::from_millis(100));
    let error = client.order(Uuid::now_v7()).await.expect_err("no answer");
    assert!(error.to_string().ends_with("no answer in time"), "{error}");

    let garbled = Endpoints { order: "not a url".to_owned(), ..Endpoints::default() };
    let error = Client::new(garbled).order(Uuid::now_v7()).await.expect_err("no url");
    assert_eq!(error.to_string(), "`not a url` is not a usable URL for order-svc");
}

#[tokio::test]
async fn waiting_goes_on_until_the_order_is_terminal_even_through_a_failing_service() {
    let (client, _requests) =
        service(vec![order("pending"), answer("503 Service Unavailable", ""), order("cancelling"), order("cancelled")])
            .await;
    let order = client.wait_terminal(Uuid::now_v7(), Duration::from_secs(10)).await.expect("an end");
    assert_eq!(order.status, OrderStatus::Cancelled);
}

#[tokio::test]
async fn waiting_ends_in_time_and_a_missing_order_ends_it_at_once() {
    let begun = Instant::now();
    let (client, _requests) = service(vec![order("confirmed"); 50]).await;
    let error = client.wait_closed(Uuid::now_v7(), Duration::from_millis(300)).await.expect_err("it is not closed");
    assert!(matches!(&error, ClientError::StillWaiting { status, .. } if status == "confirmed"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));

    let (client, _requests) = service(vec![answer("404 Not Found", "")]).await;
    let error = client.wait_terminal(Uuid::now_v7(), Duration::from_secs(60)).await.expect_err("no such order");
    assert!(error.is_not_found(), "{error}");
}
