//! The price list.

use crate::catalogue::{Product, Products};
use saga_common::{DbError, Tx};

/// What setting a few products came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SetProducts {
    /// Those that were not on the list.
    pub(crate) added: u64,
    /// Those that had another name or price.
    pub(crate) changed: u64,
}

/// Puts products on the list, or changes them, in one order for everybody. What is as it was is not written.
pub(crate) async fn set_products(tx: &Tx, products: &Products) -> Result<SetProducts, DbError> {
    let skus: Vec<&str> = products.iter().map(|product| product.sku.as_str()).collect();
    let names: Vec<&str> = products.iter().map(|product| product.name.as_str()).collect();
    let prices: Vec<i64> = products.iter().map(|product| product.unit_price.minor()).collect();
    let currencies: Vec<&str> = products.iter().map(|product| product.currency.as_str()).collect();
    // A row that was there has been locked by this very statement, which leaves its mark on the new version.
    let rows = tx
        .query(
            "insert into products as p (sku, name, unit_price_minor, currency)
             select * from unnest($1::text[], $2::text[], $3::int8[], $4::text[]) u(sku, name, price, currency) order by sku
             on conflict (sku) do update
                 set name = excluded.name, unit_price_minor = excluded.unit_price_minor, currency = excluded.currency
                 where (p.name, p.unit_price_minor, p.currency)
                       is distinct from (excluded.name, excluded.unit_price_minor, excluded.currency)
             returning p.xmax = 0",
            &[&skus, &names, &prices, &currencies],
        )
        .await?;
    let added = rows.iter().filter(|row| row.get(0)).count();
    Ok(SetProducts { added: added as u64, changed: (rows.len() - added) as u64 })
}

/// Puts a product on the list, unless there is one of its SKU.
pub(crate) async fn add_product(tx: &Tx, product: &Product) -> Result<bool, DbError> {
    let Product { sku, name, unit_price, currency } = product;
    let added = tx
        .execute(
            "insert into products (sku, name, unit_price_minor, currency) values ($1, $2, $3, $4) on conflict do nothing",
            &[&sku.as_str(), name, &unit_price.minor(), &currency.as_str()],
        )
        .await?;
    Ok(added == 1)
}
