//! Signs tokens for demos and tests, and publishes the keys they are checked with: a stand-in for a real identity provider
//! (Keycloak, Auth0, ..), which takes its place by `JWT_KEYS`, `JWT_ISSUER` and `JWT_AUDIENCE` of the services.
//!
//! Whoever can read its folder, or reach it while it gives out demo tokens, can be anybody.

#![forbid(unsafe_code)]

mod config;
mod http;
mod keys;
mod serve;
mod token;

pub use config::{Command, Config};
pub use keys::{KeyError, KeyRing};
pub use serve::{IssuerError, run};
pub use token::{Grant, Role};
