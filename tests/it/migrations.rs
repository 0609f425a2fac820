//! What would only be noticed where two changes meet.

use crate::world::{MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::session;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn no_service_has_two_migrations_of_one_version() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for owner in ["saga-common", "order-svc", "inventory-svc", "payment-svc", "notification-svc"] {
        let mut versions = BTreeSet::new();
        for file in std::fs::read_dir(root.join(owner).join("migrations"))? {
            let name = file?.file_name().into_string().map_err(|_| "a name that is no text")?;
            let version = name.split_once('_').ok_or(name.clone())?.0.to_owned();
            assert!(versions.insert(version), "{owner}: {name}");
        }
        assert!(!versions.is_empty(), "{owner}");
    }
    Ok(())
}

/// While replicas are replaced one by one, or the newer ones are taken back.
#[tokio::test]
async fn a_replica_of_the_release_before_starts_while_the_database_is_ahead_of_it() -> Outcome {
    let world = World::start().await?;
    for (service, table) in [
        (Service::Order, "_sqlx_migrations"),
        (Service::Payment, "_sqlx_migrations"),
        (Service::Inventory, "saga.migrations"),
    ] {
        let database = session(world.stack.database_url(service)).await?;
        let later = format!(
            "insert into {table} (version, description, success, checksum, execution_time)
             values (99991231235959, 'of a later release', true, '', 0)"
        );
        database.batch_execute(&later).await?;
        world.stack.kill9(service).await?;
        world.stack.start(service).await?;
    }
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.assert_consistent().await
}
