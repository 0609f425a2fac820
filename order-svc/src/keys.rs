//! Request keys this process is carrying out: a repeated request is told so at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

type Key = (String, String);

/// The keys, each with its customer. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<HashSet<Key>>>);

/// A key that is taken for as long as this lives: as long as the placement, which outlives a client that goes away.
pub(crate) struct Taken {
    keys: Keys,
    key: Key,
}

impl Keys {
    /// Takes a customer's key, unless it is taken.
    pub(crate) fn take(&self, customer_id: &str, key: &str) -> Option<Taken> {
        let key = (customer_id.to_owned(), key.to_owned());
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        free.then(|| Taken { keys: self.clone(), key })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_once_at_a_time_and_for_its_customer_only() {
        let keys = Keys::default();
        let taken = keys.take("anna", "k");
        assert!(taken.is_some() && keys.take("anna", "k").is_none() && keys.take("berta", "k").is_some());
        drop(taken);
        assert!(keys.take("anna", "k").is_some());
    }
}
