//! The claims that a history makes about orders: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Deserialize;
use uuid::Uuid;

use super::{History, Line};
use crate::audit::facts::{Facts, Order};
use crate::audit::report::{AuditReport, Finding};

/// What a request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    customer_id: String,
    currency: String,
    method: String,
    /// `SKU=quantity,..` in order of SKU.
    contents: String,
}

/// What the history says about one key.
#[derive(Default)]
struct Key<'a> {
    /// `None`: a body that orders nothing.
    asked: Vec<Option<Wish>>,
    told: BTreeSet<Uuid>,
    states: Vec<(Uuid, &'a str)>,
}

/// Makes every check that concerns what clients were told.
pub(in crate::audit) fn check(history: &History, facts: &Facts, report: &mut AuditReport) {
    let claims = Claims::of(history, facts);
    claims.exist(report);
    claims.one_each(report);
    claims.asked_for(report);
    claims.ends_stay(report);
    claims.cancels(report);
}

struct Claims<'a> {
    facts: &'a Facts,
    keys: BTreeMap<&'a str, Key<'a>>,
    seen: Vec<(Uuid, &'a str)>,
    cancels: BTreeSet<(Uuid, u16)>,
    /// Per order the keys that it is on record for.
    kept: BTreeMap<Uuid, Vec<(&'a str, &'a str)>>,
}

impl<'a> Claims<'a> {
    fn of(history: &'a History, facts: &'a Facts) -> Self {
        let mut claims =
            Self { facts, keys: BTreeMap::new(), seen: Vec::new(), cancels: BTreeSet::new(), kept: BTreeMap::new() };
        for line in &history.lines {
            if let Line::Asked { key, body } = line {
                claims.keys.entry(key).or_default().asked.push(wish(body));
            }
        }
        for line in history.told() {
            match line {
                Line::Told { key, status: 200..300, order: Some(order), state } => {
                    let known = claims.keys.entry(key).or_default();
                    known.told.insert(*order);
                    known.states.extend(state.as_deref().map(|state| (*order, state)));
                }
                Line::Seen { order, state } => claims.seen.push((*order, state)),
                Line::ToldOfCancel { order, status } => {
                    claims.cancels.insert((*order, *status));
                }
                Line::Told { .. } | Line::Asked { .. } | Line::AskedToCancel { .. } => {}
            }
        }
        for key in &facts.request_keys {
            claims.kept.entry(key.order_id).or_default().push((&key.customer_id, &key.key));
        }
        claims
    }

    fn order(&self, id: Uuid) -> Option<&'a Order> {
        self.facts.sagas.get(&id)?.order.as_ref()
    }

    fn exist(&self, report: &mut AuditReport) {
        let mut wrong = Vec::new();
        for (key, known) in &self.keys {
            for id in &known.told {
                let expected = || known.asked.iter().flatten().map(show).collect::<Vec<_>>().join(" or ");
                match self.order(*id) {
                    None => wrong.push(finding(id, expected(), "no such order")),
                    Some(order) if !known.asks_for(order) => wrong.push(finding(id, expected(), show(&of(order)))),
                    Some(_) if !self.is_kept(*id, key) => {
                        wrong.push(finding(id, format!("request key {key}"), "it stands for another order, or none"));
                    }
                    Some(_) => {}
                }
            }
        }
        let claim = "every order that a client was told of is there, with what it asked for and under its key";
        report.add("told-orders-exist", claim, wrong.len() as u64, wrong);
    }

    /// Keys are forgotten after a day or more: an order without any can be of any.
    fn is_kept(&self, order: Uuid, key: &str) -> bool {
        self.kept.get(&order).is_none_or(|keys| keys.iter().any(|(_, kept)| *kept == key))
    }

    fn one_each(&self, report: &mut AuditReport) {
        let several = self.keys.iter().filter(|(_, known)| known.told.len() > 1);
        let wrong: Vec<Finding> = several
            .map(|(key, known)| {
                let orders: Vec<String> = known.told.iter().map(Uuid::to_string).collect();
                finding(key, "one order", orders.join(" and "))
            })
            .collect();
        let claim = "whoever repeated a request was told of the same order";
        report.add("one-order-per-key", claim, wrong.len() as u64, wrong);
    }

    fn asked_for(&self, report: &mut AuditReport) {
        let mut wrong = Vec::new();
        let mut first_of: BTreeMap<(&str, &str), Uuid> = BTreeMap::new();
        for (id, order) in self.facts.sagas.iter().filter_map(|(id, saga)| Some((id, saga.order.as_ref()?))) {
            let kept = self.kept.get(id).map_or(&[][..], Vec::as_slice);
            let asked = |key: &str| self.keys.get(key).is_some_and(|known| known.asks_for(order));
            let told = || self.keys.values().any(|known| known.told.contains(id) && known.asks_for(order));
            let explained = if kept.is_empty() { told() } else { kept.iter().any(|(_, key)| asked(key)) };
            if !explained {
                let keys: Vec<&str> = kept.iter().map(|(_, key)| *key).collect();
                let actual = format!("{} under keys [{}], which nobody asked for", show(&of(order)), keys.join(", "));
                wrong.push(finding(id, "a request", actual));
            }
            for key in kept {
                if let Some(other) = first_of.insert(*key, *id) {
                    wrong.push(finding(id, format!("an order of its own, as {} is one request", key.1), other));
                }
            }
        }
        let claim = "there is no order that no request explains";
        report.add("orders-were-asked-for", claim, wrong.len() as u64, wrong);
    }

    fn ends_stay(&self, report: &mut AuditReport) {
        let seen: BTreeSet<(Uuid, &str)> =
            self.keys.values().flat_map(|known| &known.states).chain(&self.seen).copied().collect();
        let mut wrong = Vec::new();
        for (id, state) in seen {
            let found = self.order(id).map_or("no such order", |order| order.status.as_str());
            if !may_become(state, found) {
                wrong.push(finding(&id, format!("{state}, as a client saw it, or what comes of that"), found));
            }
        }
        let claim = "what a client has seen of an order was not taken back: an end is never left";
        report.add("seen-ends-stay", claim, wrong.len() as u64, wrong);
    }

    fn cancels(&self, report: &mut AuditReport) {
        let mut wrong = Vec::new();
        for (id, status) in &self.cancels {
            let found = self.order(*id).map_or("no such order", |order| order.status.as_str());
            let (kept, expected) = match status {
                202 => (may_become("cancelling", found), "cancelled"),
                409 => (may_become("confirmed", found), "confirmed"),
                404 => (self.order(*id).is_none(), "no such order"),
                _ => continue,
            };
            if !kept {
                wrong.push(finding(id, format!("{expected}, as the answer {status} said"), found));
            }
        }
        let claim = "whoever was told that an order is being cancelled, or cannot be, was told the truth";
        report.add("cancels-keep-their-word", claim, wrong.len() as u64, wrong);
    }
}

impl Key<'_> {
    fn asks_for(&self, order: &Order) -> bool {
        self.asked.iter().flatten().any(|wish| *wish == of(order))
    }
}

/// Whether an order with the first status can have the second later.
fn may_become(seen: &str, found: &str) -> bool {
    const CONFIRMED: [&str; 5] = ["confirmed", "shipped", "delivered", "returning", "returned"];
    match seen {
        "pending" => found != "no such order",
        "cancelling" => matches!(found, "cancelling" | "cancelled"),
        "cancelled" => found == "cancelled",
        _ => {
            let from = CONFIRMED.iter().position(|state| *state == seen).unwrap_or(CONFIRMED.len());
            CONFIRMED.iter().skip(from).any(|state| *state == found)
        }
    }
}

fn of(order: &Order) -> Wish {
    Wish {
        customer_id: order.customer_id.clone(),
        currency: order.currency.clone(),
        method: order.method.clone(),
        contents: order.contents.clone(),
    }
}

fn show(wish: &Wish) -> String {
    format!("{} for {} by {} in {}", wish.contents, wish.customer_id, wish.method, wish.currency)
}

#[derive(Deserialize)]
struct Body {
    customer_id: String,
    currency: String,
    payment_method: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    sku: String,
    quantity: u64,
}

/// Of a body that orders something.
fn wish(body: &str) -> Option<Wish> {
    let body: Body = serde_json::from_str(body).ok()?;
    let mut quantities: BTreeMap<&str, u64> = BTreeMap::new();
    for item in &body.items {
        *quantities.entry(&item.sku).or_default() += item.quantity;
    }
    let contents: Vec<String> = quantities.iter().map(|(sku, quantity)| format!("{sku}={quantity}")).collect();
    let (customer_id, currency, method) = (body.customer_id, body.currency, body.payment_method);
    Some(Wish { customer_id, currency, method, contents: contents.join(",") })
}

fn finding(id: &dyn Display, expected: impl Into<String>, actual: impl ToString) -> Finding {
    Finding { id: id.to_string(), expected: expected.into(), actual: actual.to_string() }
}
