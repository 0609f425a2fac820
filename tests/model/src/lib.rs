//! The protocol as a model, checked state by state with `stateright`.
//!
//! It shares no code with the engine and imports none of it: the rules were written down a second time, in few words, and
//! every interleaving of two or three processes, queues that reorder, copy and lose, and processes that die between any
//! two transactions is looked at. What is one transaction there is one action here; that transactions on the same rows
//! take turns is PostgreSQL's part, and R7's, which has a model of its own in [`locks`].
//!
//! `docs/rules.md` has the rules, clause by clause, beside the code, this model, the mutant that drops the clause, and the
//! test on real servers.

pub mod action;
mod announcer;
mod broker;
pub mod check;
pub mod config;
mod consumer;
mod inventory;
mod jobs;
pub mod locks;
pub mod message;
pub mod mutants;
mod order;
mod payment;
pub mod properties;
pub mod protocol;
mod provider;
mod retention;
pub mod rows;
pub mod state;
mod undo;

pub use check::{Report, Subject, check};
pub use config::Config;
pub use locks::Locks;
pub use mutants::Mutant;
pub use protocol::Protocol;
