//! Holds what the load client was told against what the databases say.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use uuid::Uuid;

use super::history::{Line, What};
use crate::audit::{Check, Finding, MAX_FINDINGS};

/// An order as its database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it ended.
    pub status: String,
    /// What was ordered, in the form of [`content_of`].
    pub content: String,
    /// The Idempotency-Keys it stands for.
    pub keys: BTreeSet<String>,
}

/// Every order there is.
pub type Orders = BTreeMap<Uuid, Stored>;

/// Reads them.
///
/// # Errors
/// PostgreSQL's.
pub async fn orders(database: &Client) -> Result<Orders, tokio_postgres::Error> {
    let sql = "select o.id, o.status,
                      o.customer_id || ' ' || o.currency || ' ' || o.payment_method || ' ' ||
                          (select string_agg(l.quantity || ' ' || l.sku, ', ' order by l.sku) from order_lines l where l.order_id = o.id),
                      (select coalesce(array_agg(k.key), '{}') from request_keys k where k.order_id = o.id and k.customer_id = o.customer_id)
               from orders o";
    let rows = database.query(sql, &[]).await?;
    let stored = |row: &tokio_postgres::Row| Stored {
        status: row.get(1),
        content: row.get::<_, Option<String>>(2).unwrap_or_default(),
        keys: row.get::<_, Vec<String>>(3).into_iter().collect(),
    };
    Ok(rows.iter().map(|row| (row.get(0), stored(row))).collect())
}

/// What a body orders: customer, currency, method and lines by article.
#[must_use]
pub fn content_of(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let mut lines: Vec<(&str, u64)> = Vec::new();
    for item in body["items"].as_array()? {
        lines.push((item["sku"].as_str()?, item["quantity"].as_u64()?));
    }
    lines.sort_unstable();
    let lines: Vec<String> = lines.iter().map(|(sku, quantity)| format!("{quantity} {sku}")).collect();
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Some(format!("{} {} {} {}", text("customer_id")?, text("currency")?, text("payment_method")?, lines.join(", ")))
}

/// What the history says about one key.
#[derive(Debug, Default)]
struct Told<'a> {
    body: Option<&'a str>,
    orders: BTreeSet<Uuid>,
    states: BTreeSet<&'a str>,
}

/// All claims of the history about the orders. Pure.
#[must_use]
pub fn check(history: &[Line], orders: &Orders) -> Vec<Check> {
    let mut keys: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    let mut cancels: Vec<(Uuid, u16)> = Vec::new();
    for line in history {
        match &line.what {
            What::Asked { key, body, .. } => keys.entry(key).or_default().body = Some(body),
            What::Told { key, status, order: Some(order), state } if (200..300).contains(status) => {
                let told = keys.entry(key).or_default();
                told.orders.insert(*order);
                told.states.extend(state.as_deref());
            }
            What::ToldOfCancel { order, status } => cancels.push((*order, *status)),
            What::Told { .. } | What::AskedToCancel { .. } => {}
        }
    }
    vec![
        claim(
            "told-orders-exist",
            "every order that a client was told of exists, with the content it asked for",
            |wrong| {
                for (key, told) in &keys {
                    for order in &told.orders {
                        let wanted = told.body.and_then(content_of).unwrap_or_default();
                        match orders.get(order) {
                            None => wrong(order, wanted, "no such order".to_owned()),
                            Some(stored) if stored.content != wanted => wrong(order, wanted, stored.content.clone()),
                            Some(stored) if !stored.keys.contains(*key) => {
                                wrong(order, format!("key {key}"), "not its key".into())
                            }
                            Some(_) => {}
                        }
                    }
                }
            },
        ),
        claim("one-order-per-key", "one key is one order", |wrong| {
            for (key, told) in keys.iter().filter(|(_, told)| told.orders.len() > 1) {
                wrong(key, "one order".to_owned(), format!("{:?}", told.orders));
            }
            let mut seen: BTreeMap<&str, Uuid> = BTreeMap::new();
            for (order, key) in
                orders.iter().flat_map(|(order, stored)| stored.keys.iter().map(move |key| (order, key)))
            {
                if let Some(other) = seen.insert(key, *order) {
                    wrong(key, "one order".to_owned(), format!("{order} and {other}"));
                }
            }
        }),
        claim("orders-were-asked-for", "there is no order that no request explains", |wrong| {
            for (order, stored) in orders {
                let asked = |key: &String| {
                    let body = keys.get(key.as_str()).and_then(|told| told.body);
                    body.and_then(content_of).is_some_and(|content| content == stored.content)
                };
                if !stored.keys.iter().any(asked) {
                    wrong(order, "a request".to_owned(), format!("{} under {:?}", stored.content, stored.keys));
                }
            }
        }),
        claim(
            "told-orders-end",
            "every order that a client was told of has ended, as it was told if it was",
            |wrong| {
                for told in keys.values() {
                    for (order, stored) in told.orders.iter().filter_map(|order| Some((order, orders.get(order)?))) {
                        if !is_end(&stored.status) {
                            wrong(order, "confirmed or cancelled".to_owned(), stored.status.clone());
                        }
                        for state in told.states.iter().filter(|state| is_end(state) && **state != stored.status) {
                            wrong(order, format!("{state}, as a client was told"), stored.status.clone());
                        }
                    }
                }
            },
        ),
        claim(
            "cancels-keep-their-word",
            "whoever was told that an order is being cancelled, or cannot be, was told the truth",
            |wrong| {
                for (order, status) in &cancels {
                    let stored = orders.get(order).map_or("no such order", |stored| stored.status.as_str());
                    let expected = match status {
                        202 => "cancelled",
                        409 => "confirmed",
                        _ => continue,
                    };
                    if stored != expected {
                        wrong(order, format!("{expected}, as the answer {status} said"), stored.to_owned());
                    }
                }
            },
        ),
    ]
}

fn is_end(status: &str) -> bool {
    matches!(status, "confirmed" | "shipped" | "delivered" | "cancelled")
}

fn claim(name: &str, claim: &str, judge: impl FnOnce(&mut dyn FnMut(&dyn std::fmt::Display, String, String))) -> Check {
    let (mut violations, mut findings) = (0, Vec::new());
    judge(&mut |id, expected, actual| {
        violations += 1;
        if findings.len() < MAX_FINDINGS {
            findings.push(Finding { id: id.to_string(), expected, actual });
        }
    });
    Check { name: name.to_owned(), claim: claim.to_owned(), passed: violations == 0, violations, findings }
}

#[cfg(test)]
mod tests;
