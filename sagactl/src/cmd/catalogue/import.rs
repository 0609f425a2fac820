//! `sagactl catalogue import`: a file that is right as a whole, in requests of so many rows, each of them all or nothing.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use serde::Serialize;

use super::super::show::table;
use super::super::{Failure, Session};
use super::sheet::{Row, Sheet, TOLD};
use crate::client::{Client, ClientError, CountedArticle, Imported, Product, Service};

/// Rows of a request: the most that the services take.
const TOGETHER: usize = 1_000;
/// Requests under way.
const AT_ONCE: usize = 2;
/// A request of so many rows may take longer than others.
const PATIENCE: Duration = Duration::from_secs(60);

const AFTER: &str = "\
The file is CSV (RFC 4180) with a header: sku,name,unit_price_minor,currency and, if the stock is to be set, available, in any
order. An empty `available` leaves the article's stock as it is. Nothing is imported when any row is bad. One that was interrupted
is repeated: prices and counts are then again what the file says, whatever was sold in between.

Exit status:
  0  it is imported, or, with --check, could be
  1  a row is bad and nothing is imported, or a service failed
  2  the command makes no sense";

/// Flags of `sagactl catalogue import`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Import {
    /// The catalogue; `-` is standard input
    file: PathBuf,
    /// Only say what is wrong with it: nothing is sent
    #[arg(long)]
    check: bool,
    /// Import what is right, and leave out what is not
    #[arg(long)]
    skip_bad: bool,
}

/// What became of a file.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Rows that are right.
    rows: usize,
    /// Rows that are not.
    bad: u64,
    /// What is wrong with the first of those.
    errors: Vec<String>,
    /// What the price list came to; `None` if nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    products: Option<Imported>,
    /// What the stock came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    stock: Option<Imported>,
    seconds: f64,
}

impl Import {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let begun = Instant::now();
        let sheet = self.read()?;
        for wrong in &sheet.wrong {
            eprintln!("{wrong}");
        }
        if sheet.bad > TOLD as u64 {
            eprintln!(".. and {} more bad lines", sheet.bad - TOLD as u64);
        }
        if sheet.bad > 0 && !self.skip_bad {
            let done = if self.check { "" } else { ", so nothing is imported (--skip-bad leaves them out)" };
            let all = sheet.bad + sheet.rows.len() as u64;
            return Err(Failure::Failed(format!("{} of {all} rows are bad{done}", sheet.bad)));
        }
        let mut report = Report { rows: sheet.rows.len(), bad: sheet.bad, errors: sheet.wrong, ..Report::default() };
        if !self.check {
            let client = session.client.clone().with_timeout(PATIENCE);
            let (products, stock) = send(&client, &sheet.rows).await?;
            (report.products, report.stock) = (Some(products), Some(stock));
        }
        report.seconds = begun.elapsed().as_secs_f64();
        session.print(&report, people)
    }

    fn read(&self) -> Result<Sheet, Failure> {
        let failed = |why: String| Failure::Failed(format!("{}: {why}", self.file.display()));
        if self.file.as_os_str() == "-" {
            return Sheet::read(std::io::stdin().lock()).map_err(failed);
        }
        let file = File::open(&self.file).map_err(|error| failed(error.to_string()))?;
        Sheet::read(file).map_err(failed)
    }
}

/// Sends all rows, a thousand together; for each thousand the stock first: an article that can be ordered has its stock.
async fn send(client: &Client, rows: &[Row]) -> Result<(Imported, Imported), Failure> {
    let mut parts = stream::iter(rows.chunks(TOGETHER)).map(|part| send_part(client, part)).buffer_unordered(AT_ONCE);
    let (mut products, mut stock, mut done) = (Imported::default(), Imported::default(), 0);
    let progress = Progress { all: rows.len(), shown: std::io::stderr().is_terminal() };
    while let Some(part) = parts.next().await {
        let sent = part.inspect_err(|_| progress.end())?;
        products += sent.0;
        stock += sent.1;
        done += sent.2;
        progress.at(done);
    }
    progress.end();
    Ok((products, stock))
}

async fn send_part(client: &Client, part: &[Row]) -> Result<(Imported, Imported, usize), Failure> {
    let counted: Vec<(&Row, CountedArticle<'_>)> = part
        .iter()
        .filter_map(|row| Some((row, CountedArticle { sku: &row.product.sku, available: row.available? })))
        .collect();
    let (rows, articles): (Vec<&Row>, Vec<CountedArticle<'_>>) = counted.into_iter().unzip();
    let stock = match articles.is_empty() {
        true => Imported::default(),
        false => client.import_stock(&articles).await.map_err(|error| refused(Service::Inventory, error, &rows))?,
    };
    let rows: Vec<&Row> = part.iter().collect();
    let all: Vec<&Product> = part.iter().map(|row| &row.product).collect();
    let products = client.import_products(&all).await.map_err(|error| refused(Service::Order, error, &rows))?;
    Ok((products, stock, part.len()))
}

/// What a service has against rows that looked right, by line; anything else as it is, with what to do.
fn refused(service: Service, error: ClientError, rows: &[&Row]) -> Failure {
    let ClientError::Problem(problem) = &error else {
        return Failure::Failed(format!("{error}; what is imported stays so: repeat the command to import the rest"));
    };
    let by_line = |wrong: &String| {
        let (place, why) = wrong.strip_prefix('[')?.split_once("].")?;
        Some(format!("line {}: {why}", rows.get(place.parse::<usize>().ok()?)?.line))
    };
    let lines: Vec<String> = problem.errors.iter().filter_map(by_line).take(TOLD).collect();
    let why = if lines.is_empty() { error.to_string() } else { format!("{service} refused {}", lines.join("; ")) };
    Failure::Failed(format!("{why}; what is imported stays so: repeat the command to import the rest"))
}

/// How far it is, where somebody looks.
struct Progress {
    all: usize,
    shown: bool,
}

impl Progress {
    fn at(&self, done: usize) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r{done} of {} articles", self.all);
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn people(report: &Report) -> String {
    let seconds = report.seconds;
    let bad = if report.bad == 0 { String::new() } else { format!(", {} bad ones left out", report.bad) };
    let (Some(products), Some(stock)) = (report.products, report.stock) else {
        return format!("{} rows can be imported{bad}", report.rows);
    };
    let mut imported = table(["", "added", "changed", "as before"], &["added", "changed", "as before"]);
    for (what, Imported { added, changed, unchanged }) in [("prices", products), ("stock", stock)] {
        imported.add_row([what.to_owned(), added.to_string(), changed.to_string(), unchanged.to_string()]);
    }
    format!("{imported}\n{} rows in {seconds:.1} s{bad}", report.rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Problem;

    #[test]
    fn what_a_service_refuses_is_said_by_line() {
        let product = Product { sku: "MUG".into(), name: "Mug".into(), unit_price_minor: 1, currency: "EUR".into() };
        let row = Row { line: 17, product, available: None };
        let problem = |errors: &[&str]| {
            ClientError::Problem(Problem {
                service: Service::Order,
                status: 422,
                title: "Unprocessable Entity".to_owned(),
                detail: "no".to_owned(),
                errors: errors.iter().map(|error| (*error).to_owned()).collect(),
            })
        };
        let failure = refused(Service::Order, problem(&["[0].name: too plain"]), &[&row]);
        assert_eq!(
            failure.to_string(),
            "order-svc refused line 17: name: too plain; what is imported stays so: repeat the command to import the rest"
        );
        let failure = refused(Service::Order, problem(&[]), &[&row]);
        assert_eq!(
            failure.to_string(),
            "order-svc answered 422 Unprocessable Entity: no; what is imported stays so: repeat the command to import the rest"
        );
    }
}
