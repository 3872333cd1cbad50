//! A trail: who was read when. It tells the next rung what a row was last read as of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A part of a trail: runs with times up to `hi` (and after the entry before) were read at `read_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) hi: DateTime<Utc>,
    pub(crate) read_at: DateTime<Utc>,
}

/// When a run at `at` was last read, by the trail of whoever read before; `None` where the trail has
/// no part for it.
pub(super) fn read_at(trail: &[Entry], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let entry = trail.partition_point(|entry| entry.hi < at);
    trail.get(entry).map(|entry| entry.read_at)
}

/// Adds a part to a trail; parts read at the same time become one.
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
