//! R1: the guard row is in the transaction of its step, also if that transaction has never begun. Found by `sagactl chaos
//! --seed 77 --faults cancel-statements,..`: BEGIN was cancelled, and what had been sent together with it was committed by itself.

use crate::script::Script;
use crate::shop::{Placed, effects, said, shop};
use crate::world::{Fallible, MIGRATOR, Outcome, World};
use saga_common::testkit::{Bench, Message};
use saga_common::{SagaId, Statement};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Stands before the database, and makes this many BEGINs fail: their first word becomes none.
struct Spoiler {
    port: u16,
    left: Arc<AtomicUsize>,
}

impl Spoiler {
    async fn before(database_port: u16) -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let left = Arc::<AtomicUsize>::default();
        let shared = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, database_port, Arc::clone(&shared)));
            }
        });
        Ok(Self { port, left })
    }
}

async fn carry(client: TcpStream, database_port: u16, left: Arc<AtomicUsize>) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_database, mut to_database) = TcpStream::connect(("127.0.0.1", database_port)).await?.into_split();
    let answers = tokio::io::copy(&mut from_database, &mut to_client);
    let questions = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            // A simple query: its kind, its length, and BEGIN.
            if let Some(at) = buffer[..read].windows(10).position(|it| it[0] == b'Q' && it[5..] == *b"BEGIN")
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
            {
                buffer[at + 9] = b'X';
            }
            to_database.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! { answered = answers => answered.map(drop), asked = questions => asked }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_row_is_not_committed_by_itself_if_begin_has_failed() -> Outcome {
    let world = World::new().await?;
    let observer = world.bench(shop(&Arc::default())?).await?;
    let spoiler = Spoiler::before(world.database_port()?).await?;
    let distant = world.by_way_of(spoiler.port)?;
    let script = Arc::<Script>::default();
    let shop = Bench::with_settings(shop(&script)?, distant.settings().await?, &MIGRATOR).await?;
    let placed = |saga| Message::of(saga, &Placed::order());
    // Its connection is there, and what it says is prepared.
    shop.deliver(&placed(SagaId::new())?).await?;

    let (acted, undone) = (SagaId::new(), SagaId::new());
    shop.deliver(&placed(undone)?).await?;
    for message in [placed(acted)?, Message::failure(undone)] {
        spoiler.left.store(1, Ordering::SeqCst);
        shop.deliver(&message).await?;
        assert_eq!(spoiler.left.load(Ordering::SeqCst), 0, "BEGIN was spoilt");
    }
    // Tried again until it went through: not taken for what was done before.
    observer.skip_waits().await?;
    observer.run_waiting_once().await?;
    assert_eq!(effects(&observer, acted).await?, ["reserve"]);
    assert_eq!(said(&observer, acted).await?, ["test.reserved.v1"]);
    assert_eq!(effects(&observer, undone).await?, ["reserve", "release"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_writes_with_begin_is_not_committed_by_itself_if_that_has_failed() -> Outcome {
    let world = World::new().await?;
    let observer = world.bench(shop(&Arc::default())?).await?;
    let spoiler = Spoiler::before(world.database_port()?).await?;
    let distant = world.by_way_of(spoiler.port)?;
    let shop = Bench::with_settings(shop(&Arc::default())?, distant.settings().await?, &MIGRATOR).await?;
    let saga = SagaId::new();
    let note = |step: &'static str| {
        let sql = "insert into effects (saga_id, step) select $1, $2 where (select saga.in_unit())";
        vec![Statement::new(sql).with(saga.as_uuid()).with(step)]
    };
    // Its connection has had a unit before, and the statement is prepared.
    let (unit, _) = shop.saga().begin_with(note("before")).await?;
    shop.saga().commit(unit).await?;

    spoiler.left.store(1, Ordering::SeqCst);
    assert!(shop.saga().begin_with(note("spoilt")).await.is_err());
    assert_eq!(spoiler.left.load(Ordering::SeqCst), 0, "BEGIN was spoilt");
    assert_eq!(effects(&observer, saga).await?, ["before"]);
    Ok(())
}
