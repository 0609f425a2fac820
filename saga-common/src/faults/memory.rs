//! What this process remembers of sagas: a copy of `saga.faults`. Whatever it forgets can be read again.

use super::directive::Directives;
use crate::ids::SagaId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What one saga carries.
pub(super) type Carried = Arc<Directives>;

/// Sagas remembered, of each kind.
const MOST: usize = 50_000;

#[derive(Default)]
pub(super) struct Memory {
    /// Those with directives. Their rows are committed.
    carrying: HashMap<SagaId, Carried>,
    /// Those known to have none: most.
    without: HashSet<SagaId>,
    /// How often something was learnt: a read that began before may not have seen it.
    learnt: u64,
}

/// The moment at which a read begins.
#[derive(Clone, Copy)]
pub(super) struct Moment(u64);

impl Memory {
    pub(super) fn is_carrying(&self, saga_id: SagaId) -> bool {
        self.carrying.contains_key(&saga_id)
    }

    /// What the saga carries, if it is known to carry anything.
    pub(super) fn of(&self, saga_id: SagaId) -> Carried {
        self.carrying.get(&saga_id).cloned().unwrap_or_default()
    }

    /// Those of which nothing is remembered, and the moment to read them at.
    pub(super) fn unknown(&self, sagas: &[SagaId]) -> (BTreeSet<SagaId>, Moment) {
        let known = |id: &SagaId| self.carrying.contains_key(id) || self.without.contains(id);
        (sagas.iter().copied().filter(|id| !known(id)).collect(), Moment(self.learnt))
    }

    /// A saga's directives have been written down.
    pub(super) fn learn(&mut self, saga_id: SagaId, directives: Directives) {
        self.learnt += 1;
        self.keep(saga_id, directives);
    }

    /// What a read has found; nothing of the others that were asked for.
    pub(super) fn found(&mut self, asked: &BTreeSet<SagaId>, at: Moment, found: HashMap<SagaId, Directives>) {
        for (saga_id, directives) in found {
            self.keep(saga_id, directives);
        }
        if at.0 == self.learnt {
            if self.without.len() + asked.len() > MOST {
                self.without.clear();
            }
            self.without.extend(asked.iter().filter(|id| !self.carrying.contains_key(id)));
        }
    }

    fn keep(&mut self, saga_id: SagaId, directives: Directives) {
        if self.carrying.len() >= MOST {
            self.carrying.clear();
        }
        self.without.remove(&saga_id);
        self.carrying.insert(saga_id, Arc::new(directives));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives() -> Directives {
        "*/after-commit=crash".parse().expect("directives")
    }

    #[test]
    fn a_read_that_began_before_a_saga_was_learnt_does_not_make_it_forgotten() {
        let (mut memory, saga) = (Memory::default(), SagaId::new());
        let (asked, at) = memory.unknown(&[saga]);
        memory.learn(saga, directives());
        memory.found(&asked, at, HashMap::new());
        assert_eq!(*memory.of(saga), directives());
        // Not even if it was forgotten meanwhile.
        memory.carrying.clear();
        assert!(memory.unknown(&[saga]).0.contains(&saga));
    }

    #[test]
    fn many_sagas_without_directives_displace_none_that_has_some() {
        let (mut memory, saga) = (Memory::default(), SagaId::new());
        memory.learn(saga, directives());
        for _ in 0..=MOST {
            let (asked, at) = memory.unknown(&[SagaId::new()]);
            memory.found(&asked, at, HashMap::new());
        }
        assert!(memory.is_carrying(saga));
        assert!(memory.without.len() <= MOST);
    }

    #[test]
    fn what_a_read_has_found_is_remembered() {
        let (mut memory, with, without) = (Memory::default(), SagaId::new(), SagaId::new());
        let (asked, at) = memory.unknown(&[with, without]);
        memory.found(&asked, at, [(with, directives())].into());
        assert!(memory.is_carrying(with) && !memory.is_carrying(without));
        assert!(memory.unknown(&[with, without]).0.is_empty());
    }
}
