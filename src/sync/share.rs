//! How much one sync may have under way where many share a process.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Pages that the syncs of a process may wait for or hold for one table each, all together: of 200 runs a page, a
/// few dozen megabytes.
const PAGES: usize = 64;

/// The syncs of a process, by their number.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<AtomicUsize>);

/// One sync's part; it leaves the crowd when it is dropped.
#[derive(Debug)]
pub struct Share {
    most: NonZeroUsize,
    crowd: Crowd,
}

impl Crowd {
    /// Joins with a sync that may have at most `most` questions under way for one table.
    pub fn join(&self, most: NonZeroUsize) -> Share {
        self.0.fetch_add(1, Ordering::Relaxed);
        Share {
            most,
            crowd: self.clone(),
        }
    }
}

impl Share {
    /// For a sync that is alone in its process.
    pub fn alone(most: NonZeroUsize) -> Self {
        Crowd::default().join(most)
    }

    /// How many questions may be under way for one table now.
    pub(super) fn now(&self) -> usize {
        let syncs = self.crowd.0.load(Ordering::Relaxed).max(1);
        (PAGES / syncs).clamp(1, self.most.get())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.crowd.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_syncs_have_less_each_until_some_end() {
        let crowd = Crowd::default();
        let most = NonZeroUsize::new(8).expect("not zero");
        let first = crowd.join(most);
        let mut others: Vec<Share> = (1..8).map(|_| crowd.join(most)).collect();
        assert_eq!(first.now(), 8);
        others.extend((8..32).map(|_| crowd.join(most)));
        assert_eq!(first.now(), 2);
        others.extend((32..200).map(|_| crowd.join(most)));
        assert_eq!(first.now(), 1);
        others.clear();
        assert_eq!((first.now(), Share::alone(most).now()), (8, 8));
    }
}
