//! The reader of ended runs: reads runs that ended since the last sync.
//!
//! ```text
//!         cursor - overlap  cursor                                    now
//!  --- read ----|--- again ---|--- always sent -------------------------|---> end_time
//! ```
//!
//! Runs in the overlap before the cursor are read again, and sent unless they are remembered. The cursor moves when the
//! window is read; until then the position in the window is a value.

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    phase::Phase,
    read_log::{ReadSpan, extend},
    reader::Runs,
    state::{LiveState, WindowProgress},
    task::Task,
    timing::{ENDED_OVERLAP, RETRY_END_FILTER_AFTER},
    unreadable_range::ByOffsetOf,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress,
        keyset::TimeField,
        offset::{OffsetPager, by_time},
        partitioned_scan::PartitionedScan,
        sent_fingerprints::CLOCK_SKEW_MARGIN,
        strategies::{emission::Emission, request::FetchedPage},
    },
};

impl Runs {
    /// Switches the readers to another time if the server rejected a filter by `end_time`. Returns false if something
    /// else was rejected.
    pub(super) fn without_end_filter(&mut self) -> bool {
        let uses_end = match &self.phase {
            Some(Phase::Ended { .. }) => true,
            Some(Phase::Recheck { scan, .. } | Phase::InitialRecheck { scan, .. }) => {
                scan.time_field() == Some(TimeField::EndTime)
            }
            _ => false,
        };
        if !uses_end {
            return false;
        }
        self.phase = None;
        self.tasks.begin_live_turn();
        // Before the first response no time is known; the reader of ended runs sets it later.
        self.state.refused = Some(self.now.unwrap_or(DateTime::UNIX_EPOCH));
        // Another release may support ranges of the expected start, and lack those of the end time.
        self.state.without_ranges = false;
        let was = std::mem::replace(&mut self.state.time_field, TimeField::ExpectedStartTime);
        if let Some(live) = &mut self.state.live {
            live.ended.reading = None;
            for recheck in &mut live.rechecks {
                recheck.reading = None;
            }
            if was == TimeField::EndTime && !live.is_new() {
                live.restart_rechecks(live.reached(), self.settings.look_back);
            }
        }
        true
    }

    pub(super) fn plan_ended(&mut self) -> Option<Phase> {
        self.turn = None;
        let live = self.state.live.as_ref()?;
        if self.state.time_field == TimeField::ExpectedStartTime && self.state.refused.is_some() {
            return Some(Phase::EndedByOffset {
                // The listing begins with the latest runs, so it is not empty if some were read.
                pager: OffsetPager::inhabited(!self.state.sent.is_empty()),
                began: None,
            });
        }
        let reading = live.ended.reading;
        let lo = live.ended.cursor - ENDED_OVERLAP;
        let before = reading.map(|reading| reading.before);
        let place = reading.and_then(|reading| reading.place);
        Some(Phase::Ended {
            scan: self.window(
                TimeField::EndTime,
                (Some(lo), before),
                place,
                Filter::default(),
            ),
            reading,
            is_resumed: reading.is_some(),
        })
    }

    pub(super) fn accept_ended(
        &mut self,
        (mut scan, ticket): (PartitionedScan, usize),
        (reading, is_resumed): (Option<WindowProgress>, bool),
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let now = page.now;
        if self.state.time_field == TimeField::ExpectedStartTime {
            // The server can filter by end time now.
            self.state.time_field = TimeField::EndTime;
            self.state.refused = None;
            self.state.without_ranges = false;
            if let Some(live) = &mut self.state.live {
                live.restart_rechecks(now, self.settings.look_back);
            }
        }
        // The window ends at the time at which its reading began, whatever the end times of its runs.
        let mut reading = reading.unwrap_or_else(|| WindowProgress::new(now, now));
        self.begin_turn(now);
        let is_empty = page.objects == 0 && reading.before == reading.began;
        let rows = self.accept_by_value(&mut scan, ticket, page)?;
        self.offer_ended(rows, reading.began, emission);
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        if scan.is_done() && is_empty {
            // The cursor stays: if the empty page was wrong, nothing is lost.
            live.ended.reading = None;
        } else if scan.is_done() {
            live.ended.reading = None;
            live.ended.cursor = live.ended.cursor.max(reading.upper);
            extend(
                &mut live.ended.read_log,
                ReadSpan {
                    upper: reading.upper,
                    read_at: reading.began,
                },
            );
            if is_resumed || reading.began + CLOCK_SKEW_MARGIN < now {
                // An earlier sync began the window, or it took long: runs that ended since then must still be read. If
                // nothing else changed since, `now` does not show it.
                self.tasks.begin_live_turn();
            }
        } else {
            reading.pass(&scan);
            live.ended.reading = Some(reading);
            self.phase = Some(Phase::Ended {
                scan,
                reading: Some(reading),
                is_resumed,
            });
        }
        Ok(())
    }

    /// Offers rows of the window. Those before the cursor were read before, and the read log has only that reading.
    fn offer_ended(&mut self, rows: Vec<Row>, began: DateTime<Utc>, emission: &mut Emission) {
        let cursor = self.state.live.as_ref().map(|live| live.ended.cursor);
        let since = self.state.live.as_ref().map(LiveState::never_started_since);
        let rule = |row: &Row, changes: &ChangeFilter| {
            let ended = changes.value(row, TimeField::EndTime);
            if let (None, Some(since)) = (ended, since) {
                SendIf::ChangedSince(since)
            } else if ended <= cursor {
                SendIf::AlwaysAndRemember
            } else {
                SendIf::Always
            }
        };
        self.offer_all(rows, began, rule, emission);
    }

    pub(super) fn accept_ended_by_offset(
        &mut self,
        mut pager: OffsetPager,
        began: Option<DateTime<Utc>>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let began = began.unwrap_or(page.now);
        self.begin_turn(began);
        let Some(cursor) = self.state.live.as_ref().map(|live| live.ended.cursor) else {
            return Ok(());
        };
        let sorted: Vec<_> = page
            .list
            .iter()
            .map(|row| by_time(row.id(), self.changes.value(row, TimeField::EndTime)))
            .collect();
        let place = pager
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        if !place.stepped_back {
            self.note_offset_gaps(ByOffsetOf::EndedRuns, &page, Some(cursor));
        }
        let mut arrived = place.ended;
        let is_empty = page.objects == 0;
        let mut rows = Vec::new();
        if !place.stepped_back {
            for (at, row) in page.list.into_iter().enumerate() {
                let ended = self.changes.value(&row, TimeField::EndTime);
                if ended.is_some_and(|ended| ended < cursor - ENDED_OVERLAP) {
                    arrived = !place.incomplete;
                    break;
                }
                if place.fresh.contains(&at) {
                    rows.push(row);
                }
            }
        }
        self.offer_ended(rows, began, emission);
        if !arrived {
            self.phase = Some(Phase::EndedByOffset {
                pager,
                began: Some(began),
            });
        } else if let Some(live) = &mut self.state.live {
            // The cursor stays if the page is empty: if that was wrong, nothing is lost.
            if !is_empty {
                live.ended.cursor = cursor.max(began);
            }
            self.state.refused = match self.state.refused {
                Some(refused) if refused == DateTime::UNIX_EPOCH => Some(began),
                // The next turn tries the filter again.
                Some(refused) if began - refused >= RETRY_END_FILTER_AFTER => None,
                refused => refused,
            };
        }
        Ok(())
    }

    /// Switches to listing everything if the server rejected the filter for null end times. Returns false if something
    /// else was rejected.
    pub(super) fn without_null_filter(&mut self, detail: &str) -> bool {
        let is_refused = matches!(
            self.phase,
            Some(Phase::WithoutEndTime { is_first: true, .. })
        );
        if !is_refused || !detail.contains("end_time") {
            return false;
        }
        self.refuses_null_ends = true;
        self.phase = None;
        self.tasks.plan_again(Task::WithoutEndTime);
        true
    }
}
