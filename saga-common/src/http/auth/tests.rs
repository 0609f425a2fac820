//! Tokens that must be let in, and above all those that must not.

use super::*;
use crate::http::Reply;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Parser;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A key pair with a name.
struct Signer {
    kid: &'static str,
    pkcs8: Vec<u8>,
    /// The point, without the byte that says it is not compressed.
    point: Vec<u8>,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let pkcs8 = pair.to_pkcs8v1().expect("a key").as_ref().to_vec();
        Self { kid, pkcs8, point: pair.public_key().as_ref()[1..].to_vec() }
    }

    fn jwk(&self) -> Value {
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
               "x": coordinate(&self.point[..32]), "y": coordinate(&self.point[32..])})
    }

    fn pem(&self) -> String {
        // SubjectPublicKeyInfo of an uncompressed point on P-256 (RFC 5480).
        let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04".to_vec();
        der.extend(&self.point);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &EncodingKey::from_ec_der(&self.pkcs8)).expect("a token")
    }
}

fn jwks(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Claims that are let in, with these put over them; `null` takes one away.
fn claims(other: Value) -> Value {
    let mut claims = json!({"sub": "anna", "iss": "https://issuer.ordersaga.example", "aud": "ordersaga",
                            "exp": get_current_timestamp() + 60, "roles": ["customer"]});
    for (name, value) in other.as_object().expect("claims") {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(name);
        }
    }
    claims
}

/// A file that goes with the test.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(text: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("ordersaga-keys-{}", uuid::Uuid::new_v4())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("a file");
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(&settings(&["--jwt-keys", self.0.to_str().expect("a path")])).expect("settings")
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn settings(arguments: &[&str]) -> AuthSettings {
    #[derive(Parser)]
    struct Bare {
        #[command(flatten)]
        auth: AuthSettings,
    }
    Bare::try_parse_from([&["service"], arguments].concat()).expect("settings").auth
}

#[tokio::test]
async fn a_good_token_says_who_is_calling() {
    let signer = Signer::new("k1");
    for published in [jwks(&[&Signer::new("k0"), &signer]), signer.pem(), Signer::new("k0").pem() + &signer.pem()] {
        let file = KeyFile::new(&published);
        let verifier = file.verifier();
        let caller = verifier.verify(&signer.sign(&claims(json!({})))).await.expect("it is good");
        assert_eq!((caller.subject(), caller.is_operator(), caller.sees_only()), ("anna", false, Some("anna")));
        let audiences = json!({"aud": ["another", "ordersaga"], "roles": ["operator", "gardener"], "sub": "olga"});
        let caller = verifier.verify(&signer.sign(&claims(audiences))).await.expect("it is good");
        assert_eq!((caller.subject(), caller.is_operator(), caller.sees_only()), ("olga", true, None));
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_in_any_way_is_refused() {
    let (signer, stranger) = (Signer::new("k1"), Signer::new("k1"));
    let file = KeyFile::new(&jwks(&[&signer]));
    let verifier = file.verifier();
    let now = get_current_timestamp();
    let good = signer.sign(&claims(json!({})));
    let with_header = |header: Value| {
        let rest = good.split_once('.').expect("three parts").1;
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    // The public key as the secret of an HMAC: whoever takes the algorithm from the token lets it in.
    let hmac = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
    let confused =
        |secret: &[u8]| encode(&hmac, &claims(json!({})), &EncodingKey::from_secret(secret)).expect("a token");
    let bad = [
        ("expired", signer.sign(&claims(json!({"exp": now - 60})))),
        ("without an end", signer.sign(&claims(json!({"exp": null})))),
        ("not yet valid", signer.sign(&claims(json!({"nbf": now + 60})))),
        ("of another issuer", signer.sign(&claims(json!({"iss": "https://elsewhere.example"})))),
        ("of no issuer", signer.sign(&claims(json!({"iss": null})))),
        ("for another audience", signer.sign(&claims(json!({"aud": "another"})))),
        ("for no audience", signer.sign(&claims(json!({"aud": null})))),
        ("of nobody", signer.sign(&claims(json!({"sub": null})))),
        ("of an empty subject", signer.sign(&claims(json!({"sub": " "})))),
        ("of an endless subject", signer.sign(&claims(json!({"sub": "x".repeat(101)})))),
        ("of a subject with control characters", signer.sign(&claims(json!({"sub": "an\u{0}na"})))),
        ("with roles that are none", signer.sign(&claims(json!({"roles": "operator"})))),
        ("signed by a stranger", stranger.sign(&claims(json!({})))),
        (
            "unsigned",
            with_header(json!({"alg": "none", "typ": "JWT"})).rsplit_once('.').expect("three parts").0.to_owned() + ".",
        ),
        ("unsigned but for the signature", with_header(json!({"alg": "none"}))),
        ("of another algorithm", with_header(json!({"alg": "ES384", "kid": "k1"}))),
        ("signed with the PEM as a secret", confused(signer.pem().as_bytes())),
        ("signed with the point as a secret", confused(&signer.point)),
        ("changed", good.replacen('.', ".e30", 1)),
        ("cut off", good[..good.len() - 1].to_owned()),
        ("none at all", "not-a-token".to_owned()),
        ("empty", String::new()),
    ];
    for (what, token) in bad {
        let refused = verifier.verify(&token).await;
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "a token {what}: {refused:?}");
    }
    assert!(verifier.verify(&good).await.is_ok(), "the one they were made from is good");
}

#[tokio::test]
async fn an_expired_token_is_refused_although_it_was_known_to_be_good() {
    let signer = Signer::new("k1");
    let file = KeyFile::new(&jwks(&[&signer]));
    let verifier = file.verifier();
    let token = signer.sign(&claims(json!({"exp": get_current_timestamp() - LEEWAY + 1})));
    assert!(verifier.verify(&token).await.is_ok());
    // Time itself is what is tested.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Invalid("it has expired")));
}

/// As the verifier has it.
const LEEWAY: u64 = 5;

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let (old, new) = (Signer::new("2026-11"), Signer::new("2026-12"));
    let file = KeyFile::new(&jwks(&[&old]));
    let verifier = file.verifier();
    verifier.read_keys().await;
    let (before, after) = (old.sign(&claims(json!({}))), new.sign(&claims(json!({}))));
    assert!(verifier.verify(&before).await.is_ok());

    file.write(&jwks(&[&old, &new]));
    assert!(verifier.verify(&after).await.is_ok(), "a key nobody knew is looked for at once");
    assert!(verifier.verify(&before).await.is_ok(), "the old one is still published");

    file.write("rubbish");
    verifier.read_keys().await;
    assert!(verifier.verify(&after).await.is_ok(), "a document that cannot be read changes nothing");

    file.write(&jwks(&[&new]));
    verifier.read_keys().await;
    assert_eq!(verifier.verify(&before).await, Err(Refusal::UnknownKey), "though it was known to be good a moment ago");
    assert!(verifier.verify(&after).await.is_ok());
}

#[tokio::test]
async fn tokens_that_name_keys_nobody_has_do_not_make_us_flood_the_issuer() {
    let (signer, stranger) = (Signer::new("k1"), Signer::new("k2"));
    let (asked, published) = (Arc::new(AtomicUsize::new(0)), jwks(&[&signer]));
    let count = Arc::clone(&asked);
    let issuer = Router::new().route(
        "/jwks.json",
        get(move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            published
        }),
    );
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, issuer).await });

    let verifier = Arc::new(Verifier::new(&settings(&["--jwt-keys", &url])).expect("settings"));
    let tokens: Vec<String> = (0..200).map(|n| stranger.sign(&claims(json!({"sub": format!("s{n}")})))).collect();
    let refused = tokens.iter().map(|token| verifier.verify(token));
    assert!(futures::future::join_all(refused).await.into_iter().all(|it| it == Err(Refusal::UnknownKey)));
    // One for the first of them, and more only if these 200 took seconds.
    assert!(asked.load(Ordering::Relaxed) <= 5, "{asked:?}");
    assert!(verifier.verify(&signer.sign(&claims(json!({})))).await.is_ok());
}

/// A service with a route for each kind of caller, and one that asks for nothing.
fn service(gate: Gate) -> Router {
    async fn for_caller(caller: Caller) -> String {
        caller.subject().to_owned()
    }
    async fn for_operator(Operator(caller): Operator) -> Reply<String> {
        Ok(caller.subject().to_owned())
    }
    async fn for_peer(_: Peer) -> &'static str {
        "peer"
    }
    Router::new()
        .route("/caller", get(for_caller))
        .route("/operator", get(for_operator))
        .route("/peer", get(for_peer))
        .route("/any", get(|| async { "any" }))
        .route_layer(axum::middleware::from_fn_with_state(gate, authenticate))
        .route("/open", get(|| async { "open" }))
}

async fn statuses(base: &str, token: Option<&str>) -> Vec<u16> {
    let client = reqwest::Client::new();
    let mut statuses = Vec::new();
    for path in ["open", "any", "caller", "operator", "peer"] {
        let request = client.get(format!("{base}/{path}"));
        let request = token.map_or(request.try_clone().expect("no body"), |token| request.bearer_auth(token));
        let response = request.send().await.expect("an answer");
        let challenged = response.headers().contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(challenged, [401, 403].contains(&response.status().as_u16()), "{path}");
        statuses.push(response.status().as_u16());
    }
    statuses
}

async fn serve(gate: Gate) -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, service(gate)).await });
    base
}

#[tokio::test]
async fn each_route_takes_only_the_roles_it_is_for() {
    let signer = Signer::new("k1");
    let file = KeyFile::new(&jwks(&[&signer]));
    let base = serve(Gate::Closed(Arc::new(file.verifier()))).await;
    let token = |roles: &[&str]| signer.sign(&claims(json!({"roles": roles})));
    assert_eq!(statuses(&base, None).await, [200, 401, 401, 401, 401]);
    assert_eq!(statuses(&base, Some("rubbish")).await, [200, 401, 401, 401, 401]);
    assert_eq!(statuses(&base, Some(&token(&[]))).await, [200, 200, 403, 403, 403]);
    assert_eq!(statuses(&base, Some(&token(&["customer"]))).await, [200, 200, 200, 403, 403]);
    assert_eq!(statuses(&base, Some(&token(&["service"]))).await, [200, 200, 403, 403, 200]);
    assert_eq!(statuses(&base, Some(&token(&["operator"]))).await, [200, 200, 200, 200, 200]);
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_but_told_to_try_again() {
    let gate =
        Gate::Closed(Arc::new(Verifier::new(&settings(&["--jwt-keys", "/nowhere/jwks.json"])).expect("settings")));
    assert!(!gate.is_ready());
    let base = serve(gate).await;
    assert_eq!(statuses(&base, Some(&Signer::new("k1").sign(&claims(json!({}))))).await, [200, 503, 503, 503, 503]);
}

#[tokio::test]
async fn everybody_is_let_in_only_where_it_was_asked_for_and_only_on_loopback() {
    let off = settings(&["--auth", "off"]);
    let everywhere = "0.0.0.0:8080".parse().expect("an address");
    let here = "127.0.0.1:8080".parse().expect("an address");
    assert!(matches!(Gate::new(&off, everywhere), Err(SettingError::OpenToAll(_))));
    assert!(matches!(Gate::new(&settings(&[]), here), Err(SettingError::MissingKeys)));
    let base = serve(Gate::new(&off, here).expect("allowed")).await;
    assert_eq!(statuses(&base, None).await, [200; 5]);
}

#[test]
fn two_tokens_are_none() {
    let mut headers = HeaderMap::new();
    headers.append(header::AUTHORIZATION, HeaderValue::from_static("bearer a.b.c"));
    assert_eq!(bearer(&headers), Ok("a.b.c"));
    headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer d.e.f"));
    assert_eq!(bearer(&headers), Err(Refusal::NoToken));
    for other in ["Basic YTpi", "Bearer", ""] {
        assert_eq!(
            bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(other))])),
            Err(Refusal::NoToken)
        );
    }
}

#[test]
fn a_customer_orders_for_nobody_else() {
    let caller = |roles: &[Role]| Caller::new("anna".to_owned(), roles.iter().copied().collect()).expect("a caller");
    let customer = caller(&[Role::Customer]);
    assert_eq!(customer.acting_for(None).ok().as_deref(), Some("anna"));
    assert_eq!(customer.acting_for(Some("anna".to_owned())).ok().as_deref(), Some("anna"));
    assert!(customer.acting_for(Some("otto".to_owned())).is_err());
    assert_eq!(caller(&[Role::Operator]).acting_for(Some("otto".to_owned())).ok().as_deref(), Some("otto"));
}
