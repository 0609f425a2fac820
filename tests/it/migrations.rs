//! What would only be noticed where two changes meet.

use crate::world::Outcome;
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
