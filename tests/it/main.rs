//! Whole-stack tests: real PostgreSQL, real RabbitMQ, the services as processes, orders over HTTP. Each test has databases
//! and a virtual host of its own, and ends with the audit.

mod cancellation;
mod chaos;
mod choreography;
mod compensation;
mod duplicates;
mod external_money;
mod happy_path;
mod idempotency;
mod load;
mod lost_messages;
mod poison;
mod provider_trouble;
mod reordering;
mod replicas;
mod restarts;
mod strange_charges;
mod supervision;
mod validation;
mod world;
