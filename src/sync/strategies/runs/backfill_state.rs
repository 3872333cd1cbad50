//! The saved state of a backfill.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::tie::TiePosition;

/// A backfill: reads everything, from the newest to the oldest, by `expected_start_time`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredBackfill", into = "StoredBackfill")]
pub(crate) struct BackfillState {
    /// The time at which the backfill began, set with its first page. Rows that the live readers sent since then are
    /// not sent again.
    pub(crate) began: Option<DateTime<Utc>>,
    /// The part that is left to read, stored with each page.
    pub(crate) progress: BackfillProgress,
    /// Set for the state of an older version of the connector. That version sent the rows with an earlier `updated`, so
    /// only later ones are sent.
    pub(crate) since: Option<DateTime<Utc>>,
    /// The tables that the backfill is for; empty for all of them. Set if a table or column is added later.
    pub(crate) tables: Vec<String>,
    /// The tables that the backfill is not for if `tables` is empty: they have a backfill of their own.
    pub(crate) except: Vec<String>,
    /// Set if everything was read before: runs of the open set are sent again, too.
    pub(crate) again: bool,
}

/// The part of a backfill that is left to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum BackfillProgress {
    /// Nothing is read. Set when a backfill is planned. The next sync begins with the latest runs.
    #[default]
    NotBegun,
    /// Everything later than this time is read, set with each page of a backfill in one range. The next sync continues
    /// there.
    ReadDownTo(DateTime<Utc>),
    /// These ranges are left, newest first; set with each page of a backfill in partitions, and for ranges that a start
    /// date has added. The next sync continues all of them.
    Ranges(Vec<UnreadRange>),
    /// Every range is read, set with the last page. The next sync compares the counts, which show if there are runs
    /// that no range matches, and ends the backfill.
    Counting,
}

/// A closed range that a backfill has not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnreadRange {
    /// The lower bound; `None` if the range has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<DateTime<Utc>>,
    /// The upper bound, which moves down with each page.
    pub(crate) before: DateTime<Utc>,
    /// The position among the runs at `before`, if they fill more than a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<TiePosition>,
}

impl BackfillState {
    /// Creates a backfill that sends everything again.
    pub(super) fn resending_all() -> Self {
        Self {
            again: true,
            ..Self::default()
        }
    }
}

/// A backfill as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBackfill {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<DateTime<Utc>>,
    /// [`BackfillProgress::ReadDownTo`], or [`COUNTING`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<DateTime<Utc>>,
    /// [`BackfillProgress::Ranges`].
    #[serde(rename = "lanes", default, skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<UnreadRange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tables: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

/// The saved position of [`BackfillProgress::Counting`]: no run was due before Prefect existed.
const COUNTING: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

impl From<StoredBackfill> for BackfillState {
    fn from(stored: StoredBackfill) -> Self {
        let progress = match stored.before {
            Some(before) if before == COUNTING => BackfillProgress::Counting,
            _ if !stored.ranges.is_empty() => BackfillProgress::Ranges(stored.ranges),
            Some(before) => BackfillProgress::ReadDownTo(before),
            None => BackfillProgress::NotBegun,
        };
        Self {
            began: stored.began,
            progress,
            since: stored.since,
            tables: stored.tables,
            except: stored.except,
            again: stored.again,
        }
    }
}

impl From<BackfillState> for StoredBackfill {
    fn from(backfill: BackfillState) -> Self {
        let (before, ranges) = match backfill.progress {
            BackfillProgress::NotBegun => (None, Vec::new()),
            BackfillProgress::ReadDownTo(before) => (Some(before), Vec::new()),
            BackfillProgress::Ranges(ranges) => (None, ranges),
            BackfillProgress::Counting => (Some(COUNTING), Vec::new()),
        };
        Self {
            began: backfill.began,
            before,
            ranges,
            since: backfill.since,
            tables: backfill.tables,
            except: backfill.except,
            again: backfill.again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_progress_is_saved_and_read_back() {
        let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        let range = UnreadRange {
            after: None,
            before: at,
            place: None,
        };
        let saved = [
            (BackfillProgress::NotBegun, "{}"),
            (
                BackfillProgress::ReadDownTo(at),
                r#"{"before":"2024-10-04T00:00:00Z"}"#,
            ),
            (
                BackfillProgress::Ranges(vec![range]),
                r#"{"lanes":[{"before":"2024-10-04T00:00:00Z"}]}"#,
            ),
            (
                BackfillProgress::Counting,
                r#"{"before":"1970-01-01T00:00:00Z"}"#,
            ),
        ];
        for (progress, text) in saved {
            let backfill = BackfillState {
                progress,
                ..BackfillState::default()
            };
            assert_eq!(serde_json::to_string(&backfill).expect("JSON"), text);
            assert_eq!(
                serde_json::from_str::<BackfillState>(text).expect("a backfill"),
                backfill
            );
        }
    }
}
