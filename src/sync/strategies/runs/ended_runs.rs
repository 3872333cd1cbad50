//! The reader of ended runs: reads runs that ended since the last sync.
//!
//! ```text
//!         cursor - overlap  cursor                                    now
//!  --- read ----|--- again ---|--- always sent -------------------------|---> end_time
//! ```
//!
//! Runs in the overlap before the cursor are read again, and sent unless they are remembered. The cursor moves when the
//! window is read; until then the position in the window is a value. The reader's state is
//! [`EndedRunsState`](super::live_state::EndedRunsState).

use chrono::{DateTime, Utc};

use super::{
    change_filter::{ChangeFilter, SendIf},
    context::RunsContext,
    read_log::{ReadSpan, extend},
    reader::{Next, Reader, UsedFilter},
    timing::ENDED_OVERLAP,
    window_progress::WindowProgress,
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress,
        keyset::TimeField,
        partitioned_scan::PartitionedScan,
        sent_fingerprints::CLOCK_SKEW_MARGIN,
        strategies::{emission::Emission, request::FetchedPage},
        window_kind,
    },
    telemetry::WindowKind,
};

/// The reader of ended runs, by end time.
struct EndedRuns {
    scan: PartitionedScan,
    /// The window that the state keeps; without one the first response sets its upper bound.
    reading: Option<WindowProgress>,
    /// Set if an earlier sync began the window.
    is_resumed: bool,
}

/// Plans the reading of the runs that ended since the cursor.
pub(super) fn plan(runs: &mut RunsContext) -> Option<Box<dyn Reader>> {
    let live = runs.state.live.as_ref()?;
    let reading = live.ended.reading;
    let lo = live.ended.cursor - ENDED_OVERLAP;
    let (before, place) = WindowProgress::resumed(reading);
    let range = (Some(lo), before);
    let position = (place, reading.is_some());
    Some(Box::new(EndedRuns {
        scan: runs.window(TimeField::EndTime, range, position, Filter::default()),
        reading,
        is_resumed: reading.is_some(),
    }))
}

impl Reader for EndedRuns {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        ticket: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let now = page.now;
        runs.read_with_end_times(now);
        // The window ends at the time at which its reading began, whatever the end times of its runs.
        let reading = self
            .reading
            .get_or_insert_with(|| WindowProgress::new(now, now));
        runs.begin_turn(now);
        let is_empty = page.objects == 0 && reading.before == reading.began;
        let rows = runs.accept_by_value(&mut self.scan, ticket, page)?;
        runs.offer_ended(rows, reading.began, emission);
        let Some(live) = &mut runs.state.live else {
            return Ok(Next::Finished);
        };
        if !self.scan.is_done() {
            reading.pass(&self.scan);
            live.ended.reading = Some(*reading);
            return Ok(Next::Same);
        }
        live.ended.reading = None;
        // After an empty page the cursor stays: if the page was wrong, nothing is lost.
        if !is_empty {
            live.ended.cursor = live.ended.cursor.max(reading.upper);
            let span = ReadSpan {
                upper: reading.upper,
                read_at: reading.began,
            };
            extend(&mut live.ended.read_log, span);
            if self.is_resumed || reading.began + CLOCK_SKEW_MARGIN < now {
                // An earlier sync began the window, or it took long: runs that ended since then must still be read. If
                // nothing else changed since, `now` does not show it.
                runs.tasks.begin_live_turn();
            }
        }
        Ok(Next::Finished)
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::NEW_ROWS
    }

    fn scan_mut(&mut self) -> Option<&mut PartitionedScan> {
        Some(&mut self.scan)
    }

    fn filter(&mut self) -> Option<UsedFilter> {
        Some(UsedFilter::Range(TimeField::EndTime))
    }

    fn page_name(&self, number: usize) -> Option<String> {
        Some(format!("tail {number}"))
    }
}

impl RunsContext {
    /// Switches all readers to end times if they did not use them: the server can filter by end time now.
    fn read_with_end_times(&mut self, now: DateTime<Utc>) {
        if self.state.time_field != TimeField::ExpectedStartTime {
            return;
        }
        self.state.time_field = TimeField::EndTime;
        self.state.refused = None;
        self.state.without_ranges = false;
        if let Some(live) = &mut self.state.live {
            live.restart_rechecks(now, self.settings.look_back);
        }
    }

    /// Switches all readers to expected starts: the server rejected a filter by `end_time`.
    pub(super) fn read_without_end_times(&mut self) {
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
    }

    /// Offers rows of a window of ended runs. Those before the cursor were read before, and the read log has only that
    /// reading.
    pub(super) fn offer_ended(
        &mut self,
        rows: Vec<Row>,
        began: DateTime<Utc>,
        emission: &mut Emission,
    ) {
        let live = self.state.live.as_ref();
        let cursor = live.map(|live| live.ended.cursor);
        let since = live.map(|live| live.without_end.since());
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
}
