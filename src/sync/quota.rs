//! The limit on the concurrent requests of one sync where many syncs share a process.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of pages per table that all syncs of a process together wait for or hold. With 200 runs per page they
/// take a few dozen megabytes.
const PAGES: usize = 64;

/// A counter of the syncs in a process.
#[derive(Debug, Clone, Default)]
pub struct ProcessQuota(Arc<AtomicUsize>);

/// The share of one sync. Dropping it removes the sync from the counter.
#[derive(Debug)]
pub struct SyncQuota {
    most: NonZeroUsize,
    quota: ProcessQuota,
}

impl ProcessQuota {
    /// Adds a sync that may have at most `most` concurrent requests for one table.
    pub fn join(&self, most: NonZeroUsize) -> SyncQuota {
        self.0.fetch_add(1, Ordering::Relaxed);
        SyncQuota {
            most,
            quota: self.clone(),
        }
    }
}

impl SyncQuota {
    /// Returns the share of a sync that is alone in its process.
    pub fn alone(most: NonZeroUsize) -> Self {
        ProcessQuota::default().join(most)
    }

    /// Returns the number of requests for one table that may be in progress now.
    pub(super) fn now(&self) -> usize {
        let syncs = self.quota.0.load(Ordering::Relaxed).max(1);
        (PAGES / syncs).clamp(1, self.most.get())
    }
}

impl Drop for SyncQuota {
    fn drop(&mut self) {
        self.quota.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_syncs_have_less_each_until_some_end() {
        let quota = ProcessQuota::default();
        let most = NonZeroUsize::new(8).expect("not zero");
        let first = quota.join(most);
        let mut others: Vec<SyncQuota> = (1..8).map(|_| quota.join(most)).collect();
        assert_eq!(first.now(), 8);
        others.extend((8..32).map(|_| quota.join(most)));
        assert_eq!(first.now(), 2);
        others.extend((32..200).map(|_| quota.join(most)));
        assert_eq!(first.now(), 1);
        others.clear();
        assert_eq!((first.now(), SyncQuota::alone(most).now()), (8, 8));
    }
}
