//! The backfill: everything, newest to oldest by `expected_start_time`, once.
//!
//! The place is a value, so a crash or a run created or deleted meanwhile costs nothing. Live reading
//! takes over from the moment at which the backfill began, and a long one is interrupted for it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{OffsetWalk, Phase, Rows, Runs, Stage, Step, desk::Rule, state::Live};
use crate::{
    prefect::Filter,
    rows::Row,
    sync::paging::by_id,
    sync::value_walk::{Tau, ValueWalk, latest},
};

/// How long a backfill may keep the live readers waiting.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

impl Runs {
    pub(super) fn plan_backfill(&self) -> Option<Phase> {
        let backfill = self.state.backfill.as_ref()?;
        let before = backfill.before.unwrap_or_else(latest);
        Some(Phase::Backfill {
            walk: self.walk(
                Tau::ExpectedStartTime,
                None,
                Some(before),
                Filter::default(),
            ),
        })
    }

    pub(super) fn backfilled(&mut self, mut walk: ValueWalk, page: Rows, step: &mut Step) {
        let mut backfill = self.state.backfill.take().unwrap_or_default();
        let began = *backfill.began.get_or_insert(page.now);
        self.state.live.get_or_insert_with(|| Live::from(began));
        let rows = self.accept_by_value(&mut walk, page);
        let rule = match backfill.since {
            Some(since) => Rule::Since(since),
            None => Rule::First {
                began,
                again: backfill.again,
            },
        };
        self.offer_all(rows, began, |_, _| rule, step);
        backfill.before = walk.before();
        self.state.backfill = Some(backfill);
        if walk.is_done() {
            self.phase = Some(Phase::Counts { told: Vec::new() });
            return;
        }
        self.phase = Some(Phase::Backfill { walk });
        // The newest data does not wait for the oldest.
        let last = self.cycle.unwrap_or(began);
        if self.now.is_some_and(|now| now - last >= PATIENCE) {
            self.phase = None;
            self.stage = Stage::Tail;
        }
    }

    /// After the backfill: whether there are runs that no range matches.
    pub(super) fn counted(&mut self, mut told: Vec<u64>, count: Option<u64>) {
        told.extend(count);
        self.phase = match (count, told.as_slice()) {
            // The server has no counts; no run without an expected start was ever seen.
            (None, _) => None,
            (_, [all, with_start, again]) if all.min(again) > with_start => {
                Some(Phase::WithoutStart {
                    walk: OffsetWalk::default(),
                })
            }
            (_, [_, _, _]) => None,
            _ => Some(Phase::Counts { told }),
        };
        if self.phase.is_none() {
            self.state.backfill = None;
        }
    }

    pub(super) fn without_start(&mut self, mut walk: OffsetWalk, page: Rows, step: &mut Step) {
        let began = self.began_backfill(page.now);
        let ids: Vec<_> = page.list.iter().map(|row| by_id(row.id())).collect();
        let place = walk.accept(&ids, page.objects, page.limit);
        let rows: Vec<Row> = page
            .list
            .into_iter()
            .enumerate()
            .filter(|(at, _)| place.fresh.contains(at))
            .map(|(_, row)| row)
            .filter(|row| self.desk.value(row, Tau::ExpectedStartTime).is_none())
            .collect();
        self.offer_all(rows, began, |_, _| Rule::Always, step);
        if place.ended {
            self.state.backfill = None;
        } else {
            self.phase = Some(Phase::WithoutStart { walk });
        }
    }

    pub(super) fn began_backfill(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.state
            .backfill
            .as_ref()
            .and_then(|backfill| backfill.began)
            .unwrap_or(now)
    }
}
