//! Groups of placements: what becomes of each, and of all.

use super::*;
use crate::App;
use crate::domain::Price;
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
    let (another, unlike) = (placement("another", b"a"), [&again, &other]);
    let taken = Earlier { order_id: first.order_id, body_hash: first.body_hash.clone() };
    let earlier = HashMap::from([(("anna".to_owned(), "k".to_owned()), taken)]);
    let price = Price { unit_price: Money::ZERO, currency: "EUR".to_owned() };
    let priced = PriceList::from([("MUG-STONE".to_owned(), price)]);
    let group = [&again, &first, &other, &another];

    let decided = decide(&group, &priced, &earlier);
    assert_eq!(
        decided.new.iter().map(|(it, _)| it.order_id).collect::<Vec<_>>(),
        [&first, &another].map(|it| it.order_id)
    );
    let told = unlike.map(|it| decided.ended.get(&it.order_id));
    assert_eq!(told, [Some(&Placed::Before(first.order_id)), Some(&Placed::OtherBody)]);
    assert!(decided.refused.is_empty() && decided.ended.len() == 2);

    // The one that took it is refused: there is no order to speak of, and the key is free again.
    let decided = decide(&group, &PriceList::new(), &earlier);
    assert_eq!(unlike.map(|it| decided.ended.get(&it.order_id)), [Some(&Placed::Underway); 2]);
    assert_eq!(
        decided.refused.iter().map(|it| it.order_id).collect::<Vec<_>>(),
        [&first, &another].map(|it| it.order_id)
    );
    assert!(decided.new.is_empty());
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
    ] {
        assert_eq!(shop.ids(sql).await?, both, "{sql}");
    }
    let units = shop.ids("select distinct said_unit from saga.idempotency_keys").await?;
    assert_eq!(units.len(), 1, "they were placed together");
    assert!(shop.ids("select saga_id from saga.announcements").await?.is_empty());
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
    let group = [&first, &twin, &other];
    let id = group[new[0]].order_id;
    for n in (0..3).filter(|n| *n != new[0]) {
        let same = group[n].body_hash == group[new[0]].body_hash;
        assert_eq!(placed[n], if same { Placed::Before(id) } else { Placed::OtherBody });
    }
    shop.bench.db().execute("delete from products", &[]).await?;
    let body = [b"a", b"a", b"b"][new[0]];
    let again = shop.place_together(&[placement("k", body), placement("k", b"c"), placement("l", b"a")]).await?;
    assert_eq!(again[2], Placed::Refused(vec!["items[0].sku: there is no product `MUG-STONE`".to_owned()]));
    assert_eq!(again[..2], [Placed::Before(id), Placed::OtherBody]);
    Ok(())
}

#[tokio::test]
async fn an_order_that_was_committed_unknowingly_is_told_as_it_was_placed() -> Outcome {
    let shop = Shop::new().await?;
    let order = placement("k", b"a");
    let placed = shop.place_together(std::slice::from_ref(&order)).await?;
    let [Placed::New(priced, times)] = &placed[..] else { return Err(format!("{placed:?}").into()) };
    // Prices have changed since.
    shop.bench.db().execute("update products set unit_price_minor = 1", &[]).await?;
    let terms = Terms { deadline_ms: 60_000.0, required_answers: Vec::new() };
    let again = place_again(&shop.bench.saga(), &terms, &order).await?;
    assert_eq!(again, Placed::New(priced.clone(), *times));
    Ok(())
}
