//! The articles that orders are made of, and the wallets they are paid from.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::mix::{DEAR, Mix, NONE_LEFT};
use crate::client::{Client, ClientError, Product, Wallet};

const SHELF: i64 = 1_000_000_000_000;
const PRICE_MINOR: i64 = 100;
/// What each customer's wallet holds before a run: what is measured is customers who order again, not new ones.
const BALANCE_MINOR: i64 = 1_000_000_000_000;
/// More than a wallet holds.
const DEAR_PRICE_MINOR: i64 = 2 * BALANCE_MINOR;
/// Requests at once.
const AT_ONCE: usize = 16;

/// Makes the articles, with enough of each, and fills the wallets.
pub(super) async fn fill(client: &Client, mix: &Mix) -> Result<(), ClientError> {
    let special = [(DEAR.to_owned(), DEAR_PRICE_MINOR, SHELF), (NONE_LEFT.to_owned(), PRICE_MINOR, 0)];
    let articles = mix.articles().map(|sku| (sku, PRICE_MINOR, SHELF)).chain(special);
    let made = articles.map(|(sku, unit_price_minor, available)| async move {
        let (name, currency) = (format!("Article {sku}"), "EUR".to_owned());
        client.put_product(&Product { sku: sku.clone(), name, unit_price_minor, currency }).await?;
        client.put_stock(&sku, available).await.map(drop)
    });
    stream::iter(made).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let filled = Mix::customers().map(|customer_id| async move {
        let wallet = Wallet { balance_minor: BALANCE_MINOR, currency: "EUR".to_owned() };
        client.put_wallet(&customer_id, &wallet).await.map(drop)
    });
    stream::iter(filled).buffer_unordered(AT_ONCE).try_collect().await
}
