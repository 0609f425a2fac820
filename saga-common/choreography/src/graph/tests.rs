//! The same maps give the same pictures, and what is in the maps is in them.

use super::*;
use crate::shop;

fn graph() -> Graph {
    Graph::of(&shop::maps())
}

#[test]
fn an_event_joins_who_says_it_and_who_reacts() {
    let graph = graph();
    let joined =
        |edge: &Edge| format!("{} -{}-> {}", graph.nodes[edge.from].name, edge.event, graph.nodes[edge.to].name);
    let ahead: Vec<String> = graph.edges.iter().filter(|edge| !edge.failure).map(joined).collect();
    assert_eq!(
        ahead,
        [
            "place-order -order.placed-> reserve-stock",
            "confirm-order -order.confirmed-> commit-stock",
            "confirm-order -order.confirmed-> notify",
            "ship -order.status-changed-> notify",
            "deliver -order.status-changed-> notify",
            "begin-return -return.requested-> restock-return",
            "begin-return -return.requested-> refund-return",
            "note-refund -order.status-changed-> notify",
            "note-restock -order.status-changed-> notify",
            "reserve-stock -stock.reserved-> charge-payment",
            "commit-stock -stock.committed-> close-order",
            "restock-return -return.restocked-> note-restock",
            "charge-payment -payment.charged-> confirm-order",
            "refund-return -return.refunded-> note-refund",
        ]
    );
}

#[test]
fn every_failure_reaches_everybody_who_undoes_and_answers_end_it() {
    let graph = graph();
    let bus = graph.nodes.iter().position(|node| node.kind == NodeKind::Failures).expect("sagas can fail");
    let refused = graph.edges.iter().filter(|edge| edge.to == bus).map(|edge| edge.event.as_str());
    assert_eq!(
        refused.collect::<Vec<_>>(),
        ["order.cancelling", "order.cancelling", "stock.rejected", "payment.declined"]
    );
    let undoing = graph.edges.iter().filter(|edge| edge.from == bus);
    let undoing = undoing.filter_map(|edge| graph.nodes[edge.to].participant.as_deref());
    assert_eq!(undoing.collect::<Vec<_>>(), ["order", "inventory", "payment"]);
    let back = graph.edges.iter().filter(|edge| edge.failure).map(|edge| edge.event.as_str()).collect::<Vec<_>>();
    assert!(back.contains(&"saga.compensated") && back.contains(&"order.cancelled"), "{back:?}");
}

#[test]
fn success_goes_from_left_to_right_and_no_two_boxes_touch() {
    let (graph, maps) = (graph(), shop::maps());
    let layout = layout::Layout::of(&graph);
    for edge in graph.edges.iter().filter(|edge| !edge.failure) {
        assert!(layout.places[edge.from].x < layout.places[edge.to].x, "{edge:?}");
    }
    let boxes = &layout.places;
    for (n, one) in boxes.iter().enumerate() {
        for other in &boxes[n + 1..] {
            let apart = |a: f64, width: f64, b: f64| a + width < b;
            let beside = apart(one.x, one.width, other.x) || apart(other.x, other.width, one.x);
            let above = apart(one.y, one.height, other.y) || apart(other.y, other.height, one.y);
            assert!(beside || above, "two boxes of {} touch", maps.len());
        }
    }
}

#[test]
fn the_same_maps_give_the_same_pictures_and_every_step_is_in_them() {
    let (one, other) = (graph(), graph());
    for (picture, again) in [(one.svg(), other.svg()), (one.mermaid(), other.mermaid()), (one.dot(), other.dot())] {
        assert_eq!(picture, again);
        for map in shop::maps() {
            assert!(map.steps.iter().all(|step| picture.contains(&step.step)), "{picture}");
        }
    }
}

#[test]
fn a_choreography_that_runs_in_a_circle_can_be_drawn_and_words_are_escaped() {
    let step = |name: &str, on: &str, says: &str| StepMap {
        step: name.to_owned(),
        kind: StepKind::Retriable,
        reacts_to: Some(on.to_owned()),
        says: Some(says.to_owned()),
        refuses: None,
        undo: false,
    };
    let steps = vec![step("ping", "b.v1", "a.v1"), step("pong", "a.v1", "b.v1")];
    let map = Choreography { participant: "<a> & 'b' \"c\"".to_owned(), steps, undoes: false, answers: None };
    let graph = Graph::of(&[map]);
    assert!(graph.svg().contains("&lt;a&gt; &amp; &#39;b&#39;") && graph.dot().contains("\\\"c\\\""));
    assert!(Graph::of(&[]).svg().ends_with("</svg>\n"));
}
