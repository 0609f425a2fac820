//! Starts real servers and the services on them.
//!
//! [`Servers`] are a PostgreSQL cluster and a RabbitMQ node of our own. They and all services are child processes that end with this one,
//! also when it is killed.

mod admin;
mod child;
mod data;
mod error;
mod find;
mod management;
mod ports;
mod postgres;
mod rabbitmq;
mod servers;
mod settings;
mod unix;

pub use error::StackError;
pub use management::{Management, Queue};
pub use servers::Servers;
pub use settings::ServerSettings;
