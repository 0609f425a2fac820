//! `cargo demo`: starts everything, places five orders, shows their stories, audits, serves until Ctrl-C.

fn main() {}
