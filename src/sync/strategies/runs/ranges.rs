//! Which ranges of the backfills are unread, and for which tables.
//!
//! The state names every range that is not read, also those that nobody wants at present because they lie before the
//! start date. The start date only decides which of them are read now. So it may be moved earlier and later at any
//! time, and no range is forgotten or read twice.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    backfill::ALL_READ,
    state::{Backfill, Lane, RunsState},
};
use crate::sync::value_walk::latest;

impl Backfill {
    /// Says whether it is for some of the tables only: what they are sent says nothing of the others.
    pub(super) fn is_for_some(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Says whether it sends rows to the table `name`.
    pub(super) fn is_for(&self, name: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|it| it == name);
        if self.tables.is_empty() {
            !has(&self.except)
        } else {
            has(&self.tables)
        }
    }

    /// The closed ranges that are left to read.
    pub(super) fn ranges(&self) -> Vec<Lane> {
        match self.before {
            Some(before) if before == ALL_READ => Vec::new(),
            _ if !self.lanes.is_empty() => self.lanes.clone(),
            before => vec![Lane {
                after: None,
                before: before.unwrap_or_else(latest),
                place: None,
            }],
        }
    }

    /// The beginning of the earliest of them; `None`: that of time, or there is none.
    pub(super) fn lowest(&self) -> Option<DateTime<Utc>> {
        let ranges = self.ranges();
        ranges.iter().map(|range| range.after).min().flatten()
    }

    /// Remembers what is left.
    pub(super) fn set_ranges(&mut self, ranges: Vec<Lane>) {
        self.before = None;
        self.lanes = Vec::new();
        match ranges.as_slice() {
            [] => self.before = Some(ALL_READ),
            [only] if only.after.is_none() && only.place.is_none() => {
                self.before = Some(only.before);
            }
            _ => self.lanes = ranges,
        }
    }

    /// Gives away what lies before `start`, if anything does.
    pub(super) fn split_off(&mut self, start: DateTime<Utc>) -> Option<Self> {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for range in self.ranges() {
            if range.before >= start {
                above.push(Lane {
                    after: range.after.max(Some(start)),
                    ..range
                });
            }
            if range.after.is_none_or(|after| after < start) {
                let last = start - TimeDelta::microseconds(1);
                below.push(Lane {
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

    /// The same work for one table alone, if it is for that table.
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

    /// Is not for this table any more; false when it is for none then.
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
    /// The backfill under way is not for this table any more, nor is one that comes later.
    pub(super) fn leave_out(&mut self, name: &str) {
        self.retain_backfills(|backfill| backfill.leave_out(name));
    }

    /// Forgets backfills that are for none of these tables.
    pub(super) fn keep_backfills_for(&mut self, names: &[&str]) {
        self.retain_backfills(|backfill| names.iter().any(|name| backfill.is_for(name)));
    }

    fn retain_backfills(&mut self, mut keep: impl FnMut(&mut Backfill) -> bool) {
        if self.backfill.as_mut().is_some_and(|it| !keep(it)) {
            self.backfill = None;
        }
        self.queue.retain_mut(keep);
    }

    /// Takes over what `other`, the state that the table `name` had for itself, has not read.
    pub(super) fn take_backfills(&mut self, name: &str, other: Self) {
        let theirs = other.backfill.into_iter().chain(other.queue);
        let mut theirs: Vec<Backfill> = theirs.filter_map(|it| it.for_table(name)).collect();
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

    /// Reads from `start` on: what lies before waits until it is wanted.
    pub(super) fn read_from(&mut self, start: Option<DateTime<Utc>>) {
        if let (Some(start), Some(backfill)) = (start, &mut self.backfill) {
            let rest = backfill.split_off(start);
            self.queue.extend(rest);
        }
        self.begin_next(start);
        let is_before = |range: &Lane| range.after.is_none() || range.after < start;
        let mut queue = self.queue.iter();
        let has_unread = queue.any(|backfill| backfill.ranges().iter().any(is_before));
        self.start = start.filter(|_| has_unread);
    }

    /// Begins the next backfill, if none is under way; whether one is then.
    pub(super) fn begin_next(&mut self, start: Option<DateTime<Utc>>) -> bool {
        if self.backfill.is_none() {
            let is_wanted = |range: &Lane| start.is_none_or(|start| range.before >= start);
            let is_due = |backfill: &Backfill| backfill.ranges().iter().any(is_wanted);
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
