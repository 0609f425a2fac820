//! The wire form itself: what a client of Stripe expects, byte for byte where it matters.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::process::{KEY, Ledger, Sandbox};

struct Wire {
    http: Client,
    sandbox: Sandbox,
    _ledger: Ledger,
}

impl Wire {
    fn start() -> Self {
        let ledger = Ledger::new();
        Self { http: Client::new(), sandbox: Sandbox::start(&ledger), _ledger: ledger }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.sandbox.url)).bearer_auth(KEY)
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.sandbox.url)).bearer_auth(KEY).form(form)
    }

    async fn charged(&self, method: &str) -> String {
        let (_, intent) = answer(self.post("/v1/payment_intents", &intent_form(method))).await;
        let id = intent["id"].as_str().expect("id").to_owned();
        answer(self.post(&format!("/v1/payment_intents/{id}/confirm"), &[])).await;
        id
    }
}

fn intent_form(method: &str) -> [(&str, &str); 4] {
    [("amount", "1290"), ("currency", "eur"), ("payment_method", method), ("metadata[order_id]", "order-1")]
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn every_route_but_livez_wants_the_key() {
    let wire = Wire::start();
    for path in ["/v1/payment_intents", "/v1/refunds", "/v1/anything"] {
        let url = format!("{}{path}", wire.sandbox.url);
        for request in
            [wire.http.get(&url), wire.http.get(&url).bearer_auth("wrong"), wire.http.post(&url).bearer_auth("")]
        {
            let (status, body) = answer(request).await;
            assert_eq!((status, &body["error"]["type"]), (401, &json!("invalid_request_error")), "{path}");
        }
    }
    let livez = wire.http.get(format!("{}/livez", wire.sandbox.url)).send().await.expect("an answer");
    assert_eq!(livez.status().as_u16(), 200);
    let (status, body) = answer(wire.get("/v1/anything")).await;
    assert_eq!((status, &body["error"]["type"]), (404, &json!("invalid_request_error")));
}

#[tokio::test]
async fn an_intent_and_a_refund_look_like_stripes() {
    let wire = Wire::start();
    let id = wire.charged("pm_card_visa").await;
    let (status, intent) = answer(wire.get(&format!("/v1/payment_intents/{id}"))).await;
    assert_eq!(status, 200);
    for (field, value) in [
        ("object", json!("payment_intent")),
        ("amount", json!(1290)),
        ("amount_received", json!(1290)),
        ("currency", json!("eur")),
        ("payment_method", json!("pm_card_visa")),
        ("status", json!("succeeded")),
        ("metadata", json!({"order_id": "order-1"})),
    ] {
        assert_eq!(intent[field], value, "{field}");
    }
    let (status, refund) = answer(wire.post("/v1/refunds", &[("payment_intent", &id), ("amount", "290")])).await;
    assert_eq!(status, 200);
    for (field, value) in [
        ("object", json!("refund")),
        ("amount", json!(290)),
        ("payment_intent", json!(id)),
        ("charge", intent["latest_charge"].clone()),
        ("status", json!("succeeded")),
    ] {
        assert_eq!(refund[field], value, "{field}");
    }
    let (status, body) = answer(wire.post("/v1/refunds", &[("payment_intent", &id), ("amount", "1001")])).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("charge_already_refunded")));
}

#[tokio::test]
async fn a_decline_has_stripes_envelope() {
    let wire = Wire::start();
    let (_, intent) =
        answer(wire.post("/v1/payment_intents", &intent_form("pm_card_chargeDeclinedInsufficientFunds"))).await;
    let path = format!("/v1/payment_intents/{}/confirm", intent["id"].as_str().expect("id"));
    let (status, body) = answer(wire.post(&path, &[])).await;
    let error = &body["error"];
    assert_eq!((status, &error["type"], &error["code"]), (402, &json!("card_error"), &json!("card_declined")));
    assert_eq!(error["decline_code"], "insufficient_funds");
    assert_eq!(error["payment_intent"]["id"], intent["id"]);
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
}

#[tokio::test]
async fn bad_amounts_and_bad_bodies_are_refused_without_using_up_the_key() {
    let wire = Wire::start();
    for amount in ["0", "-1", "1.5", "many", "9223372036854775808"] {
        let form = [("amount", amount), ("currency", "eur"), ("payment_method", "pm_card_visa")];
        let (status, body) = answer(wire.post("/v1/payment_intents", &form).header("Idempotency-Key", "k")).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("parameter_invalid_integer")), "{amount}");
    }
    let url = format!("{}/v1/payment_intents", wire.sandbox.url);
    let (status, _) = answer(wire.http.post(url).bearer_auth(KEY).json(&json!({"amount": 1290}))).await;
    assert_eq!(status, 400);
    let good = wire.post("/v1/payment_intents", &intent_form("pm_card_visa")).header("Idempotency-Key", "k");
    assert_eq!(answer(good).await.0, 200);
}

#[tokio::test]
async fn a_replay_is_marked_and_byte_for_byte_the_same() {
    let wire = Wire::start();
    let mut bodies = Vec::new();
    for replayed in [false, true] {
        let request = wire.post("/v1/payment_intents", &intent_form("pm_card_visa")).header("Idempotency-Key", "k");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers().contains_key("idempotent-replayed"), replayed);
        bodies.push(response.bytes().await.expect("a body"));
    }
    assert_eq!(bodies[0], bodies[1]);
    let elsewhere = wire.post("/v1/refunds", &[("payment_intent", "pi_1")]).header("Idempotency-Key", "k");
    let (status, body) = answer(elsewhere).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("idempotency_error")));
}

#[tokio::test]
async fn lists_are_walked_newest_first() {
    let wire = Wire::start();
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        newest_first.insert(0, wire.charged("pm_card_visa").await);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/payment_intents?limit=2".to_owned());
    loop {
        let (status, list) = answer(wire.get(&path)).await;
        assert_eq!((status, &list["object"]), (200, &json!("list")));
        let ids =
            list["data"].as_array().expect("data").iter().map(|intent| intent["id"].as_str().expect("id").to_owned());
        seen.extend(ids);
        if list["has_more"] == false {
            break;
        }
        path = format!("/v1/payment_intents?limit=2&starting_after={}", seen.last().expect("a page"));
    }
    assert_eq!(seen, newest_first);
}

/// Every field that the sandbox sends is one of Stripe's, with a value of the same type or none; and those that the client
/// reads are there.
fn has_stripes_shape(sent: &Value, published: &str, read: &[&str]) {
    let published: Value = serde_json::from_str(published).expect("JSON");
    for (field, value) in sent.as_object().expect("an object") {
        let stripes = published.get(field).unwrap_or_else(|| panic!("Stripe has no field `{field}`: {sent}"));
        let same = std::mem::discriminant(value) == std::mem::discriminant(stripes);
        assert!(same || value.is_null() || stripes.is_null(), "{field}: {value} where Stripe has {stripes}");
    }
    for field in read {
        assert!(sent.get(field).is_some(), "the client reads `{field}`: {sent}");
    }
}

#[tokio::test]
async fn the_sandbox_speaks_the_published_shapes() {
    let wire = Wire::start();
    let id = wire.charged("pm_card_visa").await;
    let (_, intent) = answer(wire.get(&format!("/v1/payment_intents/{id}"))).await;
    let published = include_str!("../provider/stripe/payment_intent.json");
    has_stripes_shape(&intent, published, &["id", "status", "last_payment_error"]);
    let (_, refund) = answer(wire.post("/v1/refunds", &[("payment_intent", &id)])).await;
    let published = include_str!("../provider/stripe/refund.json");
    has_stripes_shape(&refund, published, &["id", "amount", "status"]);
    let (_, list) = answer(wire.get(&format!("/v1/refunds?payment_intent={id}"))).await;
    has_stripes_shape(&list["data"][0], published, &["id", "amount", "status"]);

    let (_, declined) = answer(wire.post("/v1/payment_intents", &intent_form("pm_card_chargeDeclined"))).await;
    let path = format!("/v1/payment_intents/{}/confirm", declined["id"].as_str().expect("id"));
    let (status, error) = answer(wire.post(&path, &[])).await;
    assert_eq!(status, 402);
    let published: Value = serde_json::from_str(include_str!("../provider/stripe/card_error.json")).expect("JSON");
    let read = ["type", "code", "decline_code", "message", "payment_intent"];
    has_stripes_shape(&error["error"], &published["error"].to_string(), &read);
}
