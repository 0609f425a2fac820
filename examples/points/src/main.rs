//! Points for customers: booked when an order is placed, taken back if it fails.

#![forbid(unsafe_code)]

use clap::Parser;
use order_contracts::OrderPlaced;
use saga_common::error::chain;
use saga_common::{
    Cx, Error, Never, Outcome, Participant, Service, Settings, StartError, StepResult, Undo, UndoResult,
};
use std::process::ExitCode;
use utoipa_axum::router::OpenApiRouter;

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    engine: Settings,
}

/// A point for each whole euro, in the transaction that remembers that this message was handled.
async fn book(cx: &mut Cx<()>, order: OrderPlaced) -> StepResult<Never> {
    let (saga, customer) = (cx.saga_id().as_uuid(), order.customer_id.as_str());
    let points = order.amount_minor.minor() / 100;
    let sql = "insert into points (saga_id, customer_id, points) values ($1, $2, $3)";
    cx.tx().execute(sql, &[&saga, &customer, &points]).await?;
    Ok(Outcome::Quiet)
}

/// Once, whoever refused; and if the failure overtakes the order, it is the order that finds itself undone.
async fn take_back(cx: &mut Cx<()>) -> UndoResult {
    cx.tx().execute("delete from points where saga_id = $1", &[&cx.saga_id().as_uuid()]).await?;
    Ok(Undo::Done)
}

/// The tables of this service; the engine has its own beside them.
static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

async fn run(config: Config) -> Result<(), StartError> {
    let participant = Participant::new("points", ()).compensatable("book-points", book, take_back).build();
    let service = Service::prepare(participant.map_err(Error::from)?, config.engine, &MIGRATOR).await?;
    service.serve("127.0.0.1:8084", OpenApiRouter::new()).await
}

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    saga_common::telemetry::init(&config.engine);
    let Err(error) = run(config).await else { return ExitCode::SUCCESS };
    eprintln!("points-svc: {}", chain(&error));
    ExitCode::FAILURE
}
