//! The service as a process, on real servers: it starts, says so, answers, and stops when it is told to.

use sagactl::client::Service;
use sagactl::stack::{Program, Stack, StackOptions};

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn get(http: &reqwest::Client, url: String) -> reqwest::Result<(u16, String)> {
    let response = http.get(url).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn it_starts_answers_and_drains() -> Outcome {
    // Without its provider: cards would wait, and everything else works.
    let stack = Stack::up(StackOptions::unique().only([Program::PaymentSvc])).await?;
    let (url, http) = (stack.url(Service::Payment)?, stack.http());
    for (path, expected) in [("/livez", "alive\n"), ("/readyz", "ready\n")] {
        assert_eq!(get(&http, format!("{url}{path}")).await?, (200, expected.to_owned()));
    }
    let (_, api) = get(&http, format!("{url}/openapi.json")).await?;
    for path in ["/payments/{order_id}", "/wallets/{customer_id}", "/choreography", "/parked"] {
        assert!(api.contains(path), "{path}");
    }
    let client = stack.client();
    assert_eq!(client.choreography(Service::Payment).await?.participant, "payment");
    assert_eq!(client.wallet("poor-paula").await?.balance_minor, 0);
    assert!(client.payment(uuid::Uuid::now_v7()).await.is_err());
    let (status, problem) = get(&http, format!("{url}/payments/no-id")).await?;
    assert!(status == 400 && problem.contains("\"status\":400"), "{problem}");
    assert!(stack.terminate(Service::Payment).await?.success());
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_said_in_one_line() -> Outcome {
    for (setting, value, said) in [
        ("PROVIDER_KEY", "", "the provider key is empty"),
        ("PROVIDER_URL", "ftp://x", "the provider URL is not an http or https URL"),
        ("DATABASE_URL", "no url", "the database URL cannot be used"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_payment-svc"))
            .env_clear()
            .envs([
                ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
                ("AMQP_URL", "amqp://127.0.0.1:1"),
                ("PROVIDER_KEY", "k"),
                ("JWT_KEYS", "http://127.0.0.1:1/jwks.json"),
            ])
            .env(setting, value)
            .output()?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("payment-svc: ") && stderr.lines().count() == 1, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
    Ok(())
}
