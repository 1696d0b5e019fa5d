//! Kconfig files that were understood lately.

use std::sync::{Arc, Mutex, PoisonError};

use kbs_kconfig::Kconfig;
use kbs_plan::id::ConfigureKey;

use super::locks::PerKey;

/// Trees that are kept at most.
const TREES_MAX: usize = 16;
/// Bytes of Kconfig files that are kept at most; understood, they take several times as much.
const TEXT_MAX_B: usize = 16 << 20;

/// The Kconfig files of the latest trees, by the key of all that decides what they mean.
#[derive(Debug, Default)]
pub(crate) struct Kconfigs {
    /// Held by the one who reads the files of a tree.
    pub(crate) loading: PerKey<ConfigureKey>,
    /// The least recently used first.
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: ConfigureKey,
    kconfig: Arc<Kconfig>,
    text_b: usize,
}

impl Kconfigs {
    /// What is kept of `key`.
    pub(crate) fn get(&self, key: ConfigureKey) -> Option<Arc<Kconfig>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.key == key)?;
        let found = kept.remove(at);
        let kconfig = Arc::clone(&found.kconfig);
        kept.push(found);
        Some(kconfig)
    }

    /// Keeps the files of `key`, of `text_b` bytes, in the place of those that were used before all
    /// others; what alone is too much is not kept.
    pub(crate) fn put(&self, key: ConfigureKey, kconfig: Arc<Kconfig>, text_b: usize) {
        if text_b > TEXT_MAX_B {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.key != key);
        kept.push(Kept { key, kconfig, text_b });
        while kept.len() > TREES_MAX
            || kept.iter().map(|kept| kept.text_b).sum::<usize>() > TEXT_MAX_B
        {
            kept.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kbs_kconfig::{Dialect, FileMap, NoShell};

    use super::*;

    fn kconfig() -> Arc<Kconfig> {
        let files: FileMap = [("Kconfig", "config A\n\tbool\n")].into_iter().collect();
        let env = BTreeMap::new();
        Arc::new(Kconfig::load("Kconfig", &files, Dialect::CONF, &env, &NoShell).unwrap())
    }

    fn key(number: usize) -> ConfigureKey {
        ConfigureKey::of(number.to_string().as_bytes())
    }

    #[test]
    fn what_was_used_last_stays_longest() {
        let kconfigs = Kconfigs::default();
        for number in 0..TREES_MAX {
            kconfigs.put(key(number), kconfig(), 1);
        }
        assert!(kconfigs.get(key(0)).is_some());
        kconfigs.put(key(TREES_MAX), kconfig(), 1);
        assert!(kconfigs.get(key(0)).is_some() && kconfigs.get(key(1)).is_none());
    }

    #[test]
    fn large_trees_drive_out_others_and_the_largest_are_not_kept() {
        let kconfigs = Kconfigs::default();
        kconfigs.put(key(0), kconfig(), TEXT_MAX_B / 2);
        kconfigs.put(key(1), kconfig(), TEXT_MAX_B / 2);
        kconfigs.put(key(2), kconfig(), TEXT_MAX_B + 1);
        assert!(kconfigs.get(key(2)).is_none() && kconfigs.get(key(0)).is_some());
        kconfigs.put(key(3), kconfig(), TEXT_MAX_B);
        assert!(kconfigs.get(key(0)).is_none() && kconfigs.get(key(3)).is_some());
    }
}
