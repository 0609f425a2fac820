//! The real sandbox process, seen through the client that payment-svc uses, and once through bare HTTP.

mod charging;
mod durability;
mod misbehaving;
mod process;
mod wire;
