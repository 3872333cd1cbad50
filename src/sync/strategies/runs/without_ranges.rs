//! The readers for servers that cannot filter runs by any time (task runs on Prefect 2).
//!
//! Everything is read by offset, from the latest expected start to the earliest. Ended runs are found by their reader
//! as on other servers. Edits of ended runs are not looked for, because no window of time can be requested.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    LookUp, OffsetWalk, Phase, Rows, Runs, Stage, Step,
    desk::{Desk, Rule},
    state::{Lane, Live},
    unreadable::ByOffsetOf,
    without_end::Listed,
};
use crate::{
    rows::Row,
    sync::{NoProgress, pack, paging::by_time, value_walk::Tau},
};

/// A listing by expected start, latest first.
#[derive(Debug)]
pub(super) struct ByOffset {
    pub(super) walk: OffsetWalk,
    pub(super) what: What,
    began: Option<DateTime<Utc>>,
    /// The packed ids of the open runs that were listed.
    met: BTreeSet<String>,
}

/// The runs that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Everything,
    Open,
    /// Runs of which some may have no end time.
    WithoutEnd,
}

impl ByOffset {
    fn new(what: What, is_inhabited: bool) -> Self {
        Self {
            walk: match what {
                What::Open => OffsetWalk::of_states(is_inhabited),
                What::Everything | What::WithoutEnd => OffsetWalk::inhabited(is_inhabited),
            },
            what,
            began: None,
            met: BTreeSet::new(),
        }
    }
}

impl Runs {
    /// Switches to offset pagination if the server rejected a range of expected starts. Returns false if something else
    /// was rejected.
    pub(super) fn without_ranges(&mut self) -> bool {
        let uses_ranges = match &self.phase {
            Some(Phase::Counts { told }) => told.len() == 1,
            Some(phase) => {
                phase.lanes().and_then(super::Lanes::tau) == Some(Tau::ExpectedStartTime)
            }
            None => false,
        };
        if !uses_ranges || self.state.without_ranges {
            return false;
        }
        self.state.without_ranges = true;
        self.state.tau = Tau::ExpectedStartTime;
        self.state.refused = Some(self.now.unwrap_or(DateTime::UNIX_EPOCH));
        self.phase = None;
        self.parked = None;
        self.is_draining = false;
        self.stage = match self.state.live {
            Some(_) => Stage::Tail,
            None => Stage::Backfill,
        };
        true
    }

    /// Returns the phase of a stage if the server supports no ranges; `None` if there is nothing to read.
    pub(super) fn plan_without_ranges(&mut self, stage: Stage) -> Option<Phase> {
        let what = match stage {
            Stage::Open => {
                self.listed.overflows = false;
                What::Open
            }
            Stage::Outside => return self.plan_outside(),
            Stage::WithoutEnd => What::WithoutEnd,
            Stage::Backfill => {
                if self.is_catching_up {
                    return None;
                }
                self.state.begin_next(self.choices.start);
                let backfill = self.state.backfill.as_ref()?;
                if backfill.ranges().is_empty() {
                    self.end_backfill();
                    return None;
                }
                What::Everything
            }
            Stage::Unreadable => return self.plan_unreadable(),
            Stage::Rung(_) => {
                self.stage = Stage::Unreadable;
                return None;
            }
            _ => return None,
        };
        let live = self.state.live.as_ref();
        let is_inhabited = match what {
            What::Everything => true,
            What::Open => live.is_some_and(super::state::Live::knows_open),
            What::WithoutEnd => false,
        };
        Some(Phase::ByOffset(ByOffset::new(what, is_inhabited)))
    }

    pub(super) fn read_by_offset(
        &mut self,
        mut listing: ByOffset,
        page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        let began = *listing.began.get_or_insert(page.now);
        let now = page.now;
        let value = |row: &Row| self.desk.value(row, Tau::ExpectedStartTime);
        let sorted: Vec<_> = page
            .list
            .iter()
            .map(|row| by_time(row.id(), value(row)))
            .collect();
        let place = listing
            .walk
            .around(&page.gaps)
            .accept(&sorted, page.objects, page.limit)?;
        drop(sorted);
        let is_empty = page.objects == 0;
        let last = page.list.last().and_then(value);
        // After stepping back, or behind a group of equal times that is not complete, nothing counts as read.
        let reached = match (place.stepped_back, place.incomplete) {
            (true, _) => None,
            (_, true) => page.list.first().and_then(value),
            _ => last,
        };
        if !place.stepped_back {
            let since = self.state.live.as_ref().map(Live::never_started_since);
            match listing.what {
                What::Everything => self.note_offset_gaps(ByOffsetOf::All, &page, None),
                What::WithoutEnd => self.note_offset_gaps(ByOffsetOf::All, &page, since),
                // Each sync lists an unreadable open run again anyway, and looks it up once it is not open any more.
                What::Open => {}
            }
        }
        let rows = page.list.into_iter().enumerate();
        let rows: Vec<Row> = rows
            .filter(|(at, _)| place.fresh.contains(at))
            .map(|(_, row)| row)
            .collect();
        let ended = match listing.what {
            What::Everything => {
                self.take_everything(rows, reached, now, step);
                let backfill = self.state.backfill.as_ref();
                place.ended || backfill.is_none_or(|backfill| backfill.ranges().is_empty())
            }
            What::Open => {
                listing
                    .met
                    .extend(rows.iter().map(|row| pack::id(row.id())));
                self.take_open(rows, began, step);
                place.ended
            }
            What::WithoutEnd => {
                let live = self.state.live.as_ref();
                let from = live.and_then(Live::never_started_from);
                // The open runs were listed before this listing began.
                let listed = self.cycle.map_or(began, |cycle| cycle.began.min(began));
                self.offer_without_end(rows, (listed, None), step);
                let is_before = from.is_some_and(|from| last < Some(from));
                place.ended || (is_before && !place.incomplete && !place.stepped_back)
            }
        };
        if ended {
            self.end_by_offset(listing, (began, is_empty), step);
        } else {
            self.phase = Some(Phase::ByOffset(listing));
        }
        Ok(())
    }

    fn end_by_offset(
        &mut self,
        listing: ByOffset,
        (began, is_empty): (DateTime<Utc>, bool),
        step: &mut Step,
    ) {
        match listing.what {
            What::Everything => self.end_backfill(),
            What::Open => {
                self.end_listing(false, step);
                if self.desk.are_of_flow_runs() {
                    // This listing has the runs of both sets.
                    self.listed = Listed::default();
                    self.listed.add(true, listing.met.clone(), None);
                    self.listed.add(false, listing.met, None);
                } else {
                    let gone = self.gone(&listing.met, false);
                    self.look_up_or_end(LookUp::of(gone), began, false);
                }
            }
            What::WithoutEnd if is_empty => self.look_up_missing(began),
            What::WithoutEnd => self.end_without_end(began, false),
        }
    }

    /// Takes rows of the backfill. An interrupted one begins again at the first page, and sends nothing twice.
    fn take_everything(
        &mut self,
        rows: Vec<Row>,
        reached: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        step: &mut Step,
    ) {
        let mut backfill = self.state.backfill.take().unwrap_or_default();
        let began = *backfill.began.get_or_insert(now);
        let look_back = self.choices.look_back;
        self.state
            .live
            .get_or_insert_with(|| Live::from(began, look_back));
        let ranges = backfill.ranges();
        let passed = ranges.iter().map(|range| range.before).max();
        let lowest = backfill.lowest();
        let news = self.rule_of_backfill(&backfill, began, &rows);
        let rule = move |row: &Row, desk: &Desk| {
            let value = desk.value(row, Tau::ExpectedStartTime);
            if value.is_some() && value < lowest {
                Rule::Never
            } else if passed.is_some() && value > passed {
                Rule::Since(began)
            } else {
                news(row)
            }
        };
        self.offer_filled(rows, &backfill, (began, rule), step);
        if let Some(reached) = reached {
            let left = ranges.into_iter().filter_map(|range| {
                let before = range.before.min(reached);
                let is_left = range.after.is_none_or(|after| after <= before);
                is_left.then_some(Lane {
                    before,
                    place: None,
                    ..range
                })
            });
            backfill.set_ranges(left.collect());
        }
        self.state.backfill = Some(backfill);
    }

    fn take_open(&mut self, rows: Vec<Row>, began: DateTime<Utc>, step: &mut Step) {
        let Some(live) = &self.state.live else { return };
        let ids = rows.iter().map(|row| pack::id(row.id()));
        let known: BTreeSet<String> = ids.filter(|id| live.is_open(id)).collect();
        let knows_all = live.open.knows_all() && live.long_open.knows_all();
        let since = live.open.or_rewound(live.open.read_at);
        let rule = move |row: &Row, _: &Desk| {
            if knows_all && !known.contains(&pack::id(row.id())) {
                Rule::Always
            } else {
                Rule::Since(since)
            }
        };
        let wanted = self.wanted(&rows);
        self.offer_all(rows, began, rule, step);
        self.note_unknown(&wanted);
    }
}
