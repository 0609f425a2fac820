//! The gateway as compose runs it, in front of a stack: its own script and configuration, and a real HAProxy.

use crate::world::{Fallible, LIMIT, MUG, Outcome, World, order};
use futures::future::join_all;
use reqwest::{Client, StatusCode};
use sagactl::client::{Endpoints, NewOrder, OrderStatus, Service};
use sagactl::stack::{Program, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use uuid::Uuid;

/// Ends the gateway when its standard input does: also if this process is killed.
const WATCHED: &str = r#""$0" & gateway=$!; cat > /dev/null; kill -TERM $gateway; wait $gateway"#;

struct Gateway {
    url: String,
    http: Client,
    _process: Child,
}

impl Gateway {
    /// A caller may ask `rate` times in ten seconds.
    async fn before(world: &World, rate: u32) -> Fallible<Self> {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway");
        let found = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().await;
        found.map_err(|error| format!("haproxy is not installed (apt-get install haproxy): {error}"))?;
        let port = world.stack.servers().take_port()?;
        let host = |service| -> Fallible<String> { Ok(world.stack.url(service)?.replace("http://", "")) };
        let process = Command::new("sh")
            .args(["-c", WATCHED])
            .arg(deploy.join("run"))
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("GATEWAY_KEYS", world.stack.public_keys())
            .env("GATEWAY_SOCKET", world.stack.servers().data().join(format!("gateway-{port}.sock")))
            .env("GATEWAY_RATE", rate.to_string())
            .env("GATEWAY_AT_ONCE", "1000")
            .env("GATEWAY_LOOK_S", "0.2")
            .env("ORDER", host(Service::Order)?)
            .env("PAYMENT", host(Service::Payment)?)
            .env("INVENTORY", host(Service::Inventory)?)
            .env("NOTIFICATION", host(Service::Notification)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let http = Client::builder().no_proxy().timeout(LIMIT).build()?;
        let gateway = Self { url: format!("http://127.0.0.1:{port}"), http, _process: process };
        eventually("the gateway has found every service", || async {
            for name in ["order", "payment", "inventory", "notification"] {
                let ready = gateway.get(&format!("/services/{name}/readyz"), None).await;
                if ready.map_or(0, |(status, _)| status.as_u16()) != 200 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await?;
        Ok(gateway)
    }

    /// What a request without a token comes to, its path as it stands here: a client would tidy it.
    async fn status_of(&self, path: &str) -> Fallible<u16> {
        let mut connection = TcpStream::connect(self.url.trim_start_matches("http://")).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        timeout(LIMIT, connection.read_to_end(&mut answer)).await??;
        let answer = String::from_utf8_lossy(&answer);
        Ok(answer.split(' ').nth(1).ok_or("no status")?.parse()?)
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Fallible<(StatusCode, Value)> {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer =
            token.map_or(request.try_clone().ok_or("no body")?, |token| request.bearer_auth(token)).send().await?;
        let status = answer.status();
        if !status.is_success() {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        }
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}

fn mug() -> NewOrder {
    order("anna", MUG, 1, "wallet")
}

#[tokio::test]
async fn a_customer_and_an_operator_find_everything_behind_one_address() -> Outcome {
    let world = World::start().await?;
    let gateway = Gateway::before(&world, 1_000).await?;
    let anna = world.stack.token_of("anna").await?;
    let placed = gateway.http.post(format!("{}/orders", gateway.url)).header("prefer", "wait=30").json(&mug());
    let placed = placed.header("x-request-id", "from-the-caller").bearer_auth(&anna).send().await?;
    assert_eq!((placed.status().as_u16(), &placed.headers()["x-request-id"]), (200, &"from-the-caller".parse()?));
    let id: Uuid = placed.json::<Value>().await?["id"].as_str().ok_or("no id")?.parse()?;
    let own = [
        format!("/orders/{id}"),
        format!("/orders/{id}/timeline"),
        format!("/orders/{id}/events"),
        "/products".to_owned(),
        "/stock".to_owned(),
        format!("/payments/{id}"),
        "/wallets/anna".to_owned(),
        format!("/services/order/orders/{id}"),
    ];
    for path in own {
        assert_eq!(gateway.get(&path, Some(&anna)).await?.0, 200, "{path}");
        assert_eq!(gateway.get(&path, None).await?.0, 401, "{path}");
    }
    let made = gateway.http.get(format!("{}/livez", gateway.url)).header("x-request-id", "bad id").send().await?;
    assert_eq!(made.headers()["x-request-id"].to_str()?.parse::<Uuid>().map(|_| ()), Ok(()), "a bad id is replaced");

    // The page says nothing without a token, and asks all services at the same address.
    for path in ["/", "/explorer/js/app.js"] {
        assert_eq!(gateway.get(path, None).await?.0, 200, "{path}");
    }
    let around = [
        "/explorer/../metrics",
        "/explorer/%2e%2e/metrics",
        "/explorer/nothing.js",
        "/explorer//metrics",
        "/docs/../orders",
        "/docs/../metrics",
        "/livez/../metrics",
        "/services/order/docs/../metrics",
        "/services/order/%2e%2e/order/metrics",
    ];
    for path in around {
        let status = gateway.status_of(path).await?;
        assert!([401, 404].contains(&status), "{path}: {status}");
    }

    // The operator's own command, with the gateway as its only address.
    let of = |name: &str| format!("{}/services/{name}", gateway.url);
    let endpoints = Endpoints {
        order: of("order"),
        payment: of("payment"),
        inventory: of("inventory"),
        notification: of("notification"),
    };
    let operator = sagactl::client::Client::new(endpoints).with_token(Some(world.stack.token().to_owned()));
    for service in Service::ALL {
        operator.ready(service).await?;
        assert_eq!(operator.choreography(service).await?.participant, service.name());
        assert_eq!(gateway.get(&format!("/services/{}/docs/", service.name()), None).await?.0, 200);
        assert_eq!(
            gateway.get(&format!("/services/{}/metrics", service.name()), Some(world.stack.token())).await?.0,
            404
        );
    }
    let order = operator.place_order(&mug(), None, None).await?.order;
    assert_eq!(operator.wait_terminal(order.id, LIMIT).await?.status, OrderStatus::Confirmed);
    for path in [
        "/services/nobody/orders",
        "/docs/services/order/metrics",
        "/wallets/services/payment/metrics",
        "/metrics",
        "/stock/services/inventory/metrics",
        "/services/order/services/order/metrics",
        "/services/order//metrics",
        "//metrics",
    ] {
        for token in [None, Some(anna.as_str()), Some(world.stack.token())] {
            let request = gateway.http.get(format!("{}{path}", gateway.url)).bearer_auth(token.unwrap_or_default());
            let status = request.send().await?.status();
            assert!([401, 404].contains(&status.as_u16()), "{path}: {status}");
        }
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_token_that_is_not_good_does_not_even_reach_a_service() -> Outcome {
    let world = World::start().await?;
    let gateway = Gateway::before(&world, 1_000).await?;
    let anna = world.stack.token_of("anna").await?;
    let (head, rest) = anna.split_once('.').ok_or("no token")?;
    let none = "eyJhbGciOiJub25lIn0";
    let stranger = World::start().await?.stack.token_of("anna").await?;
    let refused = [
        ("nothing", String::new()),
        ("rubbish", "rubbish".to_owned()),
        ("a changed signature", format!("{}AAAA", &anna[..anna.len() - 4])),
        ("no signature", format!("{none}.{}.", rest.split('.').next().unwrap_or_default())),
        ("no algorithm", format!("{none}.{rest}")),
        ("other claims", format!("{head}.e30.{}", rest.split('.').nth(1).unwrap_or_default())),
        ("another issuer's key", stranger),
    ];
    for (what, token) in refused {
        let (status, problem) = gateway.get("/orders", Some(&token)).await?;
        assert_eq!(status, 401, "{what}: {problem}");
    }
    assert_eq!(gateway.get("/orders", Some(&anna)).await?.0, 200);

    // A new key signs: the gateway takes it up, and the tokens of the one before stay good.
    let issuer = world.stack.url(Program::Issuer)?;
    assert_eq!(gateway.http.post(format!("{issuer}/keys")).json(&json!({})).send().await?.status(), 204);
    let renewed = world.stack.token_of("anna").await?;
    eventually("the gateway knows the new key", || async {
        // While it is reloaded, too, no request is dropped.
        assert_eq!(gateway.get("/orders", Some(&anna)).await?.0, 200);
        Ok((gateway.get("/orders", Some(&renewed)).await?.0 == 200).then_some(()))
    })
    .await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn who_asks_too_much_is_told_so_and_others_are_not() -> Outcome {
    let world = World::start().await?;
    let gateway = Gateway::before(&world, 200).await?;
    let (anna, otto) = (world.stack.token_of("anna").await?, world.stack.token_of("otto").await?);
    let ask = || gateway.http.get(format!("{}/products", gateway.url)).bearer_auth(&anna).send();
    let mut refused = 0;
    for answer in join_all((0..400).map(|_| ask())).await {
        let answer = answer?;
        match answer.status().as_u16() {
            200 => {}
            429 => {
                assert_eq!(answer.headers()["retry-after"], "1");
                refused += 1;
            }
            other => return Err(format!("{other}").into()),
        }
    }
    assert!(refused > 0, "400 are more than 200 in ten seconds");
    assert_eq!(gateway.get("/products", Some(&otto)).await?.0, 200, "he has asked for nothing yet");
    world.assert_consistent().await
}

#[tokio::test]
async fn too_large_a_body_and_a_service_that_is_down_are_problems() -> Outcome {
    let world = World::start().await?;
    let gateway = Gateway::before(&world, 1_000).await?;
    let anna = world.stack.token_of("anna").await?;
    let large = gateway.http.post(format!("{}/orders", gateway.url)).bearer_auth(&anna).body(vec![b' '; 1_048_577]);
    assert_eq!(large.send().await?.status(), 413);
    world.stack.kill9(Service::Inventory).await?;
    eventually("the gateway says that it is down", || async {
        let answer = gateway.http.get(format!("{}/stock", gateway.url)).bearer_auth(&anna).send().await?;
        let down = answer.status() == 503;
        assert!(!down || answer.headers()["retry-after"] == "1");
        Ok(down.then_some(()))
    })
    .await?;
    assert_eq!(gateway.get("/products", Some(&anna)).await?.0, 200, "the others go on");
    world.stack.start(Service::Inventory).await?;
    eventually("it is found again", || async {
        Ok((gateway.get("/stock", Some(&anna)).await?.0 == 200).then_some(()))
    })
    .await?;
    world.assert_consistent().await
}
