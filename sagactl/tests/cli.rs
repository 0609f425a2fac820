//! The command line as a process: what it prints where, and its exit status.

use std::process::{Command, Output};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// Runs `sagactl` against services that are there.
fn sagactl(services: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sagactl"))
        .args(arguments)
        .env_remove("ORDERSAGA_DATA")
        .envs(["ORDER_URL", "PAYMENT_URL", "INVENTORY_URL", "NOTIFICATION_URL"].map(|variable| (variable, services)))
        .output()
        .expect("sagactl runs")
}

/// Its status and the one sentence it says.
fn refusal(arguments: &[&str]) -> (i32, String) {
    refusal_at(NOBODY, arguments)
}

fn refusal_at(services: &str, arguments: &[&str]) -> (i32, String) {
    let output = sagactl(services, arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.stdout.is_empty(), "{arguments:?} printed a result and failed: {said}");
    (output.status.code().expect("no signal"), said)
}

const ID: &str = "019a0000-0000-7000-8000-0000000000a1";

const ADVICE: &str = ": is a stack running? start one with `cargo demo` or `sagactl up`\n";

#[test]
fn without_a_stack_every_verb_says_in_one_sentence_what_to_do() {
    let place = ["order", "place", "--customer", "anna", "--item", "MUG-STONE"];
    for arguments in [
        &["order", "show", ID][..],
        &place,
        &["order", "list"],
        &["order", "cancel", ID],
        &["saga", "show", ID],
        &["parked", "list"],
        &["parked", "show", ID],
        &["parked", "redrive", ID],
    ] {
        let said = format!("error: nothing listens on {NOBODY}, where order-svc should be{ADVICE}");
        assert_eq!(refusal(arguments), (1, said), "{arguments:?}");
    }
    let (status, said) = refusal(&["parked", "list", "--service", "payment"]);
    assert_eq!((status, said), (1, format!("error: nothing listens on {NOBODY}, where payment-svc should be{ADVICE}")));
}

#[test]
fn an_audit_without_databases_says_in_one_sentence_what_to_do_and_does_not_wait() {
    let (status, said) = refusal(&["audit", "--data", "no/such/folder"]);
    assert_eq!((status, said.lines().count()), (1, 1), "{said}");
    let urls = ["orders", "inventory", "payment", "notification"]
        .map(|name| [format!("--{name}-database-url"), format!("postgres://x:secret@127.0.0.1:1/{name}")]);
    let mut arguments = vec!["audit", "--wait", "3600"];
    arguments.extend(urls.iter().flatten().map(String::as_str));
    let (status, said) = refusal(&arguments);
    assert_eq!(status, 1);
    assert!(said.starts_with("error: nothing listens on 127.0.0.1:1, where the "), "{said}");
    assert!(said.ends_with(&format!(" database should be{ADVICE}")), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn an_order_of_unknown_fate_comes_with_the_key_to_repeat_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let cut_off = std::thread::spawn(move || listener.accept().map(drop));
    let place = ["order", "place", "--customer", "anna", "--item", "MUG-STONE", "--key", "k1"];
    let (status, said) = refusal_at(&url, &place);
    assert_eq!(status, 1);
    assert!(said.contains("unknown") && said.contains("--key k1"), "{said}");
    cut_off.join().expect("no panic").expect("a client");
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
