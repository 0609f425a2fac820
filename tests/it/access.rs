//! Who may do what. The lists of operations come from the services' own documents, so a new route cannot be forgotten here.

use crate::world::{Fallible, LIMIT, MUG, Outcome, World, order};
use reqwest::{Client, Method, StatusCode};
use sagactl::client::{OrderStatus, Service, TokenRequest};
use sagactl::stack::{Program, StackOptions, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a customer may ask for; everything else takes another role.
const FOR_CUSTOMERS: [&str; 16] = [
    "get /choreography",
    "get /notifications",
    "get /orders",
    "get /orders/{id}",
    "get /orders/{id}/events",
    "get /orders/{id}/timeline",
    "get /payment-methods",
    "get /payments/{order_id}",
    "get /products",
    "get /products/{sku}",
    "get /stock",
    "get /stock/{sku}",
    "get /wallets/{customer_id}",
    "post /orders",
    "post /orders/{id}/cancel",
    "post /orders/{id}/return",
];

/// Every operation of a service, as method and path with parameters in braces.
async fn operations(base: &str) -> Fallible<BTreeSet<(Method, String)>> {
    let api: Value = reqwest::get(format!("{base}/openapi.json")).await?.json().await?;
    let paths = api["paths"].as_object().ok_or("no paths")?;
    let methods = |(path, item): (&String, &Value)| {
        let path = path.clone();
        let methods: Vec<String> = item.as_object().map(|item| item.keys().cloned().collect()).unwrap_or_default();
        methods.into_iter().map(move |method| Ok((method.to_uppercase().parse()?, path.clone())))
    };
    paths.iter().flat_map(methods).collect()
}

/// Somewhere that fits the path, with nothing there.
fn url(base: &str, path: &str) -> String {
    let id = Uuid::now_v7().to_string();
    let filled = ["{id}", "{order_id}", "{saga_id}", "{message_id}"]
        .iter()
        .fold(path.to_owned(), |path, it| path.replace(it, &id));
    format!("{base}{}", filled.replace("{sku}", MUG).replace("{customer_id}", "anna"))
}

#[tokio::test]
async fn nothing_but_health_metrics_and_documents_is_open_and_the_rest_takes_its_role() -> Outcome {
    let world = World::start().await?;
    let (http, anna) = (Client::new(), world.stack.token_of("anna").await?);
    // Well-formed, but the signature is another.
    let stranger = {
        let (signed, signature) = anna.rsplit_once('.').ok_or("no signature")?;
        let (first, rest) = signature.split_at(1);
        format!("{signed}.{}{rest}", if first == "A" { "B" } else { "A" })
    };
    let mut all = BTreeSet::new();
    for service in Service::ALL {
        let base = world.stack.url(service)?;
        for open in ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs/"] {
            assert_eq!(http.get(format!("{base}{open}")).send().await?.status(), 200, "{service} {open}");
        }
        for (method, path) in operations(&base).await? {
            let name = format!("{} {path}", method.as_str().to_lowercase());
            let url = url(&base, &path);
            let request = || http.request(method.clone(), &url).json(&json!({}));
            for (who, refused) in [("nobody", request()), ("a stranger", request().bearer_auth(&stranger))] {
                let answer = refused.send().await?;
                assert_eq!(answer.status(), 401, "{service} {name} for {who}");
                assert!(answer.headers()["www-authenticate"].to_str()?.starts_with("Bearer"), "{name}");
                assert_eq!(answer.headers()["content-type"], "application/problem+json", "{name}");
            }
            let status = request().bearer_auth(&anna).send().await?.status();
            assert_eq!(
                status != StatusCode::FORBIDDEN,
                FOR_CUSTOMERS.contains(&&*name),
                "{service} {name}: {status} for anna"
            );
            all.insert(name);
        }
    }
    let gone: Vec<_> = FOR_CUSTOMERS.iter().filter(|name| !all.contains(**name)).collect();
    assert!(gone.is_empty(), "there is no {gone:?} any more");
    world.assert_consistent().await
}

#[tokio::test]
async fn a_customer_sees_and_cancels_only_their_own_orders() -> Outcome {
    let world = World::start().await?;
    let http = Client::new();
    let (orders, payment) = (world.stack.url(Service::Order)?, world.stack.url(Service::Payment)?);
    let customers = ["anna", "otto"];
    let mut theirs = Vec::new();
    for customer in customers {
        let token = world.stack.token_of(customer).await?;
        // They need not say who they are.
        let order = json!({"currency": "EUR", "items": [{"sku": MUG, "quantity": 1}], "payment_method": "wallet"});
        let placed = http.post(format!("{orders}/orders")).bearer_auth(&token).json(&order).send().await?;
        assert_eq!(placed.status(), 202);
        let placed: Value = placed.json().await?;
        assert_eq!(placed["customer_id"], customer);
        let id: Uuid = placed["id"].as_str().ok_or("no id")?.parse()?;
        world.ends(id, OrderStatus::Confirmed).await?;
        theirs.push((customer, token, id));
    }
    let nowhere = Uuid::now_v7();
    for (customer, token, own) in &theirs {
        for (_, _, id) in &theirs {
            let expected = |status: u16| if id == own { status } else { 404 };
            let asked = [
                (Method::GET, format!("{orders}/orders/{id}"), expected(200)),
                (Method::GET, format!("{orders}/orders/{id}/timeline"), expected(200)),
                (Method::GET, format!("{orders}/orders/{id}/events"), expected(200)),
                (Method::POST, format!("{orders}/orders/{id}/cancel"), expected(409)),
                (Method::POST, format!("{orders}/orders/{id}/return"), expected(409)),
                (Method::GET, format!("{payment}/payments/{id}"), expected(200)),
            ];
            for (method, url, status) in asked {
                let answer = http.request(method.clone(), &url).bearer_auth(token).timeout(LIMIT).send().await?;
                assert_eq!(answer.status(), status, "{customer}: {method} {url}");
                if status == 404 {
                    // Not to be told from one that is not there.
                    let url = url.replace(&id.to_string(), &nowhere.to_string());
                    let missing = http.request(method, url).bearer_auth(token).send().await?;
                    assert_eq!(missing.status(), 404);
                    assert_eq!(missing.text().await?, answer.text().await?);
                }
            }
        }
        let list: Value = http.get(format!("{orders}/orders")).bearer_auth(token).send().await?.json().await?;
        let listed: Vec<_> = list["orders"].as_array().ok_or("no list")?.iter().map(|order| &order["id"]).collect();
        assert_eq!(listed, [&json!(own)], "{customer}");
    }
    let (_, anna, of_anna) = &theirs[0];
    let others = order("otto", MUG, 1, "wallet");
    let with_fault = http.post(format!("{orders}/orders")).header("saga-fault", "payment-svc/after-charge=crash");
    let own = json!({"currency": "EUR", "items": [{"sku": MUG, "quantity": 1}], "payment_method": "wallet"});
    for (what, request) in [
        ("an order for somebody else", http.post(format!("{orders}/orders")).json(&others)),
        ("a list of somebody else's", http.get(format!("{orders}/orders?customer_id=otto"))),
        ("a fault", with_fault.json(&own)),
    ] {
        assert_eq!(request.bearer_auth(anna).send().await?.status(), 403, "{what}");
    }
    assert_eq!(http.get(format!("{payment}/wallets/otto")).bearer_auth(anna).send().await?.status(), 404);
    assert_eq!(http.get(format!("{payment}/wallets/anna")).bearer_auth(anna).send().await?.status(), 200);
    // A customer's timeline has every service's part: they are asked in order-svc's own name.
    let story: Value =
        http.get(format!("{orders}/orders/{of_anna}/timeline")).bearer_auth(anna).send().await?.json().await?;
    assert_eq!(story["silent"], json!([]));
    let seen: Value = world.stack.http().get(format!("{orders}/orders?customer_id=anna")).send().await?.json().await?;
    assert_eq!(seen["orders"].as_array().map(Vec::len), Some(1), "an operator sees everybody's");
    world.assert_consistent().await
}

#[tokio::test]
async fn what_operators_do_by_hand_is_written_down_with_their_names() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("FAULTS", "on")).await?;
    let http = Client::new();
    let (orders, payment) = (world.stack.url(Service::Order)?, world.stack.url(Service::Payment)?);
    let olga = TokenRequest { subject: "olga".to_owned(), ..TokenRequest::operator() };
    let olga = olga.ask(&world.stack.url(Program::Issuer)?).await?.access_token;
    let acts = [
        (
            &orders,
            "products/MUG-STONE",
            json!({"name": "Mug", "unit_price_minor": 1_900, "currency": "EUR"}),
            "price",
            "MUG-STONE: Mug, 1900 EUR",
        ),
        (&payment, "wallets/anna", json!({"balance_minor": 7_000, "currency": "EUR"}), "wallet", "anna: 7000 EUR"),
        (
            &payment,
            "faults",
            json!({"directives": "payment-svc/after-commit=delay(1)"}),
            "faults",
            "payment-svc/after-commit=delay(1)",
        ),
    ];
    for (base, path, body, act, target) in acts {
        let done = http.put(format!("{base}/{path}")).bearer_auth(&olga).json(&body).send().await?;
        assert_eq!(done.status(), 200, "{path}");
        let list: Value = http.get(format!("{base}/acts?limit=1")).bearer_auth(&olga).send().await?.json().await?;
        let last = &list["acts"][0];
        assert_eq!((&last["subject"], &last["act"], &last["target"]), (&json!("olga"), &json!(act), &json!(target)));
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn keys_are_rotated_under_running_services_and_outlive_their_issuer() -> Outcome {
    let world = World::start().await?;
    let (http, issuer) = (Client::new(), world.stack.url(Program::Issuer)?);
    let before = world.stack.token_of("anna").await?;
    assert_eq!(http.post(format!("{issuer}/keys")).json(&json!({})).send().await?.status(), 204);
    let after = world.stack.token_of("anna").await?;
    for token in [&after, &before] {
        for (service, path) in
            [(Service::Order, "orders"), (Service::Inventory, "stock"), (Service::Payment, "wallets/anna")]
        {
            let url = format!("{}/{path}", world.stack.url(service)?);
            assert_eq!(http.get(&url).bearer_auth(token).send().await?.status(), 200, "{url}");
        }
    }
    // What is known of keys is kept, but a service that starts now waits for them.
    world.stack.kill9(Program::Issuer).await?;
    let orders = format!("{}/orders", world.stack.url(Service::Order)?);
    assert_eq!(http.get(&orders).bearer_auth(&after).send().await?.status(), 200);
    world.stack.kill9(Service::Order).await?;
    world.stack.launch(Service::Order).await?;
    eventually("the service says what it waits for", || async {
        let answer = http.get(&orders).bearer_auth(&after).send().await;
        Ok(answer.is_ok_and(|answer| answer.status() == 503).then_some(()))
    })
    .await?;
    world.stack.start(Program::Issuer).await?;
    world.stack.ready(Service::Order).await?;
    // The issuer kept its keys, too.
    assert_eq!(http.get(&orders).bearer_auth(&after).send().await?.status(), 200);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_token_of_another_issuer_or_for_another_audience_or_expired_is_refused() -> Outcome {
    let options = StackOptions::unique().env(Service::Order, "JWT_ISSUER", "https://other.example");
    let world = World::with(options.env(Service::Inventory, "JWT_AUDIENCE", "others")).await?;
    let http = Client::new();
    for (service, path, why) in [(Service::Order, "orders", "issuer"), (Service::Inventory, "stock", "audience")] {
        let url = format!("{}/{path}", world.stack.url(service)?);
        let answer = http.get(&url).bearer_auth(world.stack.token()).send().await?;
        assert_eq!(answer.status(), 401, "{why}");
        assert!(answer.text().await?.contains(why));
    }
    let expired = TokenRequest { minutes: Some(0), ..TokenRequest::operator() };
    let expired = expired.ask(&world.stack.url(Program::Issuer)?).await?.access_token;
    let url = format!("{}/wallets/anna", world.stack.url(Service::Payment)?);
    // It was good for no time at all, but clocks may differ by seconds.
    eventually("the token has expired", || async {
        Ok((http.get(&url).bearer_auth(&expired).send().await?.status() == 401).then_some(()))
    })
    .await?;
    Ok(())
}
