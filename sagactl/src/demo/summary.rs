//! How the tour went.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenes::Scene;
use crate::client::{Order, OrderStatus};
use crate::cmd::show;

/// What became of one scene.
#[derive(Debug)]
pub(super) struct Outcome {
    title: &'static str,
    expected: OrderStatus,
    became: Result<Order, String>,
    took: Duration,
}

impl Outcome {
    pub(super) fn ended(scene: Scene, order: Order, took: Duration) -> Self {
        Self { title: scene.title, expected: scene.expected, became: Ok(order), took }
    }

    pub(super) fn failed(scene: Scene, why: String) -> Self {
        Self { title: scene.title, expected: scene.expected, became: Err(why), took: Duration::ZERO }
    }

    pub(super) fn as_expected(&self) -> bool {
        self.became.as_ref().is_ok_and(|order| order.status == self.expected)
    }

    fn row(&self) -> [String; 6] {
        let verdict = if self.as_expected() { "as expected" } else { "WRONG" };
        let (amount, became, reason) = match &self.became {
            Ok(order) => (
                money(order.amount_minor, &order.currency),
                order.status.to_string(),
                order.reason.clone().unwrap_or_default(),
            ),
            Err(why) => (String::new(), "failed".into(), why.clone()),
        };
        let took = format!("{} ms", self.took.as_millis());
        [self.title.into(), amount, became, reason, took, verdict.into()]
    }
}

/// One row for each order.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut table = show::table(["story", "amount", "became", "reason", "took", ""], &["amount", "took"]);
    for outcome in outcomes {
        table.add_row(outcome.row());
    }
    format!("\n{table}\n")
}

/// What an audit looked at: a clean report about nothing would prove nothing.
pub(super) fn counts(counts: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    counts.join(", ")
}

/// All demo prices are in euros and cents.
pub(super) fn money(amount_minor: i64, currency: &str) -> String {
    format!("{}.{:02} {currency}", amount_minor / 100, amount_minor % 100)
}
