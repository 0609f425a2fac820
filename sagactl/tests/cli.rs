//! The command line as a process: what it prints where, and its exit status.

use std::process::{Command, Output};

/// Runs `sagactl` against services that are not there.
fn sagactl(arguments: &[&str]) -> Output {
    let nobody = "http://127.0.0.1:1";
    Command::new(env!("CARGO_BIN_EXE_sagactl"))
        .args(arguments)
        .env_remove("ORDERSAGA_DATA")
        .envs(["ORDER_URL", "PAYMENT_URL", "INVENTORY_URL", "NOTIFICATION_URL"].map(|variable| (variable, nobody)))
        .output()
        .expect("sagactl runs")
}

/// Its status and the one sentence it says.
fn refusal(arguments: &[&str]) -> (i32, String) {
    let output = sagactl(arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.stdout.is_empty(), "{arguments:?} printed a result and failed: {said}");
    (output.status.code().expect("no signal"), said)
}

const ID: &str = "019a0000-0000-7000-8000-0000000000a1";

#[test]
fn a_service_that_is_not_there_is_one_sentence_and_status_1() {
    let (status, said) = refusal(&["order", "show", ID]);
    assert_eq!(status, 1);
    assert!(said.starts_with("error: order-svc cannot be reached at http://127.0.0.1:1/orders/"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    for arguments in [&["saga", "show", ID][..], &["parked", "list"], &["parked", "redrive", ID], &["order", "list"]] {
        let (status, said) = refusal(arguments);
        assert_eq!((status, said.lines().count()), (1, 1), "{arguments:?}: {said}");
    }
}

#[test]
fn an_order_of_unknown_fate_comes_with_the_key_to_repeat_it() {
    let (status, said) = refusal(&["order", "place", "--customer", "anna", "--item", "MUG-STONE", "--key", "k1"]);
    assert_eq!(status, 1);
    assert!(said.contains("unknown") && said.contains("--key k1"), "{said}");
}

#[test]
fn a_command_that_makes_no_sense_is_status_2() {
    for arguments in [
        &["order", "show", "nonsense"][..],
        &["order", "place", "--customer", "anna"],
        &["order", "place", "--customer", "anna", "--item", "MUG-STONE=0"],
        &["audit", "--live", "1", "--wait", "1"],
        &["unheard-of"],
    ] {
        assert_eq!(refusal(arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn a_folder_without_a_running_stack_is_said_to_be_one() {
    let (status, said) = refusal(&["order", "list", "--data", "no/such/folder"]);
    assert_eq!(status, 1);
    assert!(said.starts_with("error: no running stack in no/such/folder"), "{said}");
}
