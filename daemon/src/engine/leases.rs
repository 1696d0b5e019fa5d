//! What running work uses and nobody may take away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many use each thing, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<BTreeMap<String, usize>>>);

/// The use of one thing, until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    name: String,
}

impl Leases {
    /// Keeps `name` from being taken away. Look whether it is there after this, not before.
    pub(crate) fn take(&self, name: &str) -> Arc<Lease> {
        *self.lock().entry(name.to_owned()).or_default() += 1;
        Arc::new(Lease { leases: self.clone(), name: name.to_owned() })
    }

    /// Runs `remove` while nobody can begin to use `name`; `None` where somebody does.
    pub(crate) fn if_unused<T>(&self, name: &str, remove: impl FnOnce() -> T) -> Option<T> {
        let used = self.lock();
        (!used.contains_key(name)).then(remove)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut used = self.leases.lock();
        if let Some(count) = used.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_until_the_last_one_is_done() {
        let leases = Leases::default();
        let (first, second) = (leases.take("a"), leases.take("a"));
        assert!(leases.if_unused("a", || ()).is_none());
        assert!(leases.if_unused("b", || ()).is_some());
        drop(first);
        assert!(leases.if_unused("a", || ()).is_none());
        drop(second);
        assert!(leases.if_unused("a", || ()).is_some());
    }
}
