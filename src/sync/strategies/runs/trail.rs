//! The read log: which range of runs was read when. The next recheck compares with it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A read log entry: runs after the entry before and up to `hi` were read at `read_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) hi: DateTime<Utc>,
    pub(crate) read_at: DateTime<Utc>,
}

/// Returns the time at which a run at `at` was last read; `None` without an entry for it.
pub(super) fn read_at(trail: &[Entry], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let entry = trail.partition_point(|entry| entry.hi < at);
    trail.get(entry).map(|entry| entry.read_at)
}

/// Adds an entry to a read log; entries of the same reading time become one.
pub(super) fn extend(trail: &mut Vec<Entry>, entry: Entry) {
    match trail.last_mut() {
        Some(last) if last.read_at == entry.read_at => last.hi = last.hi.max(entry.hi),
        _ => trail.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn entry(hi: i64, read_at: i64) -> Entry {
        Entry {
            hi: at(hi),
            read_at: at(read_at),
        }
    }

    #[test]
    fn a_trail_tells_who_was_read_when() {
        let mut trail = vec![entry(10, 11)];
        extend(&mut trail, entry(20, 21));
        extend(&mut trail, entry(30, 21));
        assert_eq!(trail, [entry(10, 11), entry(30, 21)]);
        assert_eq!(read_at(&trail, at(0)), Some(at(11)));
        assert_eq!(read_at(&trail, at(10)), Some(at(11)));
        assert_eq!(read_at(&trail, at(11)), Some(at(21)));
        assert_eq!(read_at(&trail, at(31)), None);
    }
}
