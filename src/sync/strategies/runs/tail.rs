//! The reader of ended runs: reads runs that ended since the last sync.
//!
//! ```text
//!         cursor - overlap  cursor                                    now
//!  --- read ----|--- again ---|--- always sent -------------------------|---> end_time
//! ```
//!
//! Runs in the overlap before the cursor are read again, and sent unless they are remembered. The cursor moves when the
//! window is read; until then the position in the window is a value.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    OffsetWalk, Phase, Rows, Runs, Stage, Step,
    desk::{Desk, PART_OF_THE_END, Rule, TERMINAL, in_states},
    state::{LONG_OPEN_EVERY, Live, Reading},
    trail::{Entry, extend},
    unreadable::ByOffsetOf,
};
use crate::{
    prefect::{Filter, IsNull},
    rows::Row,
    sync::{NoProgress, lanes::Lanes, paging::by_time, recent::MARGIN, value_walk::Tau},
};

/// The interval after which a rejected filter by end time is tried again.
const TRY_AGAIN: TimeDelta = LONG_OPEN_EVERY;

/// The range before the cursor that is read again. An edit right after the end that becomes visible late is found only
/// here, because the rechecks cannot distinguish it from the end.
pub(super) const OVERLAP: TimeDelta =
    TimeDelta::seconds(MARGIN.num_seconds() + PART_OF_THE_END.num_seconds());

/// Returns the filter for runs that ended after a start. Most runs without an end time have no start, and PostgreSQL
/// would sort those first.
pub(super) fn ended_after_a_start() -> Filter {
    Filter {
        start_time: Some(IsNull { is_null: false }),
        ..in_states(TERMINAL)
    }
}

impl Runs {
    /// Switches the readers to another time if the server rejected a filter by `end_time`. Returns false if something
    /// else was rejected.
    pub(super) fn without_end_filter(&mut self) -> bool {
        let uses_end = match &self.phase {
            Some(Phase::Tail { .. }) => true,
            Some(Phase::Rung { lanes, .. } | Phase::LookBack { lanes, .. }) => {
                lanes.tau() == Some(Tau::EndTime)
            }
            _ => false,
        };
        if !uses_end {
            return false;
        }
        self.phase = None;
        self.stage = Stage::Tail;
        // Before the first response no time is known; the reader of ended runs sets it later.
        self.state.refused = Some(self.now.unwrap_or(DateTime::UNIX_EPOCH));
        // Another release may support ranges of the expected start, and lack those of the end time.
        self.state.without_ranges = false;
        let was = std::mem::replace(&mut self.state.tau, Tau::ExpectedStartTime);
        if let Some(live) = &mut self.state.live {
            live.tail.reading = None;
            for rung in &mut live.rungs {
                rung.reading = None;
            }
            if was == Tau::EndTime && !live.is_new() {
                live.restart_rungs(live.reached(), self.choices.look_back);
            }
        }
        true
    }

    pub(super) fn plan_tail(&mut self) -> Option<Phase> {
        self.cycle = None;
        let live = self.state.live.as_ref()?;
        if self.state.tau == Tau::ExpectedStartTime && self.state.refused.is_some() {
            return Some(Phase::TailByOffset {
                // The listing begins with the latest runs, so it is not empty if some were read.
                walk: OffsetWalk::inhabited(!self.state.recent.is_empty()),
                began: None,
            });
        }
        let reading = live.tail.reading;
        let lo = live.tail.cursor - OVERLAP;
        let before = reading.map(|reading| reading.before);
        let place = reading.and_then(|reading| reading.place);
        Some(Phase::Tail {
            lanes: self.window(Tau::EndTime, (Some(lo), before), place, Filter::default()),
            reading,
            is_resumed: reading.is_some(),
        })
    }

    pub(super) fn tail(
        &mut self,
        (mut lanes, ticket): (Lanes, usize),
        (reading, is_resumed): (Option<Reading>, bool),
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let now = page.now;
        if self.state.tau == Tau::ExpectedStartTime {
            // The server can filter by end time now.
            self.state.tau = Tau::EndTime;
            self.state.refused = None;
            self.state.without_ranges = false;
            if let Some(live) = &mut self.state.live {
                live.restart_rungs(now, self.choices.look_back);
            }
        }
        // The window ends at the time at which its reading began, whatever the end times of its runs.
        let mut reading = reading.unwrap_or_else(|| Reading::new(now, now));
        self.begin_cycle(now);
        let is_empty = page.objects == 0 && reading.before == reading.began;
        let rows = self.accept_by_value(&mut lanes, ticket, page)?;
        self.offer_tail(rows, reading.began, step);
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        if lanes.is_done() && is_empty {
            // The cursor stays: if the empty page was wrong, nothing is lost.
            live.tail.reading = None;
        } else if lanes.is_done() {
            live.tail.reading = None;
            live.tail.cursor = live.tail.cursor.max(reading.hi);
            extend(
                &mut live.tail.trail,
                Entry {
                    hi: reading.hi,
                    read_at: reading.began,
                },
            );
            if is_resumed || reading.began + MARGIN < now {
                // An earlier sync began the window, or it took long: runs that ended since then must still be read. If
                // nothing else changed since, `now` does not show it.
                self.stage = Stage::Tail;
            }
        } else {
            reading.pass(&lanes);
            live.tail.reading = Some(reading);
            self.phase = Some(Phase::Tail {
                lanes,
                reading: Some(reading),
                is_resumed,
            });
        }
        Ok(())
    }

    /// Offers rows of the window. Those before the cursor were read before, and the read log has only that reading.
    fn offer_tail(&mut self, rows: Vec<Row>, began: DateTime<Utc>, step: &mut Step) {
        let cursor = self.state.live.as_ref().map(|live| live.tail.cursor);
        let since = self.state.live.as_ref().map(Live::never_started_since);
        let rule = |row: &Row, desk: &Desk| {
            let ended = desk.value(row, Tau::EndTime);
            if let (None, Some(since)) = (ended, since) {
                Rule::Since(since)
            } else if ended <= cursor {
                Rule::Again
            } else {
                Rule::Always
            }
        };
        self.offer_all(rows, began, rule, step);
    }

    pub(super) fn tail_by_offset(
        &mut self,
        mut walk: OffsetWalk,
        began: Option<DateTime<Utc>>,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let began = began.unwrap_or(page.now);
        self.begin_cycle(began);
        let Some(cursor) = self.state.live.as_ref().map(|live| live.tail.cursor) else {
            return Ok(());
        };
        let sorted: Vec<_> = page
            .list
            .iter()
            .map(|row| by_time(row.id(), self.desk.value(row, Tau::EndTime)))
            .collect();
        let place = walk
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        if !place.stepped_back {
            self.note_offset_gaps(ByOffsetOf::Tail, &page, Some(cursor));
        }
        let mut arrived = place.ended;
        let is_empty = page.objects == 0;
        let mut rows = Vec::new();
        if !place.stepped_back {
            for (at, row) in page.list.into_iter().enumerate() {
                let ended = self.desk.value(&row, Tau::EndTime);
                if ended.is_some_and(|ended| ended < cursor - OVERLAP) {
                    arrived = !place.incomplete;
                    break;
                }
                if place.fresh.contains(&at) {
                    rows.push(row);
                }
            }
        }
        self.offer_tail(rows, began, step);
        if !arrived {
            self.phase = Some(Phase::TailByOffset {
                walk,
                began: Some(began),
            });
        } else if let Some(live) = &mut self.state.live {
            // The cursor stays if the page is empty: if that was wrong, nothing is lost.
            if !is_empty {
                live.tail.cursor = cursor.max(began);
            }
            self.state.refused = match self.state.refused {
                Some(refused) if refused == DateTime::UNIX_EPOCH => Some(began),
                // The next turn tries the filter again.
                Some(refused) if began - refused >= TRY_AGAIN => None,
                refused => refused,
            };
        }
        Ok(())
    }

    /// Switches to listing everything if the server rejected the filter for null end times. Returns false if something
    /// else was rejected.
    pub(super) fn without_null_filter(&mut self, detail: &str) -> bool {
        let is_refused = matches!(self.phase, Some(Phase::WithoutEnd { is_first: true, .. }));
        if !is_refused || !detail.contains("end_time") {
            return false;
        }
        self.refuses_null_ends = true;
        self.phase = None;
        self.stage = Stage::WithoutEnd;
        true
    }
}
