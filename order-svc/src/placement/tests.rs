//! Groups of placements: what becomes of each, and of all.

use super::*;
use crate::App;
use crate::participant::participant;
use saga_common::testkit::Bench;
use sagactl::stack::Servers;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn placement(key: &str, body: &[u8]) -> Placement {
    Placement {
        order_id: OrderId(SagaId::new().as_uuid()),
        customer_id: CustomerId("anna".to_owned()),
        currency: Currency::try_from("EUR".to_owned()).expect("a currency"),
        payment_method: PaymentMethod("wallet".to_owned()),
        lines: vec![WantedLine { sku: "MUG-STONE".to_owned(), quantity: 2 }],
        key: Some(key.to_owned()),
        body_hash: body.to_vec(),
        trace: Trace::default(),
    }
}

#[test]
fn of_two_requests_with_one_key_in_a_group_the_one_that_took_it_is_new() {
    let (first, again, other) = (placement("k", b"a"), placement("k", b"a"), placement("k", b"b"));
    let taken = Earlier { order_id: first.order_id, body_hash: first.body_hash.clone() };
    let earlier = HashMap::from([(("anna".to_owned(), "k".to_owned()), taken)]);
    assert_eq!(met_by(&first, &earlier), None);
    assert_eq!(met_by(&again, &earlier), Some(Placed::Before(first.order_id)));
    assert_eq!(met_by(&other, &earlier), Some(Placed::OtherBody));
    assert_eq!(met_by(&placement("another", b"a"), &earlier), None);
}

/// A database of its own, and everybody who brings an order before anything is placed.
struct Shop {
    _servers: Arc<Servers>,
    bench: Bench<App>,
}

impl Shop {
    async fn new() -> Outcome<Self> {
        let servers = Servers::shared().await?;
        let url = servers.create_database(&format!("placing_{}", SagaId::new().as_uuid().simple())).await?;
        let bench = Bench::new(participant(App { required_answers: Vec::new() })?, &url, &crate::MIGRATOR).await?;
        Ok(Self { _servers: servers, bench })
    }

    async fn place_together(&self, group: &[Placement]) -> Outcome<Vec<Placed>> {
        let (placements, waiting) = queue();
        let bring = |placement: &Placement| {
            let (placements, placement) = (placements.clone(), placement.clone());
            tokio::spawn(async move { placements.place(placement, None).await })
        };
        let brought: Vec<_> = group.iter().map(bring).collect();
        // Nobody places them yet, so all of them wait by the time somebody does.
        while waiting.len() < group.len() {
            tokio::task::yield_now().await;
        }
        let terms = Terms { deadline_ms: 60_000.0, required_answers: Vec::new() };
        let placing = tokio::spawn(commit_groups(self.bench.saga(), waiting, terms));
        let mut placed = Vec::new();
        for it in brought {
            placed.push(it.await??);
        }
        drop(placements);
        placing.await?;
        Ok(placed)
    }

    async fn ids(&self, sql: &str) -> Outcome<Vec<uuid::Uuid>> {
        Ok(self.bench.db().query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }
}

#[tokio::test]
async fn what_cannot_be_priced_is_refused_alone_and_leaves_neither_key_nor_saga() -> Outcome {
    let shop = Shop::new().await?;
    let unknown = WantedLine { sku: "NO-SUCH".to_owned(), quantity: 1 };
    let mut group = ["a", "b", "c", "d"].map(|key| placement(key, key.as_bytes()));
    group[1].lines.push(unknown);
    group[2].currency = Currency::try_from("USD".to_owned())?;
    let placed = shop.place_together(&group).await?;
    let refused = |because: &str| Placed::Refused(vec![because.to_owned()]);
    assert_eq!(placed[1], refused("items[1].sku: there is no product `NO-SUCH`"));
    assert_eq!(placed[2], refused("items[0].sku: `MUG-STONE` is sold in EUR, not in USD"));
    for n in [0, 3] {
        let Placed::New(priced, _) = &placed[n] else { return Err(format!("{:?}", placed[n]).into()) };
        assert_eq!(priced.amount.minor(), 3_600);
    }
    let both = [&group[0], &group[3]].map(|it| it.order_id.0);
    for sql in [
        "select id from orders order by id",
        "select order_id from request_keys order by order_id",
        "select saga_id from saga.idempotency_keys order by saga_id",
        "select saga_id from saga.announcements order by saga_id",
    ] {
        let expected = if sql.contains("announcements") { &[][..] } else { &both[..] };
        assert_eq!(shop.ids(sql).await?, expected, "{sql}");
    }
    // Nobody has taken their keys: they are asked again.
    group[1].lines.pop();
    assert!(matches!(shop.place_together(&group[1..2]).await?[..], [Placed::New(..)]));
    Ok(())
}

#[tokio::test]
async fn of_twins_one_is_placed_and_a_repeated_request_is_what_was_placed_whatever_became_of_the_prices() -> Outcome {
    let shop = Shop::new().await?;
    let (first, twin, other) = (placement("k", b"a"), placement("k", b"a"), placement("k", b"b"));
    let placed = shop.place_together(&[first.clone(), twin.clone(), other.clone()]).await?;
    let new: Vec<usize> = (0..3).filter(|n| matches!(placed[*n], Placed::New(..))).collect();
    assert_eq!(new.len(), 1, "{placed:?}");
    let id = [&first, &twin, &other][new[0]].order_id;
    shop.bench.db().execute("delete from products", &[]).await?;
    let body = [b"a", b"a", b"b"][new[0]];
    let again = shop.place_together(&[placement("k", body), placement("k", b"c"), placement("l", b"a")]).await?;
    assert_eq!(again[2], Placed::Refused(vec!["items[0].sku: there is no product `MUG-STONE`".to_owned()]));
    assert_eq!(again[..2], [Placed::Before(id), Placed::OtherBody]);
    Ok(())
}
