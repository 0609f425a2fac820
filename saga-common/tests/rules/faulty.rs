//! A shop with fault injection.

use crate::script::Script;
use crate::shop::{Shop, effects, shop};
use crate::world::{Fallible, MIGRATOR, Outcome, World, eventually};
use saga_common::faults::{Directives, Setting};
use saga_common::testkit::{self, Replica, Wire};
use saga_common::topology::QueueType;
use saga_common::{SagaId, Settings};
use std::sync::Arc;

/// A replica that takes directives, and a bench beside it.
pub(crate) struct Faulty {
    pub(crate) world: World,
    pub(crate) script: Arc<Script>,
    pub(crate) bench: Arc<Shop>,
    pub(crate) wire: Wire,
    pub(crate) replica: Replica,
}

impl Faulty {
    pub(crate) async fn start() -> Fallible<Self> {
        let world = World::new().await?;
        let amqp_url = world.amqp_url().await?;
        Self::by_way_of(world, &amqp_url).await
    }

    /// A shop that reaches the broker at this address.
    pub(crate) async fn by_way_of(world: World, amqp_url: &str) -> Fallible<Self> {
        Self::with(world, amqp_url, |_| ()).await
    }

    /// A shop with settings that differ from the defaults.
    pub(crate) async fn with(world: World, amqp_url: &str, change: impl FnOnce(&mut Settings)) -> Fallible<Self> {
        let script = Arc::<Script>::default();
        let bench = world.bench(shop(&script)?).await?;
        let mut settings = faulty(&world, amqp_url)?;
        change(&mut settings);
        let replica = Replica::start(shop(&script)?, settings, &MIGRATOR).await?;
        Ok(Self { wire: world.wire().await?, world, script, bench, replica })
    }

    /// Waits until this saga's hold has fired so often.
    pub(crate) async fn has_held(&self, saga: SagaId, times: i32) -> Outcome {
        self.has_left(saga, "%=hold(%", i32::MAX - times).await
    }

    /// Waits until the saga's directive that looks like this has fired, and may so often still.
    pub(crate) async fn has_left(&self, saga: SagaId, directive: &str, times: i32) -> Outcome {
        let sql =
            "select times_left from saga.faults where saga_id = $1 and directive like $2 and fired_at is not null";
        let left = async || {
            let rows = self.bench.db().query(sql, &[&saga.as_uuid(), &directive]).await?;
            let left: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
            if left == [times] { Ok(Some(())) } else { Err(format!("left: {left:?}").into()) }
        };
        eventually(directive, left).await
    }

    /// Waits until these and no other steps of the saga are committed.
    pub(crate) async fn does(&self, saga: SagaId, steps: &[&str]) -> Outcome {
        let done = async || Ok((effects(&self.bench, saga).await? == steps).then_some(()));
        eventually("its steps run", done).await
    }
}

/// Another replica of the shop.
pub(crate) async fn replica(world: &World, script: &Arc<Script>, amqp_url: &str) -> Fallible<Replica> {
    Ok(Replica::start(shop(script)?, faulty(world, amqp_url)?, &MIGRATOR).await?)
}

/// Settings with fault injection on.
pub(crate) fn faulty(world: &World, amqp_url: &str) -> Fallible<Settings> {
    let mut settings = testkit::settings(&world.database_url, amqp_url)?;
    settings.queue_type = QueueType::Classic;
    settings.faults = Setting::On(Directives::default());
    Ok(settings)
}
