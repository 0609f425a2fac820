//! A choreography saga engine over RabbitMQ and PostgreSQL.
//!
//! Money and stock live in different databases; nobody coordinates. Each service reacts to events, and when one refuses,
//! everybody undoes. Delivery is at least once; the effect is once. Write the steps as plain async functions, list them
//! in a [`Participant`], and [`Service`] runs them: guard rows, outbox, undo, answers, waiting, parking, drain.
//!
//! Read in this order: [`event`], [`step`], [`participant`]. `ARCHITECTURE.md` has the map and the proofs.

#![forbid(unsafe_code)]
// What only its endpoints ask for.
#![cfg_attr(not(feature = "http"), allow(dead_code))]

pub mod action;
pub mod acts;
pub mod answer;
pub mod config;
pub mod db;
pub mod drain;
pub mod envelope;
pub mod error;
pub mod event;
pub mod faults;
#[cfg(feature = "http")]
pub mod http;
pub mod ids;
pub mod jobs;
pub mod participant;
pub mod retry;
pub mod saga;
pub mod service;
pub mod step;
pub mod telemetry;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod topology;
pub mod unit;

mod announcer;
mod broker;
mod bundle;
mod consumer;
mod drift;
mod engine;
mod guard;
mod health;
mod outbox;
mod partitions;
mod said;
mod waiting;

pub use action::set;
pub use answer::{CompensationOutcome, SagaCompensated};
pub use broker::BrokerError;
pub use config::Settings;
pub use db::{DbError, Statement, Tx};
pub use error::Error;
pub use event::{Event, Never};
pub use guard::Verdict;
pub use ids::{MessageId, SagaId};
pub use jobs::{External, Job, Reversible};
pub use participant::{Builder, Choreography, Participant, StepKind};
pub use saga::{AnnouncedLine, CallLine, FaultLine, Saga, SagaPart, SaidLine, StepLine, WaitingLine};
/// Choreographies as data: maps, the rules they keep, what a saga waits for, pictures.
pub use saga_choreography as choreography;
pub use service::{Service, StartError};
pub use step::{
    Cx, Failure, Held, Outcome, Received, Retry, SetResult, StepError, StepResult, Undo, UndoResult, refuse, say,
};
/// What a request is a part of, for traces.
pub use telemetry::trace::Trace;
/// A row that a statement has returned: what [`Cx::locked`] and [`Tx::query`] give.
pub use tokio_postgres::Row;
pub use unit::Unit;
