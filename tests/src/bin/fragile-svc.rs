//! A participant whose step does as the event says: marks it, fails, or ends the whole process. For tests.

use clap::Parser;
use saga_common::{Cx, Never, Outcome, Participant, Service, StepError, StepResult, Undo, UndoResult};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    engine: saga_common::Settings,
}

/// What to do.
#[derive(Serialize, Deserialize)]
#[serde(rename = "test.told.v1")]
struct Told {
    word: String,
}

async fn obey(cx: &mut Cx<()>, told: Told) -> StepResult<Never, Refused> {
    match told.word.as_str() {
        "die" => std::process::abort(),
        "fail" => return Err(StepError::Retry(saga_common::Retry::because("told to fail"))),
        _ => {}
    }
    let saga = cx.saga_id().as_uuid();
    cx.tx().execute("insert into marks (saga_id, word) values ($1, $2)", &[&saga, &told.word]).await?;
    Ok(Outcome::Quiet)
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "test.refused.v1")]
struct Refused {}

async fn forget(cx: &mut Cx<()>) -> UndoResult {
    cx.tx().execute("delete from marks where saga_id = $1", &[&cx.saga_id().as_uuid()]).await?;
    Ok(Undo::Done)
}

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

async fn run(config: Config) -> Result<(), saga_common::StartError> {
    let participant = Participant::new("fragile", ()).compensatable("obey", obey, forget).build();
    let participant = participant.map_err(saga_common::Error::from)?;
    let service = Service::prepare(participant, config.engine, &MIGRATOR).await?;
    service.serve("127.0.0.1:8099", utoipa_axum::router::OpenApiRouter::new()).await
}

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    saga_common::telemetry::init(&config.engine);
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fragile-svc: {error}");
            ExitCode::FAILURE
        }
    }
}
