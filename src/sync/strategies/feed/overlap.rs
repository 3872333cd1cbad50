//! A record of the rows sent from a window's overlap. With this record the next window does not send those rows again.
//!
//! The latest rows are recorded one by one, by fingerprint. For the rows that do not fit, each second keeps the number
//! of its rows and the sum of their fingerprints: a second with the same number and sum is skipped as a whole, and any
//! other second is sent as a whole. So a busy table needs a bounded state, and a late row causes its second to be sent
//! again.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    rows::Row,
    sync::{compact_ids, sent_fingerprints::SentFingerprints},
};

/// The longest delay with which a row may arrive.
pub(super) const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// The maximum number of seconds that are remembered. An overlap has 900 seconds; rows with future times may add some.
/// Further seconds are not remembered.
const MOST_SECONDS: usize = 2_000;

/// The maximum number of rows that are held back until their second is complete.
const MOST_WAITING: usize = 20_000;

/// The number of rows and the sum of their fingerprints, for each second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seconds(BTreeMap<i64, Sum>);

/// The number of rows of one second and the sum of their fingerprints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    fingerprints: u64,
}

impl Sum {
    fn add(&mut self, fingerprint: u64) {
        self.count += 1;
        self.fingerprints = self.fingerprints.wrapping_add(fingerprint);
    }
}

impl Seconds {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of remembered seconds.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, second: i64, fingerprint: u64) {
        if self.0.len() < MOST_SECONDS || self.0.contains_key(&second) {
            self.0.entry(second).or_default().add(fingerprint);
        }
    }
}

/// Serialises each second as three numbers.
impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = self
            .0
            .iter()
            .flat_map(|(second, sum)| [second.cast_unsigned(), sum.count, sum.fingerprints]);
        let numbers: Vec<u64> = numbers.collect();
        compact_ids::hashes::serialize(&numbers, serializer)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers: Vec<u64> = compact_ids::hashes::deserialize(deserializer)?;
        let (seconds, rest) = numbers.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(D::Error::custom("the fingerprint of a second is truncated"));
        }
        let sums = seconds.iter().map(|&[second, count, fingerprints]| {
            let sum = Sum {
                count,
                fingerprints,
            };
            (second.cast_signed(), sum)
        });
        Ok(Self(sums.collect()))
    }
}

/// Remembers a row of the overlap that is being read; the latest rows come first.
pub(super) fn remember(
    seen: &mut SentFingerprints,
    sums: &mut Seconds,
    at: Option<DateTime<Utc>>,
    row: u64,
) {
    match at {
        Some(at) if !seen.has_room() => sums.add(at.timestamp(), row),
        _ => seen.insert(row),
    }
}

/// Rows that are held back until their second is complete, because only its sum is remembered.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<i64, Vec<(u64, Row)>>);

/// The rows of a second, and whether they are the same as when they were sent.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) rows: Vec<(u64, Row)>,
    pub(super) is_unchanged: bool,
}

impl Waiting {
    /// Holds back a row whose second is remembered as a sum; returns any other row.
    pub(super) fn hold_back(
        &mut self,
        sent: &Seconds,
        at: Option<DateTime<Utc>>,
        (fingerprint, row): (u64, Row),
    ) -> Option<Row> {
        match at.map(|at| at.timestamp()) {
            Some(second) if sent.0.contains_key(&second) => {
                self.0.entry(second).or_default().push((fingerprint, row));
                None
            }
            _ => Some(row),
        }
    }

    /// Removes and returns the seconds that are complete once everything later than `before` is read. Without `before`,
    /// or if too many rows are held back, returns all seconds.
    pub(super) fn settle(
        &mut self,
        sent: &Seconds,
        before: Option<DateTime<Utc>>,
    ) -> Vec<Complete> {
        let rest = match before {
            Some(before) if !self.is_too_large() => {
                self.0.split_off(&before.timestamp().saturating_add(1))
            }
            _ => std::mem::take(&mut self.0),
        };
        let complete = rest.into_iter().rev().map(|(second, rows)| {
            let mut sum = Sum::default();
            for (fingerprint, _) in &rows {
                sum.add(*fingerprint);
            }
            Complete {
                is_unchanged: sent.0.get(&second) == Some(&sum),
                rows,
            }
        });
        complete.collect()
    }

    /// Returns the time after which no row is held back; `None` if no row is held back at all.
    pub(super) fn end(&self) -> Option<DateTime<Utc>> {
        let (last, _) = self.0.last_key_value()?;
        let end = DateTime::from_timestamp(last.saturating_add(1), 0)?;
        Some(end - TimeDelta::microseconds(1))
    }

    /// Returns true if too many rows are held back: their seconds are then settled, even if incomplete.
    fn is_too_large(&self) -> bool {
        self.0.values().map(Vec::len).sum::<usize>() > MOST_WAITING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rows::Context, tables};

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    fn row(id: usize) -> Row {
        let table = tables::find("logs").expect("a table");
        let json = format!(r#"{{"id":"{id}"}}"#);
        Row::parse(table, &json, &Context::default()).expect("a row")
    }

    #[test]
    fn an_unchanged_second_is_skipped_and_a_changed_one_comes_whole() {
        let mut sent = Seconds::default();
        for (second, fingerprint) in [(7, 1), (7, 2), (6, 3), (6, 4)] {
            sent.add(second, fingerprint);
        }
        let mut waiting = Waiting::default();
        for (second, fingerprint) in [(7, 2), (7, 1), (6, 4), (6, 3), (6, 5)] {
            assert!(
                waiting
                    .hold_back(&sent, at(second), (fingerprint, row(1)))
                    .is_none()
            );
        }
        assert!(
            waiting.hold_back(&sent, at(5), (9, row(1))).is_some(),
            "it was not sent"
        );
        assert_eq!(
            waiting.end(),
            at(8).map(|end| end - TimeDelta::microseconds(1))
        );
        let complete = waiting.settle(&sent, at(6));
        assert!(
            matches!(complete.as_slice(), [seven] if seven.is_unchanged && seven.rows.len() == 2)
        );
        let complete = waiting.settle(&sent, None);
        assert!(matches!(complete.as_slice(), [six] if !six.is_unchanged && six.rows.len() == 3));
        assert_eq!(waiting.end(), None);
    }

    #[test]
    fn sums_come_back_from_the_state_and_stay_small() {
        let mut sums = Seconds::default();
        for second in 0..3_000 {
            for fingerprint in 0..55 {
                sums.add(1_795_000_000 + second, fingerprint << 50);
            }
        }
        assert_eq!(sums.len(), MOST_SECONDS);
        let text = serde_json::to_string(&sums).expect("serialises");
        assert!(text.len() < 33 * MOST_SECONDS);
        let again: Seconds = serde_json::from_str(&text).expect("deserialises");
        assert_eq!(again, sums);
        assert!(serde_json::from_str::<Seconds>("\"AAAAAAAAAAA\"").is_err());
    }
}
