//! What is declared fits together, for every service and any two beside each other.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use saga_common::topology::{Argument, DEAD_LETTERS, Declaration, QueueRole, QueueType, TAP, Topology};
use std::collections::BTreeMap;

fn topologies() -> impl Strategy<Value = Topology> {
    let keys = || btree_set("[a-c]{1,2}\\.[a-c]{1,2}", 0..6);
    let queue_type = prop_oneof![Just(QueueType::Quorum), Just(QueueType::Classic)];
    ("[a-z][a-z-]{0,8}", keys(), keys(), any::<bool>(), queue_type, any::<bool>()).prop_map(
        |(service, reacts_to, says, undoes, queue_type, tap)| Topology {
            service,
            reacts_to,
            says,
            undoes,
            queue_type,
            tap,
        },
    )
}

fn has_binding(all: &[Declaration], queue: &str, exchange: &str, key: &str) -> bool {
    all.iter().any(|d| {
        matches!(d, Declaration::Binding { queue: q, exchange: e, key: k } if (q.as_str(), *e, k.as_str()) == (queue, exchange, key))
    })
}

fn queue<'a>(all: &'a [Declaration], wanted: &str) -> Option<&'a [(&'static str, Argument)]> {
    all.iter().find_map(|d| match d {
        Declaration::Queue { name, arguments } if name == wanted => Some(arguments.as_slice()),
        _ => None,
    })
}

proptest! {
    #[test]
    fn everything_is_declared_once_and_before_it_is_used(topology in topologies()) {
        let all = topology.declarations();
        for (n, declaration) in all.iter().enumerate() {
            prop_assert!(!all[..n].contains(declaration), "{:?} twice", declaration);
            if let Declaration::Binding { queue: to, exchange, .. } = declaration {
                prop_assert!(queue(&all[..n], to).is_some(), "{} before it is bound", to);
                let is_from = |d: &Declaration| matches!(d, Declaration::Exchange { name, .. } if name == exchange);
                prop_assert!(all[..n].iter().any(is_from), "{} before it is bound to", exchange);
            }
        }
    }

    #[test]
    fn all_that_is_consumed_is_there_and_all_that_is_reacted_to_arrives(topology in topologies()) {
        let all = topology.declarations();
        for role in topology.consumed() {
            prop_assert!(queue(&all, &role.queue(&topology.service)).is_some());
        }
        let events = QueueRole::Events.queue(&topology.service);
        prop_assert!(topology.reacts_to.iter().all(|key| has_binding(&all, &events, "saga.events", key)));
        let failures = QueueRole::Failures.queue(&topology.service);
        prop_assert_eq!(has_binding(&all, &failures, "saga.failures", ""), topology.undoes);
        prop_assert_eq!(topology.says.iter().all(|key| has_binding(&all, TAP, "saga.events", key)), topology.tap || topology.says.is_empty());
    }

    #[test]
    fn what_a_queue_gives_up_arrives_where_the_same_service_parks(topology in topologies()) {
        let all = topology.declarations();
        let parked = QueueRole::Parked.queue(&topology.service);
        for role in topology.consumed().into_iter().filter(|role| *role != QueueRole::Parked) {
            let arguments = queue(&all, &role.queue(&topology.service)).expect("declared");
            let given = |name| arguments.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            prop_assert_eq!(given("x-dead-letter-exchange"), Some(Argument::Text(DEAD_LETTERS.to_owned())));
            let Some(Argument::Text(key)) = given("x-dead-letter-routing-key") else {
                return Err(TestCaseError::fail("no dead-letter key"));
            };
            prop_assert!(has_binding(&all, &parked, DEAD_LETTERS, &key));
        }
    }

    #[test]
    fn services_beside_each_other_never_declare_one_name_in_two_ways(topologies in vec(topologies(), 1..5)) {
        let mut seen: BTreeMap<String, Declaration> = BTreeMap::new();
        let mut services = BTreeMap::new();
        for topology in topologies {
            // Two versions of one service agree on how queues are kept.
            let queue_type = *services.entry(topology.service.clone()).or_insert(topology.queue_type);
            for declaration in (Topology { queue_type, ..topology }).declarations() {
                let name = match &declaration {
                    Declaration::Exchange { name, .. } => format!("exchange {name}"),
                    Declaration::Queue { name, .. } => format!("queue {name}"),
                    Declaration::Binding { .. } => continue,
                };
                let first = seen.entry(name).or_insert_with(|| declaration.clone());
                prop_assert_eq!(&*first, &declaration);
            }
        }
    }
}
