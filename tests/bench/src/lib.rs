//! See `benches/`: what can become slower without anybody noticing, measured by `cargo bench`.
