//! The rules that carry the proof.
fn main() {}
