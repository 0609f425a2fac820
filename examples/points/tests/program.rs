//! The program itself; what it does is in `docs/write-a-participant.md`, whose commands are tested.

use std::process::Command;

#[test]
fn settings_are_explained_and_a_missing_one_is_said_in_one_line() {
    let program = env!("CARGO_BIN_EXE_points-svc");
    let help = Command::new(program).arg("--help").output().expect("it runs");
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--database-url"));
    let started = Command::new(program).env_clear().args(["--auth", "off"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("points-svc: DATABASE_URL is not set"), "{said}");
}
