//! `sagactl catalogue`: list, export and import what the shop sells and how much of it there is.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::show::{money, table};
use super::{Failure, Session};
use crate::client::{Client, ClientError, Page, Product, Stock};

mod import;
mod sheet;

use sheet::COLUMNS;

/// Questions at once.
const AT_ONCE: usize = 16;

/// Flags of `sagactl catalogue`.
#[derive(Debug, clap::Subcommand)]
pub enum Catalogue {
    /// List articles with their prices and stock
    List {
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Write all articles as CSV, as `import` reads them
    Export {
        /// Where to [default: standard output]
        file: Option<PathBuf>,
    },
    /// Add and change articles, and set how many are available
    Import(import::Import),
}

/// An article for people.
#[derive(Debug, Serialize)]
struct Article {
    #[serde(flatten)]
    product: Product,
    /// `None`: the warehouse has never heard of it.
    stock: Option<Stock>,
}

/// A page of them.
#[derive(Debug, Serialize)]
struct Articles {
    articles: Vec<Article>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Catalogue {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Catalogue::List { limit, cursor } => session.print(&list(&session.client, limit, cursor).await?, people),
            Catalogue::Export { file } => {
                match file {
                    Some(path) => {
                        let failed = |error| Failure::Failed(format!("{}: {error}", path.display()));
                        export(&session.client, File::create(&path).map_err(failed)?).await?;
                    }
                    None => export(&session.client, io::stdout()).await?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Catalogue::Import(import) => import.run(session).await,
        }
    }
}

async fn list(client: &Client, limit: u32, cursor: Option<String>) -> Result<Articles, ClientError> {
    let page = client.products(&Page { limit: Some(limit), cursor }).await?;
    let articles = stream::iter(page.products).map(|product| async move {
        let stock = match client.stock(&product.sku).await {
            Err(error) if error.is_not_found() => None,
            stock => Some(stock?),
        };
        Ok::<_, ClientError>(Article { product, stock })
    });
    Ok(Articles { articles: articles.buffered(AT_ONCE).try_collect().await?, next_cursor: page.next_cursor })
}

fn people(page: &Articles) -> String {
    if page.articles.is_empty() {
        return "no articles".to_owned();
    }
    let numbers = ["price", "available", "reserved", "sold"];
    let mut articles = table(["article", "name", "price", "available", "reserved", "sold"], &numbers);
    for Article { product, stock } in &page.articles {
        let count =
            |of: fn(&Stock) -> i64| stock.as_ref().map_or_else(|| "-".to_owned(), |stock| of(stock).to_string());
        articles.add_row([
            product.sku.clone(),
            product.name.clone(),
            money(product.unit_price_minor, &product.currency),
            count(|stock| stock.available),
            count(|stock| stock.reserved),
            count(|stock| stock.sold),
        ]);
    }
    match &page.next_cursor {
        Some(cursor) => format!("{articles}\nmore with --cursor {cursor}"),
        None => articles.to_string(),
    }
}

/// Writes all that is on the price list. What is bought or set meanwhile may be in it or not.
async fn export(client: &Client, to: impl Write) -> Result<(), Failure> {
    let stock = client.all_stock().await?;
    let available: std::collections::HashMap<String, i64> =
        stock.into_iter().map(|stock| (stock.sku, stock.available)).collect();
    let mut file = csv::Writer::from_writer(to);
    let written = write_all(client, &available, &mut file).await?;
    let written = written.and_then(|()| Ok(file.flush()?));
    match written.map_err(csv::Error::into_kind) {
        // A reader that has seen enough (`| head`) is no failure.
        Err(csv::ErrorKind::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(csv::ErrorKind::Io(error)) => Err(Failure::Failed(format!("writing the catalogue: {error}"))),
        Err(error) => Err(Failure::Failed(format!("writing the catalogue: {error:?}"))),
        Ok(()) => Ok(()),
    }
}

async fn write_all(
    client: &Client,
    available: &std::collections::HashMap<String, i64>,
    file: &mut csv::Writer<impl Write>,
) -> Result<Result<(), csv::Error>, ClientError> {
    let mut page = client.products(&Page::long(None)).await?;
    let mut written = file.write_record(COLUMNS);
    loop {
        for Product { sku, name, unit_price_minor, currency } in &page.products {
            let available = available.get(sku).map_or_else(String::new, i64::to_string);
            let price = unit_price_minor.to_string();
            written = written.and_then(|()| file.write_record([sku, name, &price, currency, &available]));
        }
        if written.is_err() || page.next_cursor.is_none() {
            return Ok(written);
        }
        page = client.products(&Page::long(page.next_cursor)).await?;
    }
}
