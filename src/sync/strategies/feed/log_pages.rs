//! Listings of log lines, and of the gaps in them that are read again.

use chrono::{DateTime, Utc};

use super::{
    Feed, MOST_UNREADABLE,
    phase::{GapRetry, Phase},
};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::{
        NoProgress,
        keyset::{KeysetPager, TimeField, latest_possible_time},
        sent_fingerprints::CLOCK_SKEW_MARGIN,
        strategies::{
            emission::{Change, Emission},
            gaps::{self, Between, Side},
            listing::collection,
            request::FetchedPage,
        },
    },
};

impl Feed {
    pub(super) fn logs(
        &mut self,
        mut pager: Box<KeysetPager>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let is_end = page.objects < page.limit as usize;
        if self.is_doubtful(&page, is_end) {
            self.phase = Phase::Logs(pager);
            return Ok(());
        }
        self.note_gaps(&page, pager.before());
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = pager.accept(&values, page.objects, page.limit)?;
        drop(values);
        self.send_new_rows(page, &fresh, emission);
        if pager.is_done() {
            self.phase = self.finish(emission);
        } else {
            self.pass(pager.before(), emission);
            self.phase = Phase::Logs(pager);
        }
        Ok(())
    }

    /// Remembers the gaps of a page of log lines.
    pub(super) fn note_gaps(&mut self, page: &FetchedPage, before: Option<DateTime<Utc>>) {
        let time = |row: &Row| row.instant(self.time);
        // Later lines are read by later windows.
        let latest = page.now + CLOCK_SKEW_MARGIN;
        let reached = before.map_or(latest, |before| before.min(latest));
        let found = gaps::of_page_by_time(page, time, reached);
        let lo = self.lo();
        for gap in found {
            let count = gap.count;
            let Some(between) = gap.between else { continue };
            let between = Between {
                oldest: between.oldest.or(lo),
                count,
                ..between
            };
            let list = &mut self.state.unreadable;
            if !list.contains(&between) && list.len() < MOST_UNREADABLE {
                list.push(between);
            }
        }
    }

    /// Begins to read the lines of a gap again.
    pub(super) fn retry(&self, between: Between) -> Box<GapRetry> {
        let pager = KeysetPager::new(
            collection(self.table),
            TimeField::Timestamp,
            between.oldest,
            Some(between.newest.unwrap_or_else(latest_possible_time)),
            Filter::default(),
        );
        Box::new(GapRetry {
            between,
            pager: pager.not_empty(true),
            found: Vec::new(),
        })
    }

    /// Takes a page of the lines of a gap. When the last one is read, the lines are sent and the gap is forgotten.
    pub(super) fn tried(
        &mut self,
        mut retry: Box<GapRetry>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let values = page.list.iter();
        let values: Vec<_> = values
            .map(|row| (row.id(), row.instant(self.time)))
            .collect();
        let fresh = retry.pager.accept(&values, page.objects, page.limit)?;
        drop(values);
        for (row, is_fresh) in page.list.into_iter().zip(fresh) {
            let side = retry.between.side(row.id(), row.instant(self.time));
            if is_fresh && side == Side::Inside {
                retry.found.push(row);
            }
        }
        if retry.pager.is_done() {
            let between = &retry.between;
            self.state.unreadable.retain(|other| other != between);
            emission
                .changes
                .extend(retry.found.into_iter().map(Change::Upsert));
        } else {
            self.phase = Phase::Unreadable(retry);
        }
        Ok(())
    }
}
