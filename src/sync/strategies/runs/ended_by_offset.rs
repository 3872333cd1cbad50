//! The reader of ended runs for servers that cannot filter by end time: lists them by offset, the latest end first.
//!
//! The listing is read down to the cursor. It has only runs with a start time, so a run that ended without starting is
//! found by the listing of runs without an end time.

use chrono::{DateTime, Utc};

use super::{
    context::RunsContext,
    reader::{Next, Reader},
    state::RunsState,
    timing::{ENDED_OVERLAP, RETRY_END_FILTER_AFTER},
    unreadable_range::ListingByOffset,
};
use crate::{
    sync::{
        NoProgress,
        keyset::TimeField,
        offset::{OffsetPager, by_time},
        strategies::{
            emission::Emission,
            request::{FetchedPage, Request},
            run_states::ended_after_a_start,
        },
        window_kind,
    },
    telemetry::WindowKind,
};

struct EndedByOffset {
    pager: OffsetPager,
    /// The time of the first response.
    began: Option<DateTime<Utc>>,
}

/// Plans the listing of the runs that ended since the cursor.
pub(super) fn plan(runs: &RunsContext) -> Option<Box<dyn Reader>> {
    runs.state.live.as_ref()?;
    // The listing begins with the latest runs, so it is not empty if some were read.
    let is_inhabited = !runs.state.sent.is_empty();
    Some(Box::new(EndedByOffset {
        pager: OffsetPager::inhabited(is_inhabited),
        began: None,
    }))
}

impl RunsState {
    /// Returns true if ended runs are listed by offset, because a filter by end time was rejected. A day later the
    /// filter is tried again.
    pub(super) fn lists_ended_by_offset(&self) -> bool {
        self.time_field == TimeField::ExpectedStartTime && self.refused.is_some()
    }
}

impl EndedByOffset {
    /// Moves the cursor to the time at which the listing began.
    fn finish(
        runs: &mut RunsContext,
        (cursor, began): (DateTime<Utc>, DateTime<Utc>),
        is_empty: bool,
    ) {
        let Some(live) = &mut runs.state.live else {
            return;
        };
        // The cursor stays if the page is empty: if that was wrong, nothing is lost.
        if !is_empty {
            live.ended.cursor = cursor.max(began);
        }
        runs.state.refused = match runs.state.refused {
            Some(refused) if refused == DateTime::UNIX_EPOCH => Some(began),
            // The next turn tries the filter again.
            Some(refused) if began - refused >= RETRY_END_FILTER_AFTER => None,
            refused => refused,
        };
    }
}

impl Reader for EndedByOffset {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let began = *self.began.get_or_insert(page.now);
        runs.begin_turn(began);
        let Some(cursor) = runs.state.live.as_ref().map(|live| live.ended.cursor) else {
            return Ok(Next::Finished);
        };
        let sorted: Vec<_> = page
            .list
            .iter()
            .map(|row| by_time(row.id(), runs.changes.value(row, TimeField::EndTime)))
            .collect();
        let pager = self.pager.around(&page.gaps);
        let place = pager.accept(&sorted, page.objects, page.limit)?;
        drop(sorted);
        if place.stepped_back {
            return Ok(Next::Same);
        }
        runs.note_offset_gaps(ListingByOffset::EndedRuns, &page, Some(cursor));
        let mut arrived = place.ended;
        let is_empty = page.objects == 0;
        let mut rows = Vec::new();
        for (at, row) in page.list.into_iter().enumerate() {
            let ended = runs.changes.value(&row, TimeField::EndTime);
            if ended.is_some_and(|ended| ended < cursor - ENDED_OVERLAP) {
                arrived = !place.incomplete;
                break;
            }
            if place.fresh.contains(&at) {
                rows.push(row);
            }
        }
        runs.offer_ended(rows, began, emission);
        if arrived {
            Self::finish(runs, (cursor, began), is_empty);
        }
        Ok(Next::unless(arrived))
    }

    fn request(&mut self, runs: &RunsContext, limit: u32) -> Option<Request> {
        let sort = TimeField::EndTime.sort();
        let page = (self.pager.offset(), limit);
        let request = runs.page_at(sort, page, ended_after_a_start());
        Some(runs.around_gaps(self.page_name(0).as_deref(), request))
    }

    fn page_name(&self, _: usize) -> Option<String> {
        Some("tail by offset".to_owned())
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::NEW_ROWS
    }
}
