//! Fault directives: what is printed is read again, and whatever else is written is refused with a reason.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use saga_common::faults::{Action, Directive, Directives};
use std::time::Duration;

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Crash),
        Just(Action::Error),
        Just(Action::Duplicate),
        Just(Action::Drop),
        Just(Action::SkipAck),
        (0..=600_000u64).prop_map(|ms| Action::Delay(Duration::from_millis(ms))),
        (0..=600_000u64).prop_map(|ms| Action::Hold(Duration::from_millis(ms))),
    ]
}

fn directives() -> impl Strategy<Value = Directive> {
    let probabilities = prop_oneof![0.0..=1.0f64, Just(0.0), Just(1.0), Just(f64::MIN_POSITIVE), Just(5e-324)];
    let place = (option::of("[a-z-]{1,20}"), "[a-z-]{1,20}", option::of("[a-z._-]{1,30}"));
    (place, actions(), option::of(any::<u32>()), option::of(probabilities)).prop_map(
        |((service, point, event), action, times, probability)| Directive {
            service,
            point,
            event,
            action,
            times,
            probability,
        },
    )
}

/// Texts of the grammar's own characters.
fn almost() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c*/@=%(),0-9. -]{0,40}",
        "[a-z]{1,8}/[a-z]{1,8}=(crash|delay\\(|hold|drop)[*%(),0-9]{0,8}"
    ]
}

proptest! {
    #[test]
    fn what_is_printed_is_what_is_read(written in directives()) {
        prop_assert_eq!(written.to_string().parse::<Directive>(), Ok(written));
    }

    #[test]
    fn several_are_read_in_their_order(written in vec(directives(), 0..4)) {
        let written = Directives(written);
        prop_assert_eq!(written.to_string().parse::<Directives>(), Ok(written));
    }

    #[test]
    fn what_one_service_has_read_the_next_can_read_when_it_is_passed_on(text in almost(), times in 1..200usize) {
        let text = vec![text; times].join(",");
        match text.parse::<Directives>() {
            Ok(read) => prop_assert_eq!(read.to_string().parse::<Directives>(), Ok(read)),
            Err(refused) => {
                let why = refused.to_string();
                prop_assert!(why.contains("is no fault directive: ") && why.chars().count() < 300, "{}", why);
            }
        }
    }
}

#[test]
fn directives_that_grow_too_long_when_passed_on_are_refused_at_once() {
    let text = vec!["*/a=crash%1e-300"; 100].join(",");
    assert!(text.len() < 2_048);
    assert!(text.parse::<Directives>().is_err_and(|refused| refused.to_string().contains("too long")));
}
