//! Idempotency keys: the first answer to a key is the answer for ever, a 500 included. Pure.
//!
//! Like Stripe's, a key is bound to its request (route and parameters), and a key whose first request is still running answers
//! 409; a request whose parameters cannot be read uses up no key. Unlike Stripe's, keys never expire.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{answer::Answer, refusal::Refusal};

/// A key and the request it came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keyed {
    pub(super) key: String,
    /// Method, path and parameters in a canonical order.
    pub(super) request: String,
}

/// What to do with a request that carries a key.
#[derive(Debug)]
pub(super) enum Admission {
    /// Nobody has seen the key: do it, then [`Keys::settle`].
    Run,
    /// Give this answer again.
    Replay(Answer),
}

/// All keys ever seen.
#[derive(Debug, Default)]
pub(super) struct Keys {
    slots: HashMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    request: String,
    /// `None` while the first request runs.
    answer: Option<Answer>,
}

impl Keys {
    /// Admits a request, and claims its key when it is new.
    pub(super) fn admit(&mut self, keyed: &Keyed) -> Result<Admission, Refusal> {
        match self.slots.get(&keyed.key) {
            None => {
                self.slots.insert(keyed.key.clone(), Slot { request: keyed.request.clone(), answer: None });
                Ok(Admission::Run)
            }
            Some(slot) if slot.request != keyed.request => Err(Refusal::KeyReused),
            Some(Slot { answer: Some(answer), .. }) => Ok(Admission::Replay(answer.clone())),
            Some(_) => Err(Refusal::KeyInUse),
        }
    }

    /// Keeps the first answer of a claimed key, or of one read back from the ledger.
    pub(super) fn settle(&mut self, keyed: Keyed, answer: Answer) {
        self.slots.insert(keyed.key, Slot { request: keyed.request, answer: Some(answer) });
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &str, request: &str) -> Keyed {
        Keyed { key: key.into(), request: request.into() }
    }

    #[test]
    fn a_key_runs_once_and_replays_its_answer_even_a_500() {
        let mut keys = Keys::default();
        assert!(matches!(keys.admit(&keyed("k", "a")), Ok(Admission::Run)));
        assert!(matches!(keys.admit(&keyed("k", "a")), Err(Refusal::KeyInUse)));
        keys.settle(keyed("k", "a"), Answer::api_error(500, "boom"));
        for _ in 0..2 {
            assert!(matches!(keys.admit(&keyed("k", "a")), Ok(Admission::Replay(Answer { status: 500, .. }))));
        }
    }

    #[test]
    fn a_key_is_bound_to_its_request_also_while_it_runs() {
        let mut keys = Keys::default();
        assert!(matches!(keys.admit(&keyed("k", "a")), Ok(Admission::Run)));
        assert!(matches!(keys.admit(&keyed("k", "b")), Err(Refusal::KeyReused)));
        keys.settle(keyed("k", "a"), Answer::api_error(500, "boom"));
        assert!(matches!(keys.admit(&keyed("k", "b")), Err(Refusal::KeyReused)));
    }
}
