//! The end of a backfill: finds runs without an expected start, which no range matches.
//!
//! The server counts all runs and those with an expected start. If there are more of the former, the others are read by
//! offset. No supported release of Prefect creates such runs, but imported ones exist.

use super::{
    change_filter::{ChangeFilter, SendIf},
    context::RunsContext,
    reader::{Next, Reader, UsedFilter},
};
use crate::{
    prefect::{CountRequest, Filter, TimeRange},
    rows::Row,
    sync::{
        NoProgress,
        keyset::{TimeField, latest_possible_time},
        offset::{OffsetPager, by_id},
        strategies::{
            emission::Emission,
            listing::collection,
            request::{FetchedPage, Request},
        },
        window_kind,
    },
    telemetry::WindowKind,
};

/// Three counts: of all runs, of those with an expected start, and of all runs again. (One may be created or deleted in
/// the meantime.)
#[derive(Default)]
pub(super) struct CountCheck {
    counts: Vec<u64>,
}

impl Reader for CountCheck {
    fn accept(
        &mut self,
        _: &mut RunsContext,
        _: usize,
        _: FetchedPage,
        _: &mut Emission,
    ) -> Result<Next, NoProgress> {
        Ok(Next::Finished)
    }

    fn counted(&mut self, runs: &mut RunsContext, count: Option<u64>) -> Next {
        self.counts.extend(count);
        match (count, self.counts.as_slice()) {
            // The server has no counts; no run without an expected start was ever seen.
            (None, _) => {}
            (_, [all, with_start, again]) if all.min(again) > with_start => {
                return Next::Reader(Box::new(WithoutExpectedStart::default()));
            }
            (_, [_, _, _]) => {}
            _ => return Next::Same,
        }
        runs.end_backfill();
        Next::Finished
    }

    fn request(&mut self, runs: &RunsContext, _: u32) -> Option<Request> {
        let mut filter = Filter::default();
        if self.counts.len() == 1 {
            filter.expected_start_time = TimeRange {
                after: None,
                before: Some(latest_possible_time()),
            };
        }
        Some(Request::Count(CountRequest {
            collection: collection(runs.table),
            filter,
            scope: runs.settings.scope.clone(),
        }))
    }

    fn filter(&mut self) -> Option<UsedFilter> {
        (self.counts.len() == 1).then_some(UsedFilter::Range(TimeField::ExpectedStartTime))
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::BACKFILL
    }
}

/// The reader of runs without an expected start: lists all runs by offset.
#[derive(Default)]
struct WithoutExpectedStart {
    pager: OffsetPager,
}

impl Reader for WithoutExpectedStart {
    fn accept(
        &mut self,
        runs: &mut RunsContext,
        _: usize,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<Next, NoProgress> {
        let backfill = runs.state.backfill.as_ref();
        let began = backfill.and_then(|backfill| backfill.began);
        let began = began.unwrap_or(page.now);
        let ids: Vec<_> = page.list.iter().map(|row| by_id(row.id())).collect();
        let pager = self.pager.around(&page.gaps);
        let place = pager.accept(&ids, page.objects, page.limit)?;
        drop(ids);
        let has_start = |row: &Row| {
            let start = runs.changes.value(row, TimeField::ExpectedStartTime);
            start.is_some()
        };
        let rows = page.list.into_iter().enumerate();
        let rows = rows.filter(|(at, row)| place.fresh.contains(at) && !has_start(row));
        let rows: Vec<Row> = rows.map(|(_, row)| row).collect();
        if let Some(backfill) = runs.state.backfill.take() {
            let rule = |_: &Row, _: &ChangeFilter| SendIf::Always;
            runs.send_to_backfill_targets(rows, &backfill, (began, rule), emission);
            runs.state.backfill = Some(backfill);
        }
        if place.ended {
            runs.end_backfill();
        }
        Ok(Next::unless(place.ended))
    }

    fn request(&mut self, runs: &RunsContext, limit: u32) -> Option<Request> {
        let page = (self.pager.offset(), limit);
        Some(Request::List(runs.page_at(
            "ID_DESC",
            page,
            Filter::default(),
        )))
    }

    fn window_kind(&self) -> WindowKind {
        window_kind::BACKFILL
    }
}
