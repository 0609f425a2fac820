//! Events, the choreography, and the files that are generated from them. What was published stays readable; what is committed is
//! what the code says. After a change that is meant, one command writes the files anew:
//!
//! ```sh
//! RENEW=1 cargo test -p saga-tests --test contracts
//! ```

mod asyncapi;
mod choreography;
mod compatible;
mod conformity;
mod events;
mod files;
mod payloads;
mod schemas;
