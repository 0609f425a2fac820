//! The AsyncAPI 3.0 document of the order system: what travels where, who says it and who reacts. From the participants' maps, what
//! they declare on the broker, and the events' schemas.

use crate::choreography::maps;
use crate::events::{self, Known};
use crate::files::{is_current, pretty};
use saga_common::choreography::{Choreography, StepMap, unversioned};
use saga_common::envelope::{ANNOUNCEMENT, BUNDLE, BUNDLE_EVENTS, CAUSATION_ID, JSON, TRACEPARENT};
use saga_common::topology::{Argument, DEAD_LETTERS, Declaration, EVENTS, FAILURES, QueueRole, QueueType, Topology};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Version of AsyncAPI's binding to AMQP 0-9-1.
const BINDING: &str = "0.3.0";
const BUNDLE_MESSAGE: &str = "bundle";

fn document() -> Value {
    let (maps, events) = (maps(), events::all());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "OrderSaga",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events of the order system's sagas. Success travels over a direct exchange, routed by its type without the \
                version; failures over a fanout exchange to everybody who can undo. Delivery is at least once and in any order; \
                `message_id` is the same each time. Evolution is additive: readers ignore fields that they do not know.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "broker": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "RabbitMQ. Messages are persistent, publishing is mandatory and confirmed.",
            },
        },
        "channels": channels(&maps, &events),
        "operations": operations(&maps),
        "components": {
            "messages": messages(&events),
            "schemas": schemas(&events),
            "correlationIds": {
                "saga": {
                    "description": "The saga: AMQP's property `correlation_id`. An order's saga has the order's id.",
                    "location": "$message.header#/correlation_id",
                },
            },
        },
    })
}

/// All that is declared, by everybody.
fn topologies(maps: &[Choreography]) -> Vec<Topology> {
    maps.iter().map(|map| Topology::of(map, QueueType::Quorum, false)).collect()
}

fn failures(maps: &[Choreography]) -> Vec<&String> {
    let mut failures: Vec<&String> =
        maps.iter().flat_map(|map| &map.steps).filter_map(|it| it.refuses.as_ref()).collect();
    failures.sort();
    failures.dedup();
    failures
}

/// One for each routing key of the direct exchange, one for the fanout, one for each queue.
fn channels(maps: &[Choreography], events: &[Known]) -> Value {
    let mut channels = Map::new();
    for event in events.iter().map(|event| event.event_type) {
        if failures(maps).iter().any(|failure| *failure == event) {
            continue;
        }
        let key = unversioned(event);
        let description = format!("Success: the exchange `{EVENTS}` with the routing key `{key}`.");
        channels.insert(key.to_owned(), exchange_channel(key, &description, "direct", EVENTS, &[event]));
    }
    let all: Vec<&str> = failures(maps).into_iter().map(String::as_str).collect();
    let description = "Failure: everybody who can undo hears it, whatever its routing key.";
    channels.insert(FAILURES.to_owned(), exchange_channel(FAILURES, description, "fanout", FAILURES, &all));
    for topology in topologies(maps) {
        for declaration in topology.declarations() {
            if let Declaration::Queue { name, arguments } = declaration {
                let channel = queue_channel(&topology, &name, &arguments, events, &all);
                channels.insert(name, channel);
            }
        }
    }
    Value::Object(channels)
}

fn exchange_channel(address: &str, description: &str, kind: &str, exchange: &str, events: &[&str]) -> Value {
    json!({
        "address": address,
        "description": description,
        "messages": references(events),
        "bindings": {"amqp": {
            "is": "routingKey",
            "exchange": {"name": exchange, "type": kind, "durable": true, "autoDelete": false, "vhost": "/"},
            "bindingVersion": BINDING,
        }},
    })
}

fn queue_channel(
    topology: &Topology,
    queue: &str,
    arguments: &[(&str, Argument)],
    events: &[Known],
    failures: &[&str],
) -> Value {
    let is = |role: QueueRole| role.queue(&topology.service) == queue;
    let heard: Vec<&str> = if is(QueueRole::Failures) {
        failures.to_vec()
    } else if is(QueueRole::Events) {
        let types = events.iter().map(|event| event.event_type);
        types.filter(|event| topology.reacts_to.contains(unversioned(event))).collect()
    } else {
        Vec::new()
    };
    let bindings = topology.declarations().into_iter().filter_map(|declaration| match declaration {
        Declaration::Binding { queue: bound, exchange, key } if bound == queue => {
            Some(json!({"exchange": exchange, "routingKey": key}))
        }
        _ => None,
    });
    let arguments: BTreeMap<&str, Value> = arguments
        .iter()
        .map(|(name, argument)| match argument {
            Argument::Text(text) => (*name, json!(text)),
            Argument::Number(number) => (*name, json!(number)),
        })
        .collect();
    let description = match () {
        () if is(QueueRole::Failures) => format!("Failures that {} undoes.", topology.service),
        () if is(QueueRole::Events) => format!("What {} reacts to.", topology.service),
        () => format!("What the broker itself gave up, over `{DEAD_LETTERS}`; {} parks it.", topology.service),
    };
    json!({
        "address": queue,
        "description": description,
        "messages": references(&heard),
        "bindings": {"amqp": {
            "is": "queue",
            "queue": {"name": queue, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "/"},
            "bindingVersion": BINDING,
        }},
        "x-arguments": arguments,
        "x-bindings": bindings.collect::<Vec<_>>(),
    })
}

/// The messages of a channel. Any route may carry a bundle instead.
fn references(events: &[&str]) -> Value {
    let bundle = (!events.is_empty()).then_some(BUNDLE_MESSAGE);
    let reference = |event: &str| (event.to_owned(), json!({"$ref": format!("#/components/messages/{event}")}));
    Value::Object(events.iter().copied().chain(bundle).map(reference).collect())
}

fn operations(maps: &[Choreography]) -> Value {
    let mut operations = Map::new();
    for map in maps {
        let service = &map.participant;
        for step in &map.steps {
            let (name, mut add) = (format!("{service}.{}", step.step), |name: String, it: Value| {
                let taken = operations.contains_key(&name);
                assert!(!taken, "two operations are called {name}");
                operations.insert(name, it);
            });
            if let Some(event) = &step.reacts_to {
                // A listener may have the same step for several events.
                let several = map.steps.iter().filter(|other| other.step == step.step).count() > 1;
                let name = if several { format!("{name}.{}", unversioned(event)) } else { name.clone() };
                add(name, receive(map, Some(step), &QueueRole::Events.queue(service), &[event]));
            }
            if let Some(event) = &step.says {
                add(format!("{name}.says"), send(map, step, unversioned(event), event, "says, when it has succeeded"));
            }
            if let Some(event) = &step.refuses {
                let what = if step.starts() { "ends its saga with" } else { "refuses with" };
                add(format!("{name}.refuses"), send(map, step, FAILURES, event, what));
            }
        }
        if map.undoes {
            let queue = QueueRole::Failures.queue(service);
            operations.insert(format!("{service}.compensate"), receive(map, None, &queue, &failures(maps)));
        }
        if let Some(answer) = &map.answers {
            let summary = format!("{service} says that it has undone what it did, or never will act.");
            let operation = sending(service, &summary, unversioned(answer), answer);
            operations.insert(format!("{service}.compensate.says"), operation);
        }
    }
    Value::Object(operations)
}

fn receive(map: &Choreography, step: Option<&StepMap>, queue: &str, events: &[&String]) -> Value {
    let summary = match step {
        Some(step) => format!("{} reacts with its step {}.", map.participant, step.step),
        None => format!("{} undoes what it did for the saga.", map.participant),
    };
    let message = |event: &&String| json!({"$ref": format!("#/channels/{queue}/messages/{event}")});
    let mut operation = json!({
        "action": "receive",
        "summary": summary,
        "channel": {"$ref": format!("#/channels/{queue}")},
        "messages": events.iter().map(message).collect::<Vec<_>>(),
        "tags": [{"name": map.participant}],
        "bindings": {"amqp": {"ack": true, "bindingVersion": BINDING}},
    });
    if let Some(step) = step {
        operation["x-step"] = json!({"kind": step.kind, "undo": step.undo});
    }
    operation
}

fn send(map: &Choreography, step: &StepMap, channel: &str, event: &str, what: &str) -> Value {
    sending(&map.participant, &format!("What {}'s step {} {what}.", map.participant, step.step), channel, event)
}

fn sending(service: &str, summary: &str, channel: &str, event: &str) -> Value {
    json!({
        "action": "send",
        "summary": summary,
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": [{"$ref": format!("#/channels/{channel}/messages/{event}")}],
        "tags": [{"name": service}],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": true, "timestamp": true, "bindingVersion": BINDING}},
    })
}

fn messages(events: &[Known]) -> Value {
    let message = |event: &Known| {
        let summary = event.schema["description"].as_str().unwrap_or_default().to_owned();
        let message = json!({
            "name": event.event_type,
            "title": event.name,
            "summary": summary,
            "contentType": JSON,
            "headers": {"$ref": "#/components/schemas/Headers"},
            "correlationId": {"$ref": "#/components/correlationIds/saga"},
            "payload": {"$ref": format!("#/components/schemas/{}", event.name)},
            "bindings": {"amqp": {"messageType": event.event_type, "bindingVersion": BINDING}},
        });
        (event.event_type.to_owned(), message)
    };
    let mut messages: Map<String, Value> = events.iter().map(message).collect();
    let bundle = json!({
        "name": BUNDLE_MESSAGE,
        "title": "Bundle",
        "summary": "Several events for the same route, under load. Each element is an event of its own; the AMQP type is that of the first.",
        "contentType": BUNDLE,
        "payload": {"$ref": "#/components/schemas/Bundle"},
    });
    messages.insert(BUNDLE_MESSAGE.to_owned(), bundle);
    Value::Object(messages)
}

/// Those of the events and of what they refer to, what travels in AMQP's properties and headers, and the bundle.
fn schemas(events: &[Known]) -> Value {
    let mut schemas = Map::new();
    for event in events {
        schemas.insert(event.name.clone(), event.schema.clone());
        schemas.extend(event.components.clone());
    }
    let uuid = |description: &str| json!({"type": "string", "format": "uuid", "description": description});
    let headers = json!({
        "type": "object",
        "description": "AMQP properties (`message_id`, `correlation_id`, `type`, `app_id`), and headers.",
        "required": ["message_id", "correlation_id", "type", "app_id"],
        "properties": {
            "message_id": uuid("Property: the event, the same however often it is said."),
            "correlation_id": uuid("Property: the saga."),
            "type": {"type": "string", "description": "Property: the event's type."},
            "app_id": {"type": "string", "description": "Property: the participant that said it."},
            CAUSATION_ID: uuid("Header: the message that caused this one."),
            TRACEPARENT: {"type": "string", "description": "Header: W3C trace context."},
            ANNOUNCEMENT: {
                "type": "integer",
                "minimum": 1,
                "description": "Header: how often it was said before; who has reacted already repeats the recorded answer.",
            },
        },
    });
    let element = json!({
        "type": "object",
        "required": ["id", "subject", "type", "source", "data"],
        "properties": {
            "id": uuid("As `message_id` of a plain message."),
            "subject": uuid("The saga."),
            "type": {"type": "string"},
            "source": {"type": "string", "description": "The participant that said it."},
            "data": {"type": "object", "description": "The event."},
        },
    });
    schemas.insert("Headers".to_owned(), headers);
    let bundle = json!({"type": "array", "minItems": 1, "maxItems": BUNDLE_EVENTS, "items": element});
    schemas.insert("Bundle".to_owned(), bundle);
    Value::Object(schemas)
}

#[test]
fn the_asyncapi_document_is_current() {
    is_current("docs/asyncapi.json", &pretty(&document()));
}

/// Every reference of the document leads somewhere.
#[test]
fn nothing_refers_to_what_is_not_there() {
    fn look(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').expect("a reference within the document");
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                fields.values().for_each(|value| look(document, value));
            }
            Value::Array(values) => values.iter().for_each(|value| look(document, value)),
            _ => {}
        }
    }
    let document = document();
    look(&document, &document);
}
