//! R8: a database that takes what is sent and never answers is away, like one that is down: what waits for it is given up
//! in time, and nothing is counted. Found by `sagactl chaos --seed 3 --faults network,messages,points,clients`: a consumer
//! waited for an answer until its service was restarted.

use crate::script::Script;
use crate::shop::{Placed, Shop, effects, shop};
use crate::world::{Fallible, MIGRATOR, Outcome, World, eventually};
use saga_common::SagaId;
use saga_common::db::{DbError, Trouble, trouble};
use saga_common::testkit::{Bench, Message, Replica, Wire};
use sagactl::chaos::proxy::{Mode, Proxy};
use std::sync::Arc;

/// A shop whose only connection to its database leads through a proxy.
struct Distant {
    world: World,
    script: Arc<Script>,
    bench: Arc<Shop>,
    proxy: Proxy,
    replica: Replica,
    wire: Wire,
}

impl Distant {
    async fn start() -> Fallible<Self> {
        let (world, script) = (World::new().await?, Arc::<Script>::default());
        let bench = world.bench(shop(&script)?).await?;
        let proxy = Proxy::to(world.database_port()?).await?;
        let mut settings = world.by_way_of(proxy.port())?.settings().await?;
        settings.database_connections = 1;
        // What holds a step is not its own limit.
        settings.step_limit_ms = 600_000;
        let replica = Replica::start(shop(&script)?, settings, &MIGRATOR).await?;
        let wire = world.wire().await?;
        Ok(Self { world, script, bench, proxy, replica, wire })
    }

    /// From now on nothing passes and nothing is closed; what is open stays so for ever.
    async fn fall_silent(&self) -> Outcome {
        self.proxy.set(Mode::HalfOpen);
        // In both directions.
        eventually("the connection is dead", async || Ok((self.proxy.struck() == 2).then_some(()))).await
    }

    /// Lets new connections through once the dead one is given up.
    async fn speak_again(&self) -> Outcome {
        let another = async || Ok((self.proxy.struck() > 2).then_some(()));
        eventually("the dead connection is given up and another one tried", another).await?;
        self.proxy.set(Mode::Pass);
        Ok(())
    }

    /// Waits until the saga's order is handled: once, with nothing counted against it, after so many runs of its step.
    async fn handles(self, saga: SagaId, runs: usize) -> Outcome {
        let handled = async || Ok((!effects(&self.bench, saga).await?.is_empty()).then_some(()));
        eventually("it is handled", handled).await?;
        self.replica.stop().await?;
        assert_eq!(effects(&self.bench, saga).await?, ["reserve"]);
        assert_eq!(self.script.count("reserve"), runs);
        assert!(self.bench.db().query("select 1 from saga.waiting", &[]).await?.is_empty());
        assert_eq!(self.world.wire().await?.ready("shop.events").await?, 0);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_never_answers_holds_no_queue_for_ever() -> Outcome {
    let shop = Distant::start().await?;
    shop.fall_silent().await?;
    let saga = SagaId::new();
    shop.wire.put("shop.events", saga, &Placed::order()).await?;
    shop.speak_again().await?;
    shop.handles(saga, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_under_a_step_is_not_counted_against_its_message() -> Outcome {
    let shop = Distant::start().await?;
    let gate = shop.script.gate("reserve");
    let saga = SagaId::new();
    shop.wire.put("shop.events", saga, &Placed::order()).await?;
    gate.reached().await?;
    shop.fall_silent().await?;
    gate.open();
    shop.speak_again().await?;
    shop.handles(saga, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_its_limit_has_ended_while_the_database_is_silent_is_not_counted_against_its_message() -> Outcome {
    let (world, script) = (World::new().await?, Arc::<Script>::default());
    let bench = world.bench(shop(&script)?).await?;
    let proxy = Proxy::to(world.database_port()?).await?;
    let mut settings = world.by_way_of(proxy.port())?.settings().await?;
    (settings.database_connections, settings.step_limit_ms) = (1, 3_000);
    let distant = Bench::with_settings(shop(&script)?, settings, &MIGRATOR).await?;
    // A wait is an effect as well, so that one that is over is seen, too.
    for statement in [
        "create function note() returns trigger language plpgsql as $$
         begin insert into effects (saga_id, step) values (new.saga_id, 'waits: ' || new.reason); return new; end $$",
        "create trigger noted before insert on saga.waiting for each row execute function note()",
    ] {
        bench.db().execute(statement, &[]).await?;
    }
    let gate = script.gate("reserve");
    let saga = SagaId::new();
    let placed = Message::of(saga, &Placed::order())?;
    let handled = async { Fallible::Ok(distant.deliver(&placed).await?) };
    let silence = async {
        gate.reached().await?;
        proxy.set(Mode::HalfOpen);
        eventually("the connection is dead", async || Ok((proxy.struck() == 2).then_some(()))).await?;
        proxy.set(Mode::Stall);
        // The server gives up sooner than the service, which is not told: no lock is left to wait for.
        world.cut_off().await?;
        gate.open();
        // The first new one asks whether the database is there.
        let another = async || Ok((proxy.struck() > 3).then_some(()));
        eventually("a second new connection is tried", another).await?;
        proxy.set(Mode::Pass);
        Fallible::Ok(())
    };
    tokio::try_join!(handled, silence)?;
    assert_eq!(effects(&bench, saga).await?, ["reserve"]);
    assert_eq!(script.count("reserve"), 2);
    Ok(())
}

#[test]
fn no_answer_says_nothing_about_the_message() {
    assert_eq!(trouble(&DbError::Silent), Trouble::Gone);
}
