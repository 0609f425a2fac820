//! `sagactl stock`: what there is, how it came to be there, and corrections.

use std::process::ExitCode;

use uuid::Uuid;

use super::show::{moment, table};
use super::{Failure, Session};
use crate::client::{self, AdjustedStock, ClientError, MovementPage, Page, StockPage};

/// Flags of `sagactl stock`.
#[derive(Debug, clap::Subcommand)]
pub enum Stock {
    /// List what there is
    List {
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Put something on an article's shelf, or take it away
    Adjust {
        /// Which article
        sku: String,
        /// How many more, or, below zero, how many fewer
        #[arg(long, allow_negative_numbers = true)]
        change: i64,
        /// Why, for the log
        #[arg(long)]
        reason: String,
        /// Idempotency key: the same key and change again are the same movement, not another one [default: a new one]
        #[arg(long)]
        key: Option<String>,
    },
    /// Show what changed an article's stock other than orders, latest first
    Movements {
        /// Which article
        sku: String,
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
}

impl Stock {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let client = &session.client;
        match self {
            Stock::List { limit, cursor } => {
                session.print(&client.stock_page(&Page { limit: Some(limit), cursor }).await?, list)
            }
            Stock::Movements { sku, limit, cursor } => {
                session.print(&client.movements(&sku, &Page { limit: Some(limit), cursor }).await?, movements)
            }
            Stock::Adjust { sku, change, reason, key } => {
                let key = key.unwrap_or_else(|| Uuid::now_v7().to_string());
                match client.adjust_stock(&sku, change, &reason, Some(&key)).await {
                    Ok(adjusted) => session.print(&adjusted, one),
                    // Cut off amid the request. One that was refused was never made.
                    Err(error @ ClientError::Transport { .. }) => Err(Failure::Failed(format!(
                        "{error}; whether the stock was adjusted is unknown: repeat the command with --key {key} to be sure"
                    ))),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

fn one(AdjustedStock { movement, stock }: &AdjustedStock) -> String {
    let client::Stock { sku, available, reserved, sold } = stock;
    let change = movement.change;
    format!("{sku}: {change:+}, movement {}; now {available} available, {reserved} reserved, {sold} sold", movement.id)
}

fn list(page: &StockPage) -> String {
    if page.stock.is_empty() {
        return "no articles".to_owned();
    }
    let mut stock = table(["article", "available", "reserved", "sold"], &["available", "reserved", "sold"]);
    for client::Stock { sku, available, reserved, sold } in &page.stock {
        stock.add_row([sku.clone(), available.to_string(), reserved.to_string(), sold.to_string()]);
    }
    with_more(&stock.to_string(), page.next_cursor.as_deref())
}

fn movements(page: &MovementPage) -> String {
    if page.movements.is_empty() {
        return "nothing was ever moved other than by orders".to_owned();
    }
    let mut lines = table(["movement", "at", "what", "change", "total", "reason"], &["movement", "change", "total"]);
    for movement in &page.movements {
        lines.add_row([
            movement.id.to_string(),
            moment(movement.at),
            movement.kind.clone(),
            format!("{:+}", movement.change),
            movement.total.to_string(),
            movement.reason.clone().unwrap_or_default(),
        ]);
    }
    with_more(&lines.to_string(), page.next_cursor.as_deref())
}

fn with_more(table: &str, next_cursor: Option<&str>) -> String {
    match next_cursor {
        Some(cursor) => format!("{table}\nmore with --cursor {cursor}"),
        None => table.to_owned(),
    }
}
