//! The articles that orders are made of.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::mix::{DEAR, Mix, NONE_LEFT};
use crate::client::{Client, ClientError, Product};

const SHELF: i64 = 1_000_000_000_000;
const PRICE_MINOR: i64 = 100;
/// More than a wallet opens with.
const DEAR_PRICE_MINOR: i64 = 1_000_000_000;
/// Requests at once.
const AT_ONCE: usize = 16;

/// Makes the articles, with enough of each.
pub(super) async fn fill(client: &Client, mix: &Mix) -> Result<(), ClientError> {
    let special = [(DEAR.to_owned(), DEAR_PRICE_MINOR, SHELF), (NONE_LEFT.to_owned(), PRICE_MINOR, 0)];
    let articles = mix.articles().map(|sku| (sku, PRICE_MINOR, SHELF)).chain(special);
    let made = articles.map(|(sku, unit_price_minor, available)| async move {
        let (name, currency) = (format!("Article {sku}"), "EUR".to_owned());
        client.put_product(&Product { sku: sku.clone(), name, unit_price_minor, currency }).await?;
        client.put_stock(&sku, available).await.map(drop)
    });
    stream::iter(made).buffer_unordered(AT_ONCE).try_collect().await
}
