//! The command line: one module per verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod audit;
pub mod catalogue;
pub mod chaos;
pub mod faults;
pub mod graph;
pub mod launch;
pub mod load;
pub mod matrix;
pub mod order;
pub mod parked;
pub mod saga;
mod session;
pub(crate) mod show;
pub mod stock;
pub mod token;
pub mod up;

use session::Global;
pub use session::{Failure, Session};

/// The operator's and developer's command of OrderSaga.
///
/// Without flags it speaks to the stack that runs in the default data folder, if one does, else to the services' default ports.
#[derive(Parser)]
#[command(name = "sagactl", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What `sagactl` can do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Start private servers and all services, and serve until Ctrl-C
    Up(up::Up),
    /// Place, show, list and cancel orders
    #[command(subcommand)]
    Order(order::Order),
    /// List, export and import what the shop sells
    #[command(subcommand)]
    Catalogue(catalogue::Catalogue),
    /// List and adjust what there is, and show how it came to be there
    #[command(subcommand)]
    Stock(stock::Stock),
    /// Show what became of a saga, asked of every service
    #[command(subcommand)]
    Saga(saga::Saga),
    /// List, show and redrive messages that wait for a person
    #[command(subcommand)]
    Parked(parked::Parked),
    /// Check all databases and the provider's ledger for contradictions
    Audit(audit::Audit),
    /// Break a stack of its own in a hundred ways under load, let it heal, check everything, write a report
    Chaos(chaos::Chaos),
    /// Measure how fast a stack is and what that costs, audit it, write a report
    Load(load::Load),
    /// Try every fault at every point of every service, one order each, and every undo with a crash before and after it
    Matrix(matrix::Matrix),
    /// List fault points, or let something go wrong in whole processes
    #[command(subcommand)]
    Faults(faults::Faults),
    /// Draw who reacts to whom, or check that it fits together; needs no running services
    Graph(graph::Drawing),
    /// Print a bearer token, to be a customer or an operator with curl
    Token(token::Token),
}

impl Cli {
    /// Runs the verb. Status 0: done; 1: it failed or found something wrong; 2: it could not begin.
    pub async fn run(self) -> ExitCode {
        match self.verb {
            Verb::Up(up) => return up.run().await,
            Verb::Chaos(chaos) => return chaos.run(self.global.json()).await,
            Verb::Matrix(matrix) => return matrix.run(self.global.json()).await,
            Verb::Load(load) => return load.run(self.global).await,
            Verb::Graph(drawing) => {
                return drawing.run(self.global).await.unwrap_or_else(|failure| failure.tell(None));
            }
            _ => {}
        }
        let session = match Session::open(self.global).await {
            Ok(session) => session,
            Err(failure) => return failure.tell(None),
        };
        let outcome = match self.verb {
            Verb::Up(_) | Verb::Chaos(_) | Verb::Matrix(_) | Verb::Load(_) | Verb::Graph(_) => Ok(ExitCode::SUCCESS),
            Verb::Order(order) => order.run(&session).await,
            Verb::Catalogue(catalogue) => catalogue.run(&session).await,
            Verb::Stock(stock) => stock.run(&session).await,
            Verb::Saga(saga) => saga.run(&session).await,
            Verb::Parked(parked) => parked.run(&session).await,
            Verb::Audit(audit) => audit.run(&session).await,
            Verb::Faults(faults) => faults.run(&session).await,
            Verb::Token(token) => token.run(&session).await,
        };
        outcome.unwrap_or_else(|failure| failure.tell(session.stack.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_fits_together() {
        super::Cli::command().debug_assert();
    }
}
