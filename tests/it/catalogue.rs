//! What the shop sells and how much of it there is: imported, listed, changed and sold at the same time.

use crate::world::{LIMIT, MUG, Outcome, TEA, World, order};
use futures::future::join_all;
use sagactl::client::{ClientError, Imported, OrderStatus, Page, Product, Service};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Output;
use uuid::Uuid;

const HEADER: &str = "sku,name,unit_price_minor,currency,available\n";

/// A file that goes with its test.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Result<Self, std::io::Error> {
        let path = std::env::temp_dir().join(format!("catalogue-{}.csv", Uuid::now_v7()));
        std::fs::write(&path, text)?;
        Ok(Self(path))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the command against this stack.
async fn sagactl(world: &World, arguments: &[&str]) -> Result<Output, Box<dyn std::error::Error>> {
    Ok(world.sagactl()?.args(arguments).output().await?)
}

/// Its report, if it succeeded.
async fn report(world: &World, arguments: &[&str]) -> Result<Value, Box<dyn std::error::Error>> {
    let output = sagactl(world, &[arguments, &["--json"]].concat()).await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn imported(added: u64, changed: u64, unchanged: u64) -> Value {
    json!(Imported { added, changed, unchanged })
}

#[tokio::test]
async fn a_hundred_thousand_articles_are_imported_and_the_second_time_nothing_changes() -> Outcome {
    let world = World::start().await?;
    let mut text = HEADER.to_owned();
    for n in 0..100_000 {
        writeln!(text, "A-{n:06},\"Article {n}, \"\"new\"\"\",{},EUR,{}", 100 + n % 900, n % 50)?;
    }
    let file = File::new(&text)?;
    let first = report(&world, &["catalogue", "import", file.path()]).await?;
    println!("{first}");
    assert_eq!((&first["products"], &first["stock"]), (&imported(100_000, 0, 0), &imported(100_000, 0, 0)));
    let again = report(&world, &["catalogue", "import", file.path()]).await?;
    assert_eq!((&again["products"], &again["stock"]), (&imported(0, 0, 100_000), &imported(0, 0, 100_000)));
    let inventory = world.database(Service::Inventory).await?;
    let lines: i64 = inventory.query_one("select count(*) from stock_movements", &[]).await?.get(0);
    // One of fifty has nothing to write down; ten were there.
    assert_eq!(lines, 98_000 + 10);

    let id = world.place(&order("anna", "A-099999", 2, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.client.wait_closed(id, LIMIT).await?;
    assert_eq!(world.client.stock("A-099999").await?.available, 47);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_file_with_a_bad_row_imports_nothing_unless_that_is_asked_for() -> Outcome {
    let world = World::start().await?;
    let rows = "MUG-STONE,Stoneware mug,1900,EUR,7\nBAD SKU,,1.5,eur,-1\nNEW,New,100,EUR,\nNEW,Again,100,EUR,1\n";
    let file = File::new(&(HEADER.to_owned() + rows))?;
    for arguments in [&["catalogue", "import", file.path()][..], &["catalogue", "import", file.path(), "--check"]] {
        let refused = sagactl(&world, arguments).await?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.starts_with("line 3: unit_price_minor: `1.5` is no whole number"), "{said}");
        assert!(said.contains("\nline 5: sku: NEW is in line 4 already\nerror: 2 of 4 rows are bad"), "{said}");
    }
    assert_eq!(world.client.stock(MUG).await?.available, 100_000, "nothing is imported");
    let skipped = report(&world, &["catalogue", "import", file.path(), "--skip-bad"]).await?;
    assert_eq!(
        (&skipped["bad"], &skipped["products"], &skipped["stock"]),
        (&json!(2), &imported(1, 1, 0), &imported(0, 1, 0))
    );
    assert_eq!(world.client.product(MUG).await?.unit_price_minor, 1_900);
    assert_eq!(world.client.stock(MUG).await?.available, 7);
    // Whoever has a price and no stock can be asked for, and is out of stock.
    let id = world.place(&order("anna", "NEW", 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Cancelled).await?;

    // What is exported can be imported, and is what is there.
    let exported = sagactl(&world, &["catalogue", "export"]).await?;
    let exported = String::from_utf8(exported.stdout)?;
    assert!(
        exported.contains("\nNEW,New,100,EUR,\n") && exported.contains(",\"Paper filters, 100 pieces\","),
        "{exported}"
    );
    let file = File::new(&exported)?;
    let checked = report(&world, &["catalogue", "import", file.path(), "--check"]).await?;
    assert_eq!((&checked["rows"], &checked["products"]), (&json!(11), &Value::Null), "nothing is sent");
    let same = report(&world, &["catalogue", "import", file.path()]).await?;
    assert_eq!((&same["products"], &same["stock"]), (&imported(0, 0, 11), &imported(0, 0, 10)));
    let adjusted = report(&world, &["stock", "adjust", MUG, "--change", "-3", "--reason", "breakage"]).await?;
    assert_eq!(adjusted["stock"]["available"], json!(4));
    world.assert_consistent().await
}

#[tokio::test]
async fn orders_adjustments_counts_and_imports_at_once_leave_books_that_balance() -> Outcome {
    let world = World::start().await?;
    let client = &world.client;
    for sku in [MUG, TEA] {
        client.put_stock(sku, 40).await?;
    }
    let orders: Vec<_> = (0..60).map(|n| order("anna", if n % 2 == 0 { MUG } else { TEA }, 1, "wallet")).collect();
    let placed = async {
        let mut ids = Vec::new();
        for order in &orders {
            ids.push(client.place_order(order, None, None).await?.order.id);
        }
        Ok::<_, ClientError>(ids)
    };
    let adjusted =
        join_all((0..60).map(|n| client.adjust_stock(if n % 2 == 0 { MUG } else { TEA }, -1, "stolen", None)));
    let counted = join_all((0..10).map(|n| client.put_stock(["SCALE-01", "GRINDER-HAND"][n % 2], 100)));
    let counted_together = join_all((0..10_i64).map(|n| async move {
        let skus = ["SCALE-01", "GRINDER-HAND", "NEW-1", "NEW-2"];
        let articles = skus.map(|sku| sagactl::client::CountedArticle { sku, available: 10 * n });
        client.import_stock(&articles).await
    }));
    let (placed, adjusted, counted, together) = tokio::join!(placed, adjusted, counted, counted_together);
    counted.into_iter().collect::<Result<Vec<_>, _>>()?;
    together.into_iter().collect::<Result<Vec<_>, _>>()?;
    for refused in adjusted.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.status(), Some(409), "{refused}");
    }
    let taken = i64::try_from(adjusted.iter().filter(|answer| answer.is_ok()).count())?;
    let mut bought = 0;
    for id in placed? {
        bought += i64::from(client.wait_terminal(id, LIMIT).await?.status == OrderStatus::Confirmed);
    }
    let mut left = 0;
    for sku in [MUG, TEA] {
        left += client.stock(sku).await?.available;
    }
    assert!(taken > 0 && bought > 0 && left >= 0, "{taken} taken, {bought} bought, {left} left");
    assert_eq!(taken + bought + left, 80, "every piece once");
    world.assert_consistent().await
}

#[tokio::test]
async fn the_price_list_is_added_to_changed_and_read_page_by_page() -> Outcome {
    let world = World::start().await?;
    let client = &world.client;
    let mug = Product {
        sku: "MUG-BLUE".to_owned(),
        name: "Ein blauer Krug, 0,5 ℓ".to_owned(),
        unit_price_minor: 1_950,
        currency: "EUR".to_owned(),
    };
    let both = tokio::join!(client.add_product(&mug), client.add_product(&mug));
    let statuses = [both.0, both.1].map(|answer| answer.err().and_then(|error| error.status()));
    assert!(statuses.contains(&None) && statuses.contains(&Some(409)), "{statuses:?}");
    assert_eq!(client.product("MUG-BLUE").await?, mug);
    let cheaper = Product { unit_price_minor: 1_750, ..mug.clone() };
    assert_eq!(client.put_product(&cheaper).await?, cheaper);
    assert_eq!(client.import_products(&[&mug]).await?, Imported { added: 0, changed: 1, unchanged: 0 });

    let (mut skus, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.products(&Page { limit: Some(3), cursor }).await?;
        assert!((1..=3).contains(&page.products.len()));
        skus.extend(page.products.into_iter().map(|product| product.sku));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(skus.len(), 11);
    assert_eq!(skus.iter().collect::<std::collections::BTreeSet<_>>().len(), 11, "each once: {skus:?}");

    let (base, http) = (world.stack.url(Service::Order)?, world.stack.http());
    let product = |sku: &str, name: &str, price: i64, currency: &str| json!({"sku": sku, "name": name, "unit_price_minor": price, "currency": currency});
    let post = |path: &str, body: Value| http.post(format!("{base}/{path}")).json(&body);
    let unnamed = json!({"name": "\0", "unit_price_minor": -1, "currency": "e"});
    let answers = [
        (422, 4, post("products", product("no mug", "", -1, "eur"))),
        (422, 1, post("products", product("import", "x", 1, "EUR"))),
        (422, 1, post("products", product("M\0", "x", 1, "EUR"))),
        (422, 3, http.put(format!("{base}/products/OK")).json(&unnamed)),
        (422, 4, http.put(format!("{base}/products/a%00b")).json(&unnamed)),
        (
            422,
            2,
            post(
                "products/import",
                json!([product("A", "x", 1, "EUR"), product("A", "x", 1, "EUR"), product("B", "", 1, "EUR")]),
            ),
        ),
        (422, 1, post("products/import", json!([]))),
        (400, 0, http.get(format!("{base}/products?limit=0"))),
        (400, 0, http.get(format!("{base}/products?limit=many"))),
        (400, 0, http.get(format!("{base}/products?cursor=a%00b"))),
    ];
    for (status, errors, request) in answers {
        let answer = request.send().await?;
        let (url, got) = (answer.url().clone(), answer.status().as_u16());
        let problem: Value = answer.json().await?;
        assert_eq!((got, problem["errors"].as_array().map_or(0, Vec::len)), (status, errors), "{url}: {problem}");
    }
    assert!(client.product("A").await.is_err(), "all of an import or nothing");
    world.assert_consistent().await
}
