//! Whole-stack tests: real PostgreSQL, real RabbitMQ, the services as processes, orders over HTTP. Each test has databases
//! and a virtual host of its own, and ends with the audit.

mod access;
mod cancellation;
mod catalogue;
mod chaos;
mod choreography;
mod compensation;
mod crashes;
mod duplicates;
mod explorer;
mod external_money;
mod gateway;
mod happy_path;
mod idempotency;
mod load;
mod lost_messages;
mod metrics;
mod migrations;
mod monitoring;
mod overload;
mod poison;
mod provider_trouble;
mod reads;
mod reordering;
mod replicas;
mod restarts;
mod returns;
mod strange_charges;
mod supervision;
mod timeline;
mod topology;
mod traces;
mod validation;
mod watching;
mod world;
