//! The steps on real servers with the real sandbox: what the other services would say is published by the
//! tests, and what comes of it is read from the database and from the provider's own account.

mod cards;
mod chaos;
mod returned;
mod stage;
mod undone;
mod wallets;
