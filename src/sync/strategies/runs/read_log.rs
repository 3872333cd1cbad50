//! The read log: which range of runs was read when. The next recheck compares with it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A read log entry: runs after the entry before and up to `upper` were read at `read_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSpan {
    #[serde(rename = "hi")]
    pub(crate) upper: DateTime<Utc>,
    pub(crate) read_at: DateTime<Utc>,
}

/// Returns the time at which a run at `at` was last read; `None` without an entry for it.
pub(super) fn read_at(read_log: &[ReadSpan], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let entry = read_log.partition_point(|entry| entry.upper < at);
    read_log.get(entry).map(|entry| entry.read_at)
}

/// Adds an entry to a read log; entries of the same reading time become one.
pub(super) fn extend(read_log: &mut Vec<ReadSpan>, entry: ReadSpan) {
    match read_log.last_mut() {
        Some(last) if last.read_at == entry.read_at => last.upper = last.upper.max(entry.upper),
        _ => read_log.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn entry(hi: i64, read_at: i64) -> ReadSpan {
        ReadSpan {
            upper: at(hi),
            read_at: at(read_at),
        }
    }

    #[test]
    fn a_read_log_gives_the_time_of_the_last_reading() {
        let mut read_log = vec![entry(10, 11)];
        extend(&mut read_log, entry(20, 21));
        extend(&mut read_log, entry(30, 21));
        assert_eq!(read_log, [entry(10, 11), entry(30, 21)]);
        assert_eq!(read_at(&read_log, at(0)), Some(at(11)));
        assert_eq!(read_at(&read_log, at(10)), Some(at(11)));
        assert_eq!(read_at(&read_log, at(11)), Some(at(21)));
        assert_eq!(read_at(&read_log, at(31)), None);
    }
}
