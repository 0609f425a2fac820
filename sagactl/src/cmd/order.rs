//! `sagactl order`: place, show, list and cancel orders, move them on and take them back.

use std::process::ExitCode;
use std::str::FromStr;

use uuid::Uuid;

use super::show::{moment, money, table};
use super::{Failure, Session};
use crate::client::{self, ClientError, Item, NewOrder, OrderFilter, OrderPage, OrderStatus};

/// With `--wait`, when the order was cancelled.
const CANCELLED: u8 = 3;
/// With `--wait`, when the time was over before the order was.
const UNDECIDED: u8 = 4;

const PLACE_STATUSES: &str = "\
Exit status:
  0  it is placed; with --wait: confirmed
  1  it is not placed, or not known to be
  2  the command makes no sense
  3  with --wait: it was cancelled
  4  with --wait: it was neither confirmed nor cancelled in time";

/// Flags of `sagactl order`.
#[derive(Debug, clap::Subcommand)]
pub enum Order {
    /// Place an order; with --wait, the exit status tells how it ended
    #[command(after_help = PLACE_STATUSES)]
    Place(Place),
    /// Show an order
    Show {
        /// Which
        id: Uuid,
    },
    /// List orders
    List {
        /// Only those in this status
        #[arg(long)]
        status: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Ask for an order to be cancelled
    Cancel {
        /// Which
        id: Uuid,
    },
    /// Say that a confirmed order has left the warehouse
    Ship {
        /// Which
        id: Uuid,
    },
    /// Say that a shipped order has been delivered
    Deliver {
        /// Which
        id: Uuid,
    },
    /// Take a delivered order back: its money is refunded, its stock restocked
    Return {
        /// Which
        id: Uuid,
    },
}

/// Flags of `sagactl order place`.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Who buys
    #[arg(long)]
    customer: String,
    /// What, as SKU or SKU=QUANTITY; may be repeated
    #[arg(long = "item", required = true, value_name = "SKU[=QUANTITY]")]
    items: Vec<Wanted>,
    /// `wallet`, or a card token such as `pm_card_visa`
    #[arg(long, default_value = "wallet")]
    method: String,
    /// ISO 4217 code
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Idempotency key: the same key and order again give the same order, not another one [default: a new one]
    #[arg(long)]
    key: Option<String>,
    /// What is to go wrong for this order only, such as payment-svc/after-charge=crash (the services must run with FAULTS=on)
    #[arg(long, value_name = "DIRECTIVES")]
    fault: Option<String>,
    /// Wait at most this long for the order to be confirmed or cancelled
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
}

/// An item on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted(Item);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sku, quantity) = text.split_once('=').unwrap_or((text, "1"));
        let quantity = quantity.parse().map_err(|_| format!("`{quantity}` is not a quantity"))?;
        if sku.is_empty() || quantity == 0 {
            return Err("write SKU, or SKU=QUANTITY with a quantity of at least 1".to_owned());
        }
        Ok(Self(Item { sku: sku.to_owned(), quantity }))
    }
}

impl Order {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let client = &session.client;
        match self {
            Order::Place(place) => place.run(session).await,
            Order::Show { id } => session.print(&client.order(id).await?, one),
            Order::Cancel { id } => session.print(&client.cancel(id).await?, one),
            Order::Ship { id } => session.print(&client.set_order_status(id, &OrderStatus::Shipped).await?, one),
            Order::Deliver { id } => session.print(&client.set_order_status(id, &OrderStatus::Delivered).await?, one),
            Order::Return { id } => session.print(&client.return_order(id).await?, one),
            Order::List { status, limit, cursor } => {
                let filter = OrderFilter { status, limit: Some(limit), cursor };
                session.print(&client.orders(&filter).await?, many)
            }
        }
    }
}

impl Place {
    async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let order = NewOrder {
            customer_id: self.customer,
            currency: self.currency,
            items: self.items.into_iter().map(|wanted| wanted.0).collect(),
            payment_method: self.method,
        };
        let key = self.key.unwrap_or_else(|| Uuid::now_v7().to_string());
        if let Some(directives) = &self.fault {
            if directives.trim().is_empty() {
                return Err(Failure::Usage(
                    "--fault takes a directive such as payment-svc/after-charge=crash".to_owned(),
                ));
            }
            super::faults::must_exist(session, directives).await?;
        }
        let client = session.client.clone().with_faults(self.fault);
        match client.place_order(&order, Some(&key), self.wait).await {
            Ok(placed) => {
                session.print(&placed.order, one)?;
                Ok(if self.wait.is_some() { ended(&placed.order.status) } else { ExitCode::SUCCESS })
            }
            // Cut off amid the request. One that was refused was never made.
            Err(error @ ClientError::Transport { .. }) => Err(Failure::Failed(format!(
                "{error}; whether the order was placed is unknown: repeat the command with --key {key} to be sure"
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

/// How an order that was waited for went, for scripts.
fn ended(status: &OrderStatus) -> ExitCode {
    match status {
        OrderStatus::Cancelled => ExitCode::from(CANCELLED),
        status if status.is_terminal() => ExitCode::SUCCESS,
        _ => ExitCode::from(UNDECIDED),
    }
}

fn one(order: &client::Order) -> String {
    let mut lines = table(["article", "quantity", "each", "together"], &["quantity", "each", "together"]);
    for line in &order.items {
        let together = line.unit_price_minor * line.quantity;
        let price = |minor| money(minor, &order.currency);
        lines.add_row([line.sku.clone(), line.quantity.to_string(), price(line.unit_price_minor), price(together)]);
    }
    let mut text = format!("order     {}\nstatus    {}", order.id, order.status);
    if let Some(reason) = &order.reason {
        text += &format!(" ({reason})");
    }
    if order.closed_at.is_some() {
        text += ", closed";
    }
    if !order.answers.given.is_empty() {
        text += &format!("\nanswers   {} of {}", order.answers.given.join(", "), order.answers.required.join(", "));
    }
    if let Some(it) = &order.taken_back {
        text += &format!("\nreturn    {}, since {}", it.id, moment(it.requested_at));
    }
    let amount = money(order.amount_minor, &order.currency);
    text += &format!("\ncustomer  {}, pays {amount} by {}", order.customer_id, order.payment_method);
    text += &format!("\nplaced    {}, deadline {}", moment(order.created_at), moment(order.deadline_at));
    format!("{text}\n{lines}")
}

fn many(page: &OrderPage) -> String {
    if page.orders.is_empty() {
        return "no orders".to_owned();
    }
    let mut orders = table(["order", "placed", "customer", "amount", "by", "status", "reason"], &["amount"]);
    for order in &page.orders {
        orders.add_row([
            order.id.to_string(),
            moment(order.created_at),
            order.customer_id.clone(),
            money(order.amount_minor, &order.currency),
            order.payment_method.clone(),
            order.status.to_string(),
            order.reason.clone().unwrap_or_default(),
        ]);
    }
    match &page.next_cursor {
        Some(cursor) => format!("{orders}\nmore with --cursor {cursor}"),
        None => orders.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_sku_with_an_optional_quantity() {
        let item = |sku: &str, quantity| Ok(Wanted(Item { sku: sku.to_owned(), quantity }));
        assert_eq!("TEAPOT-CAST".parse(), item("TEAPOT-CAST", 1));
        assert_eq!("TEAPOT-CAST=3".parse(), item("TEAPOT-CAST", 3));
        for wrong in ["", "=3", "TEAPOT-CAST=0", "TEAPOT-CAST=some"] {
            assert!(Wanted::from_str(wrong).is_err(), "{wrong}");
        }
    }
}
