//! Checks that no cursor of a reader of runs passes a time that was not read late enough.
//!
//! The server records which ranges were read and when. When a checkpoint moves a cursor from c to c', every time in
//! (c, c'] must have been read at least the reader's lag after it. (The checker covers ties at a bound.)

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::prefect::ListRequest;
use serde_json::Value as Json;

use super::checker::Violation;

/// The tolerance for server times, which are whole seconds.
const GRAIN: TimeDelta = TimeDelta::seconds(2);
const TICK: TimeDelta = TimeDelta::microseconds(1);

/// A range of time that was read completely.
#[derive(Debug, Clone, Copy)]
struct Span {
    by_end: bool,
    lo: DateTime<Utc>,
    hi: DateTime<Utc>,
    at: DateTime<Utc>,
}

/// The lag and the cursor of a reader.
#[derive(Debug, Clone, Copy)]
struct Mark {
    lag: TimeDelta,
    cursor: DateTime<Utc>,
}

/// The cursors of a state.
#[derive(Debug)]
struct Marks {
    by_end: bool,
    /// True while the look-back is read, for which the cursors were set again.
    afresh: bool,
    readers: Vec<Mark>,
}

/// The ranges of runs that were read: `spans` before the last checkpoint, `pending` since then.
#[derive(Debug, Default)]
pub(super) struct Windows {
    spans: Vec<Span>,
    pending: Vec<Span>,
    marks: Option<Marks>,
    /// The time of the last checkpoint.
    now: Option<DateTime<Utc>>,
}

impl Windows {
    /// Records the response to a request, which is dated `now`. The time at the server was then `served`.
    pub(super) fn note(
        &mut self,
        request: &ListRequest,
        page: &str,
        now: DateTime<Utc>,
        served: DateTime<Utc>,
    ) {
        let filter = &request.filter;
        let is_whole = filter.id.is_none()
            && filter.state.is_none()
            && filter.start_time.is_none()
            && filter.end_time_is.is_none()
            && request.offset == 0;
        let (by_end, range, name) = match request.sort {
            Some("END_TIME_DESC") if filter.expected_start_time.is_unbounded() => {
                (true, filter.end_time, "end_time")
            }
            Some("EXPECTED_START_TIME_DESC") if filter.end_time.is_unbounded() => {
                (false, filter.expected_start_time, "expected_start_time")
            }
            _ => return,
        };
        if !is_whole {
            return;
        }
        let rows: Vec<Json> = serde_json::from_str(page).unwrap_or_default();
        // If the clock steps back a little, the later time counts: the ranges that are read again cover the difference.
        let latest = self.now.filter(|last| *last - now <= TimeDelta::minutes(2));
        let now = latest.map_or(now, |last| last.max(now));
        // The date has whole seconds. The times of rows, which may be of other tables, show how late it was within that
        // second.
        let now = if served - now < TimeDelta::seconds(1) {
            now.max(served)
        } else {
            now
        };
        let hi = range.before.unwrap_or(now);
        let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= request.limit);
        let last = rows.last().filter(|_| is_full);
        let last = last.and_then(|row| instant(&row[name]));
        let lo = last.or(range.after).unwrap_or(DateTime::<Utc>::MIN_UTC);
        self.pending.push(Span {
            by_end,
            lo,
            hi,
            at: now,
        });
    }

    /// Discards the ranges that were read and not committed.
    pub(super) fn lose(&mut self) {
        self.pending.clear();
    }

    /// Forgets the cursors after a rewind by hand.
    pub(super) fn rewind(&mut self) {
        self.marks = None;
    }

    /// Checks the cursors of a checkpoint against the ranges that were read.
    pub(super) fn checkpoint(&mut self, state: &str) -> Result<(), Violation> {
        self.spans.append(&mut self.pending);
        let state: Json = serde_json::from_str(state).unwrap_or_default();
        let now = instant(&state["now"]);
        if now < self.now {
            // The clock was wrong: reading begins again.
            self.marks = None;
        }
        self.now = now;
        let Some(marks) = Marks::from_json(&state["tables"]["flow_runs"]["reader"]["runs"]) else {
            return Ok(());
        };
        let before = self
            .marks
            .as_ref()
            .filter(|before| before.by_end == marks.by_end && (before.afresh || !marks.afresh));
        for (before, after) in before
            .iter()
            .flat_map(|before| before.readers.iter().zip(&marks.readers))
        {
            let reach = self.reach(marks.by_end, before, after.cursor);
            if reach < after.cursor {
                let what = format!(
                    "the reader {} min behind goes on at {}, and what is later than {reach} was not read",
                    after.lag.num_minutes(),
                    after.cursor,
                );
                return Err(Violation::new(what));
            }
        }
        self.marks = Some(marks);
        Ok(())
    }

    /// Returns the time up to which everything after a mark was read, at least the mark's lag later.
    fn reach(&self, by_end: bool, mark: &Mark, to: DateTime<Utc>) -> DateTime<Utc> {
        let mut reach = mark.cursor;
        if reach >= to {
            return reach;
        }
        let spans = self.spans.iter().filter(|span| span.by_end == by_end);
        let mut spans: Vec<_> = spans
            .map(|span| (span.lo, span.hi.min(span.at - mark.lag + GRAIN)))
            .collect();
        spans.sort_unstable();
        for (lo, hi) in spans {
            if lo <= reach + TICK {
                reach = reach.max(hi);
            }
        }
        reach
    }
}

impl Marks {
    fn from_json(runs: &Json) -> Option<Self> {
        let live = runs.get("live")?;
        let by_end = runs["tau"] == "end_time";
        let mut readers = Vec::new();
        for rung in live["rungs"].as_array()? {
            readers.push(Mark {
                lag: TimeDelta::seconds(rung["lag"].as_i64()?),
                cursor: instant(&rung["cursor"])?,
            });
        }
        // If the server cannot filter by the end, the reader of ended runs does not read windows.
        if by_end {
            readers.push(Mark {
                lag: TimeDelta::zero(),
                cursor: instant(&live["tail"]["cursor"])?,
            });
        }
        Some(Self {
            by_end,
            afresh: live.get("look_back").is_some(),
            readers,
        })
    }
}

fn instant(json: &Json) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(json.as_str()?).ok()?;
    Some(at.to_utc())
}
