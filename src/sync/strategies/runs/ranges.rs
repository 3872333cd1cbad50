//! The unread ranges of the backfills, and the tables that they are for.
//!
//! The state names every unread range, also those before the start date, which are not wanted at present. The start
//! date only decides which of them are read now. So the date may be moved earlier and later at any time, and no range
//! is forgotten or read twice.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    backfill_state::{BackfillProgress, BackfillState, UnreadRange},
    state::RunsState,
};
use crate::sync::keyset::latest_possible_time;

impl BackfillState {
    /// Returns true if the backfill is for some of the tables only. The others do not get the rows that it sends.
    pub(super) fn is_for_some(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Returns true if the backfill sends rows to the table `name`.
    pub(super) fn is_for(&self, name: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|it| it == name);
        if self.tables.is_empty() {
            !has(&self.except)
        } else {
            has(&self.tables)
        }
    }

    /// Returns the closed ranges that are left to read.
    pub(super) fn ranges(&self) -> Vec<UnreadRange> {
        let down_to = |before| UnreadRange {
            after: None,
            before,
            place: None,
        };
        match &self.progress {
            BackfillProgress::NotBegun => vec![down_to(latest_possible_time())],
            BackfillProgress::ReadDownTo(before) => vec![down_to(*before)],
            BackfillProgress::Ranges(ranges) => ranges.clone(),
            BackfillProgress::Counting => Vec::new(),
        }
    }

    /// Returns the lower bound of the earliest range; `None` if it has none, or no range is left.
    pub(super) fn lowest(&self) -> Option<DateTime<Utc>> {
        let ranges = self.ranges();
        ranges.iter().map(|range| range.after).min().flatten()
    }

    /// Stores the ranges that are left to read.
    pub(super) fn set_ranges(&mut self, ranges: Vec<UnreadRange>) {
        self.progress = match ranges.as_slice() {
            [] => BackfillProgress::Counting,
            [only] if only.after.is_none() && only.place.is_none() => {
                BackfillProgress::ReadDownTo(only.before)
            }
            _ => BackfillProgress::Ranges(ranges),
        };
    }

    /// Splits off the ranges before `start` into another backfill; returns `None` if there are none.
    pub(super) fn split_off(&mut self, start: DateTime<Utc>) -> Option<Self> {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for range in self.ranges() {
            if range.before >= start {
                above.push(UnreadRange {
                    after: range.after.max(Some(start)),
                    ..range
                });
            }
            if range.after.is_none_or(|after| after < start) {
                let last = start - TimeDelta::microseconds(1);
                below.push(UnreadRange {
                    before: range.before.min(last),
                    place: range.place.filter(|_| range.before <= last),
                    ..range
                });
            }
        }
        if below.is_empty() {
            return None;
        }
        self.set_ranges(above);
        let mut rest = Self {
            began: None,
            ..self.clone()
        };
        rest.set_ranges(below);
        Some(rest)
    }

    /// Returns the same backfill for one table alone, if it is for that table.
    fn for_table(self, name: &str) -> Option<Self> {
        let is_for = self.is_for(name);
        is_for.then(|| Self {
            tables: vec![name.to_owned()],
            except: Vec::new(),
            ..self
        })
    }

    fn is_same_work(&self, other: &Self) -> bool {
        let work = |it: &Self| (it.ranges(), it.began, it.since, it.again);
        work(self) == work(other)
    }

    /// Removes this table from the backfill. Returns false if no table is left.
    fn leave_out(&mut self, name: &str) -> bool {
        if !self.is_for(name) {
            return true;
        }
        if self.tables.is_empty() {
            self.except.push(name.to_owned());
            return true;
        }
        self.tables.retain(|table| table != name);
        !self.tables.is_empty()
    }
}

impl RunsState {
    /// Removes this table from the backfill under way and from the queued ones.
    pub(super) fn leave_out(&mut self, name: &str) {
        self.retain_backfills(|backfill| backfill.leave_out(name));
    }

    /// Drops backfills that are for none of these tables.
    pub(super) fn keep_backfills_for(&mut self, names: &[&str]) {
        self.retain_backfills(|backfill| names.iter().any(|name| backfill.is_for(name)));
    }

    fn retain_backfills(&mut self, mut keep: impl FnMut(&mut BackfillState) -> bool) {
        if self.backfill.as_mut().is_some_and(|it| !keep(it)) {
            self.backfill = None;
        }
        self.queue.retain_mut(keep);
    }

    /// Takes over the unread ranges of `other`, the state that the table `name` had for itself.
    pub(super) fn take_backfills(&mut self, name: &str, other: Self) {
        let theirs = other.backfill.into_iter().chain(other.queue);
        let mut theirs: Vec<BackfillState> = theirs.filter_map(|it| it.for_table(name)).collect();
        self.retain_backfills(|backfill| {
            let same = theirs.iter().position(|it| it.is_same_work(backfill));
            match same {
                Some(same) if backfill.is_for(name) => {
                    theirs.remove(same);
                    true
                }
                _ => backfill.leave_out(name),
            }
        });
        self.queue.extend(theirs);
    }

    /// Limits the reading to `start` and later. Earlier ranges are queued until the start date includes them.
    pub(super) fn read_from(&mut self, start: Option<DateTime<Utc>>) {
        if let (Some(start), Some(backfill)) = (start, &mut self.backfill) {
            let rest = backfill.split_off(start);
            self.queue.extend(rest);
        }
        self.begin_next(start);
        let is_before = |range: &UnreadRange| range.after.is_none() || range.after < start;
        let mut queue = self.queue.iter();
        let has_unread = queue.any(|backfill| backfill.ranges().iter().any(is_before));
        self.start = start.filter(|_| has_unread);
    }

    /// Begins the next queued backfill if none is under way. Returns true if one is under way then.
    pub(super) fn begin_next(&mut self, start: Option<DateTime<Utc>>) -> bool {
        if self.backfill.is_none() {
            let is_wanted = |range: &UnreadRange| start.is_none_or(|start| range.before >= start);
            let is_due = |backfill: &BackfillState| backfill.ranges().iter().any(is_wanted);
            if let Some(at) = self.queue.iter().position(is_due) {
                let mut next = self.queue.remove(at);
                let rest = start.and_then(|start| next.split_off(start));
                self.queue.extend(rest);
                self.backfill = Some(next);
            }
        }
        self.backfill.is_some()
    }
}
