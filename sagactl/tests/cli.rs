//! The command line as a process: what it prints where, and its exit status.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// Runs `sagactl` against services that are there.
fn sagactl(services: &str, arguments: &[&str], columns: Option<&str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sagactl"))
        .args(arguments)
        .env_remove("ORDERSAGA_DATA")
        .env_remove("COLUMNS")
        .envs(columns.map(|columns| ("COLUMNS", columns)))
        .envs(["ORDER_URL", "PAYMENT_URL", "INVENTORY_URL", "NOTIFICATION_URL"].map(|variable| (variable, services)))
        .output()
        .expect("sagactl runs")
}

/// Its status and the one sentence it says.
fn refusal(arguments: &[&str]) -> (i32, String) {
    refusal_at(NOBODY, arguments)
}

fn refusal_at(services: &str, arguments: &[&str]) -> (i32, String) {
    let output = sagactl(services, arguments, None);
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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let cut_off = thread::spawn(move || listener.accept().map(drop));
    let place = ["order", "place", "--customer", "anna", "--item", "MUG-STONE", "--key", "k1"];
    let (status, said) = refusal_at(&url, &place);
    assert_eq!(status, 1);
    assert!(said.contains("unknown") && said.contains("--key k1"), "{said}");
    cut_off.join().expect("no panic").expect("a client");
}

fn order(status: &str, reason: &str) -> String {
    format!(
        r#"{{"id":"{ID}","customer_id":"anna","status":"{status}","reason":"{reason}","currency":"EUR","amount_minor":1800,
            "items":[],"payment_method":"wallet","created_at":"2026-11-21T10:00:00Z","deadline_at":"2026-11-21T10:00:30Z"}}"#
    )
}

/// A service that answers one request with this body; what `sagactl` makes of it.
fn answered(body: &str, arguments: &[&str], columns: Option<&str>) -> (i32, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let service = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let whole =
            |request: &[u8]| request.ends_with(b"}") || (request.starts_with(b"GET") && request.ends_with(b"\r\n\r\n"));
        while !whole(&request) {
            let mut part = [0; 1024];
            let length = socket.read(&mut part).expect("a request");
            request.extend_from_slice(&part[..length]);
        }
        socket.write_all(answer.as_bytes()).expect("a patient client");
    });
    let output = sagactl(&url, arguments, columns);
    service.join().expect("no panic");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("no signal"), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn the_status_of_an_order_that_was_waited_for_tells_how_it_ended() {
    let place = ["order", "place", "--customer", "anna", "--item", "MUG-STONE", "--wait", "1", "--json"];
    for (became, status) in
        [("confirmed", 0), ("delivered", 0), ("cancelled", 3), ("cancelling", 4), ("pending", 4), ("of-tomorrow", 4)]
    {
        for arguments in [&place[..8], &place] {
            let (code, shown) = answered(&order(became, ""), arguments, None);
            assert_eq!(code, status, "{became}");
            assert!(shown.contains(became), "the order is shown whatever its status: {shown}");
        }
    }
    assert_eq!(answered(&order("pending", ""), &place[..6], None).0, 0, "placed, and nothing more was asked for");
}

#[test]
fn tables_are_as_wide_as_the_terminal_and_whole_in_a_pipe() {
    let reason = "payment.declined: ".to_owned() + &"the customer's bank says no ".repeat(5);
    let page = format!(r#"{{"orders":[{}]}}"#, order("cancelled", reason.trim_end()));
    let list = ["order", "list"];
    let (_, narrow) = answered(&page, &list, Some("132"));
    assert!(narrow.lines().all(|line| line.chars().count() <= 132), "{narrow}");
    assert!(narrow.contains(ID), "an id is not broken over lines: {narrow}");
    let (_, whole) = answered(&page, &list, None);
    assert!(whole.contains(reason.trim_end()), "{whole}");
}

#[test]
fn a_command_that_makes_no_sense_is_status_2() {
    for arguments in [
        &["order", "show", "nonsense"][..],
        &["order", "place", "--customer", "anna"],
        &["order", "place", "--customer", "anna", "--item", "MUG-STONE=0"],
        &["audit", "--live", "1", "--wait", "1"],
        &["matrix", "--quick", "--actions", "crsh"],
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
