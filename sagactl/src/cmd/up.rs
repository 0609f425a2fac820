//! `sagactl up`: start everything and serve until Ctrl-C.

use std::process::ExitCode;

use comfy_table::{ColumnConstraint, presets};

use super::launch::{Launch, StopSignal, refused, say, shut_down, tell_restarts};
use super::show::fitted;
use crate::client::{Service, explorer};
use crate::stack::{Stack, StackRecord};

/// Flags of `sagactl up`.
#[derive(Debug, clap::Args)]
pub struct Up {
    #[command(flatten)]
    launch: Launch,
}

impl Up {
    /// Starts the stack and serves until Ctrl-C. Status 0 after Ctrl-C, 2 if something must be installed or set first, else 1.
    pub async fn run(self) -> ExitCode {
        let mut stop = match StopSignal::listen() {
            Ok(stop) => stop,
            Err(error) => {
                eprintln!("error: cannot listen for Ctrl-C: {error}");
                return ExitCode::FAILURE;
            }
        };
        let started = tokio::select! {
            started = async {
                self.launch.prepare().await?;
                self.launch.start().await
            } => started,
            () = stop.received() => return ExitCode::FAILURE,
        };
        match started {
            Ok(stack) => {
                say(&addresses(&stack.record().await));
                say(&page(&stack));
                say("Serving until Ctrl-C.");
                tokio::select! {
                    () = stop.received() => {}
                    never = tell_restarts(&stack) => match never {},
                }
                shut_down(stack, &mut stop).await;
                ExitCode::SUCCESS
            }
            Err(error) => refused(&error),
        }
    }
}

/// Where the whole of it can be watched, as an operator.
pub fn page(stack: &Stack) -> String {
    let order = stack.url(Service::Order).unwrap_or_default();
    format!("Saga Explorer, for a day as an operator:\n\n{}\n", explorer(&order, stack.token()))
}

/// Where everything is, as a table for people.
pub fn addresses(record: &StackRecord) -> String {
    let mut table = fitted();
    table.load_style(presets::NOTHING);
    for process in &record.processes {
        let docs = if process.database_url.is_some() { "docs at /docs, metrics at /metrics" } else { "" };
        table.add_row([process.program.name(), &process.url, docs]);
    }
    let management = &record.management;
    table.add_row(["RabbitMQ management", &management.url, &format!("virtual host {}", record.vhost)]);
    table.add_row(["", &format!("user {}, password {}", management.user, management.password), ""]);
    if let Some(metrics) = &record.broker_metrics_url {
        table.add_row(["RabbitMQ metrics", metrics, ""]);
    }
    table.add_row(["PostgreSQL", &record.postgres_url, ""]);
    table.add_row(["Data folder", &record.data.display().to_string(), "logs in log/, all of the above in stack.json"]);
    // Addresses are copied; remarks may go over several lines.
    for column in table.column_iter_mut().take(2) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    format!("\n{table}\n")
}
