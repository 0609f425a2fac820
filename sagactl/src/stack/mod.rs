//! Starts real servers and the services on them.
//!
//! [`Servers`] are a PostgreSQL cluster and a RabbitMQ node of our own; a [`Stack`] is the services, as processes on them. All are child
//! processes that end with this one, also when it is killed. A test begins with
//!
//! ```no_run
//! # use sagactl::client::Service;
//! # use sagactl::stack::{Stack, StackError, StackOptions};
//! # async fn test() -> Result<(), StackError> {
//! let stack = Stack::up(StackOptions::unique().replicas(Service::Payment, 2).env(Service::Order, "DEADLINE_MS", 2000)).await?;
//! let client = stack.client();
//! stack.kill9((Service::Payment, 1)).await?;
//! # Ok(()) }
//! ```
//!
//! A stack with [`StackOptions::supervise`] starts processes again that end by themselves: [`Stack::kill_supervised`] is a crash,
//! [`Stack::kill9`] and [`Stack::terminate`] are stops, and [`Stack::restarts`] counts.

mod account;
mod admin;
mod binaries;
mod child;
mod data;
mod detour;
mod error;
mod eventually;
mod find;
mod install;
mod layout;
mod management;
mod options;
mod ports;
mod postgres;
mod process;
mod program;
mod rabbitmq;
mod record;
mod running;
mod servers;
mod session;
mod settings;
mod shortage;
mod socket;
mod supervisor;
mod unix;

pub use binaries::{build, workspace};
pub use detour::Upstream;
pub use error::StackError;
pub(crate) use error::database_says;
pub use eventually::eventually;
pub use install::ensure_servers;
pub use management::{Management, Queue};
pub use options::StackOptions;
pub use program::{Instance, Program};
pub use record::{ProcessRecord, StackRecord, default_data};
pub use running::Stack;
pub use servers::Servers;
pub use session::session;
pub use settings::ServerSettings;
pub use supervisor::Restart;
