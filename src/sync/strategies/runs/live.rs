//! The live readers: the tail, runs that never started, the open set, the look-back, the rungs.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Change, Entry, Live, OffsetWalk, Phase, Reading, Rows, Rule, Runs, Stage, Step, Tau, ValueWalk,
    desk::{Desk, LONG_OPEN, OPEN, TERMINAL},
    extend, latest,
    state::{LOOK_BACK, OpenSet, read_at},
};
use crate::{
    prefect::{Filter, IsNull, StateFilter},
    rows::Row,
    sync::{
        pack,
        recent::{MARGIN, changed_since},
    },
};

/// How often open runs that were to start more than a week ago are looked at.
const LONG_OPEN_EVERY: TimeDelta = TimeDelta::days(1);

/// How often it is tried again to filter by the end.
const TRY_AGAIN: TimeDelta = TimeDelta::days(1);

/// An open run that is gone after a longer pause may have ended and aged out: no delete.
const DELETE_WITHIN: TimeDelta = TimeDelta::days(3);

fn in_states(types: &'static [&'static str]) -> Filter {
    Filter {
        state: Some(StateFilter::any(types)),
        ..Filter::default()
    }
}

fn started(filter: Filter, started: bool) -> Filter {
    Filter {
        start_time: Some(IsNull { is_null: !started }),
        ..filter
    }
}

/// Runs that ended and have an end: without a start there may be none, and PostgreSQL would put those
/// first.
pub(super) fn ended_after_a_start() -> Filter {
    started(in_states(TERMINAL), true)
}

impl Runs {
    /// What a live stage has to read, if anything; a rung's stage also says what comes after it.
    pub(super) fn plan_live(&mut self, stage: Stage) -> Option<Phase> {
        match stage {
            Stage::Tail => self.plan_tail(),
            Stage::NeverStarted => self.plan_never_started(),
            Stage::Open => self.plan_open(false),
            Stage::LongOpen => self.plan_open(true),
            Stage::LookBack => self.plan_look_back(),
            Stage::Rung(index) => self.plan_rung(index),
            Stage::Backfill | Stage::Done => None,
        }
    }

    pub(super) fn accept_live(&mut self, phase: Phase, page: Rows, step: &mut Step) {
        match phase {
            Phase::Tail { walk, reading } => self.tail(walk, reading, page, step),
            Phase::TailByOffset { walk, began } => self.tail_by_offset(walk, began, page, step),
            Phase::NeverStarted { walk, began } => self.never_started(walk, began, page, step),
            Phase::Open {
                walk,
                began,
                met,
                long,
            } => self.open(walk, (began, met, long), page, step),
            Phase::LookUp {
                ids,
                asked,
                began,
                long,
            } => self.looked_up((ids, asked), (began, long), page, step),
            Phase::LookBack { walk, reading } => self.look_back(walk, reading, page, step),
            Phase::Rung {
                index,
                walk,
                reading,
            } => self.rung(index, walk, reading, page, step),
            Phase::Backfill { .. } | Phase::Counts { .. } | Phase::WithoutStart { .. } => {}
        }
    }

    /// The server refused a filter by `end_time`: the readers take another time. False when that is
    /// not what was refused.
    pub(super) fn without_end_filter(&mut self) -> bool {
        let uses_end = match &self.phase {
            Some(Phase::Tail { .. }) => true,
            Some(Phase::Rung { walk, .. } | Phase::LookBack { walk, .. }) => {
                walk.tau() == Tau::EndTime
            }
            _ => false,
        };
        if !uses_end {
            return false;
        }
        self.phase = None;
        self.stage = Stage::Tail;
        // Before the first answer there is no time; the tail sets it.
        self.state.refused = Some(self.now.unwrap_or(DateTime::UNIX_EPOCH));
        let was = std::mem::replace(&mut self.state.tau, Tau::ExpectedStartTime);
        if let Some(live) = &mut self.state.live {
            live.tail.reading = None;
            for rung in &mut live.rungs {
                rung.reading = None;
            }
            if was == Tau::EndTime && !live.is_new() {
                live.restart_rungs(live.tail.cursor);
            }
        }
        true
    }

    // --- the tail ---

    fn plan_tail(&mut self) -> Option<Phase> {
        self.cycle = None;
        let live = self.state.live.as_ref()?;
        if self.state.tau == Tau::ExpectedStartTime && self.state.refused.is_some() {
            return Some(Phase::TailByOffset {
                walk: OffsetWalk::default(),
                began: None,
            });
        }
        let reading = live.tail.reading;
        let lo = live.tail.cursor - MARGIN;
        let before = reading.map(|reading| reading.before);
        Some(Phase::Tail {
            walk: self.walk(Tau::EndTime, Some(lo), before, Filter::default()),
            reading,
        })
    }

    fn tail(&mut self, mut walk: ValueWalk, reading: Option<Reading>, page: Rows, step: &mut Step) {
        let now = page.now;
        if self.state.tau == Tau::ExpectedStartTime {
            // The server can filter by the end by now.
            self.state.tau = Tau::EndTime;
            self.state.refused = None;
            if let Some(live) = &mut self.state.live {
                live.restart_rungs(now);
            }
        }
        // The window ends where its reading began, whatever time a run claims to have ended at.
        let mut reading = reading.unwrap_or(Reading {
            hi: now,
            began: now,
            before: now,
        });
        self.cycle.get_or_insert(now);
        let rows = self.accept_by_value(&mut walk, page);
        self.offer_all(rows, reading.began, |_, _| Rule::Always, step);
        let Some(live) = &mut self.state.live else {
            return;
        };
        if walk.is_done() {
            live.tail.reading = None;
            live.tail.cursor = live.tail.cursor.max(reading.hi);
            extend(
                &mut live.tail.trail,
                Entry {
                    hi: reading.hi,
                    read_at: reading.began,
                },
            );
            if reading.began + MARGIN < now {
                // It took long, or an earlier sync began it: what ended since then is still to be read.
                self.stage = Stage::Tail;
            }
        } else {
            reading.before = walk.before().unwrap_or(reading.before);
            live.tail.reading = Some(reading);
            self.phase = Some(Phase::Tail {
                walk,
                reading: Some(reading),
            });
        }
    }

    fn tail_by_offset(
        &mut self,
        mut walk: OffsetWalk,
        began: Option<DateTime<Utc>>,
        page: Rows,
        step: &mut Step,
    ) {
        let began = began.unwrap_or(page.now);
        self.cycle.get_or_insert(began);
        let Some(cursor) = self.state.live.as_ref().map(|live| live.tail.cursor) else {
            return;
        };
        let ids: Vec<&str> = page.list.iter().map(Row::id).collect();
        let place = walk.accept(&ids, page.objects, page.limit);
        let mut arrived = place.ended;
        let mut rows = Vec::new();
        if !place.stepped_back {
            for (at, row) in page.list.into_iter().enumerate() {
                let ended = self.desk.value(&row, Tau::EndTime);
                if ended.is_some_and(|ended| ended < cursor - MARGIN) {
                    arrived = true;
                    break;
                }
                if place.fresh.contains(&at) && ended.is_some() {
                    rows.push(row);
                }
            }
        }
        self.offer_all(rows, began, |_, _| Rule::Always, step);
        if !arrived {
            self.phase = Some(Phase::TailByOffset {
                walk,
                began: Some(began),
            });
        } else if let Some(live) = &mut self.state.live {
            live.tail.cursor = cursor.max(began);
            self.state.refused = match self.state.refused {
                Some(refused) if refused == DateTime::UNIX_EPOCH => Some(began),
                // The next sync tries again.
                Some(refused) if began - refused >= TRY_AGAIN => None,
                refused => refused,
            };
        }
    }

    // --- runs that ended without having started ---

    fn plan_never_started(&mut self) -> Option<Phase> {
        let lo = self.state.live.as_ref()?.never_started - MARGIN;
        Some(Phase::NeverStarted {
            walk: self.walk(
                Tau::ExpectedStartTime,
                Some(lo),
                Some(latest()),
                started(in_states(TERMINAL), false),
            ),
            began: self.cycle?,
        })
    }

    fn never_started(
        &mut self,
        mut walk: ValueWalk,
        began: DateTime<Utc>,
        page: Rows,
        step: &mut Step,
    ) {
        let Some(since) = self.state.live.as_ref().map(|live| live.never_started) else {
            return;
        };
        let rows = self.accept_by_value(&mut walk, page);
        self.offer_all(rows, began, |_, _| Rule::Since(since), step);
        if !walk.is_done() {
            self.phase = Some(Phase::NeverStarted { walk, began });
        } else if let Some(live) = &mut self.state.live {
            live.never_started = began;
        }
    }

    // --- the open set ---

    fn plan_open(&mut self, long: bool) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let began = self.cycle?;
        if long && began - live.long_open.read_at < LONG_OPEN_EVERY {
            return None;
        }
        let bound = began - LONG_OPEN;
        let (lo, hi) = if long {
            (None, bound)
        } else {
            (Some(bound), latest())
        };
        Some(Phase::Open {
            walk: self.walk(Tau::ExpectedStartTime, lo, Some(hi), in_states(OPEN)),
            began,
            met: BTreeSet::new(),
            long,
        })
    }

    fn open(
        &mut self,
        mut walk: ValueWalk,
        (began, mut met, long): (DateTime<Utc>, BTreeSet<String>, bool),
        page: Rows,
        step: &mut Step,
    ) {
        let Some(live) = &self.state.live else { return };
        let since = set(live, long).read_at;
        let known: BTreeSet<String> = page
            .list
            .iter()
            .map(|row| pack::id(row.id()))
            .filter(|id| live.is_open(id))
            .collect();
        met.extend(page.list.iter().map(|row| pack::id(row.id())));
        let rows = self.accept_by_value(&mut walk, page);
        // One that was not known to be open is news, whenever it was updated.
        let rule = |row: &Row, _: &Desk| {
            if known.contains(&pack::id(row.id())) {
                Rule::Since(since)
            } else {
                Rule::Always
            }
        };
        self.offer_all(rows, began, rule, step);
        if walk.is_done() {
            let gone = self.gone(&met, long);
            self.look_up_or_end(gone, began, long);
        } else {
            self.phase = Some(Phase::Open {
                walk,
                began,
                met,
                long,
            });
        }
    }

    /// Runs that were open and are not listed as open any more.
    fn gone(&self, met: &BTreeSet<String>, long: bool) -> Vec<String> {
        self.state
            .live
            .iter()
            .flat_map(|live| set(live, long).ids.difference(met))
            .map(|id| pack::parse_id(id))
            .collect()
    }

    fn look_up_or_end(&mut self, ids: Vec<String>, began: DateTime<Utc>, long: bool) {
        if !ids.is_empty() {
            self.phase = Some(Phase::LookUp {
                ids,
                asked: 0,
                began,
                long,
            });
        } else if let Some(live) = &mut self.state.live {
            let set = if long {
                &mut live.long_open
            } else {
                &mut live.open
            };
            set.read_at = began;
        }
    }

    fn looked_up(
        &mut self,
        (mut ids, asked): (Vec<String>, usize),
        (began, long): (DateTime<Utc>, bool),
        page: Rows,
        step: &mut Step,
    ) {
        let Some(since) = self.state.live.as_ref().map(|live| set(live, long).read_at) else {
            return;
        };
        let found: BTreeSet<String> = page.list.iter().map(|row| row.id().to_owned()).collect();
        self.offer_all(page.list, began, |_, _| Rule::Since(since), step);
        let mut dropped = 0;
        for id in ids.drain(..asked.min(ids.len())) {
            if found.contains(&id) {
                continue;
            }
            if let Some(live) = &mut self.state.live {
                live.close(&pack::id(&id));
            }
            if began - since <= DELETE_WITHIN {
                step.changes.push(Change::Delete(id));
            } else {
                dropped += 1;
            }
        }
        if dropped > 0 {
            step.warnings.push(format!(
                "table {}: {dropped} run(s) that were open at the last sync, more than 3 days ago, are gone; they may have ended and aged out, so their rows stay as they were",
                self.table.name
            ));
        }
        self.look_up_or_end(ids, began, long);
    }

    // --- the rungs ---

    fn plan_look_back(&mut self) -> Option<Phase> {
        let reading = self.state.live.as_ref()?.look_back?;
        let now = self.cycle?;
        // A look-back asked for before there was a time begins now.
        let reading = if reading.before == reading.hi {
            Reading {
                hi: now,
                began: now,
                before: now,
            }
        } else {
            reading
        };
        let lo = reading.began - LOOK_BACK;
        Some(Phase::LookBack {
            walk: self.walk(
                self.state.tau,
                Some(lo),
                Some(reading.before),
                Filter::default(),
            ),
            reading,
        })
    }

    fn look_back(
        &mut self,
        mut walk: ValueWalk,
        mut reading: Reading,
        page: Rows,
        step: &mut Step,
    ) {
        let rows = self.accept_by_value(&mut walk, page);
        self.offer_all(rows, reading.began, |_, _| Rule::EditedAfterItsEnd, step);
        let is_done = walk.is_done();
        reading.before = walk.before().unwrap_or(reading.before);
        if let Some(live) = &mut self.state.live {
            live.look_back = (!is_done).then_some(reading);
        }
        if !is_done {
            self.phase = Some(Phase::LookBack { walk, reading });
        }
    }

    /// The next window of a rung; passes over parts that this same sync has just read.
    fn plan_rung(&mut self, index: usize) -> Option<Phase> {
        self.stage = Stage::Rung(index + 1);
        let (Some(live), Some(cycle)) = (&mut self.state.live, self.cycle) else {
            self.stage = Stage::Backfill;
            return None;
        };
        if index >= live.rungs.len() {
            self.stage = Stage::Backfill;
            return None;
        }
        let by_end = self.state.tau == Tau::EndTime;
        let (cursor, reading) = match live.window(index, cycle, by_end)? {
            Window::Passed => {
                self.stage = Stage::Rung(index);
                return None;
            }
            Window::Read { cursor, reading } => (cursor, reading),
        };
        // There may be another part after this one.
        self.stage = Stage::Rung(index);
        let walk = self.walk(
            self.state.tau,
            Some(cursor),
            Some(reading.before),
            Filter::default(),
        );
        Some(Phase::Rung {
            index,
            walk,
            reading,
        })
    }

    fn rung(
        &mut self,
        index: usize,
        mut walk: ValueWalk,
        mut reading: Reading,
        page: Rows,
        step: &mut Step,
    ) {
        let Some(trail) = self
            .state
            .live
            .as_ref()
            .map(|live| live.trail(index).to_vec())
        else {
            return;
        };
        let tau = self.state.tau;
        let rows = self.accept_by_value(&mut walk, page);
        let rule = |row: &Row, desk: &Desk| rung_rule(row, desk, tau, index, &trail);
        self.offer_all(rows, reading.began, rule, step);
        let Some(live) = &mut self.state.live else {
            return;
        };
        if walk.is_done() {
            live.finish(index, reading.hi, reading.began);
        } else {
            reading.before = walk.before().unwrap_or(reading.before);
            live.rungs[index].reading = Some(reading);
            self.phase = Some(Phase::Rung {
                index,
                walk,
                reading,
            });
        }
    }
}

fn set(live: &Live, long: bool) -> &OpenSet {
    if long { &live.long_open } else { &live.open }
}

/// Whether a row met by a rung is news, by the time at which that very row was last read.
fn rung_rule(row: &Row, desk: &Desk, tau: Tau, index: usize, trail: &[Entry]) -> Rule {
    let read = desk.value(row, tau).and_then(|at| read_at(trail, at));
    let Some(read) = read else {
        return match tau {
            Tau::ExpectedStartTime if desk.is_open(row) => Rule::Never,
            _ => Rule::EditedAfterItsEnd,
        };
    };
    // By expected start a window also holds runs that are open, or ended after the rung before had
    // read them: then it is the tail that read them last, at a time that is not known.
    let ended = desk.value(row, Tau::EndTime);
    match tau {
        Tau::EndTime => Rule::Since(read),
        Tau::ExpectedStartTime if desk.is_open(row) => Rule::Never,
        Tau::ExpectedStartTime if index == 0 || changed_since(read, ended) => {
            Rule::EditedAfterItsEnd
        }
        Tau::ExpectedStartTime => Rule::Since(read),
    }
}

/// What a rung has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// A part was read by this same sync and is passed on unread; ask again.
    Passed,
    /// To be read.
    Read {
        cursor: DateTime<Utc>,
        reading: Reading,
    },
}

impl Live {
    /// Whether nothing was read since the backfill began.
    fn is_new(&self) -> bool {
        *self
            == Self {
                open: self.open.clone(),
                long_open: self.long_open.clone(),
                ..Self::from(self.tail.cursor)
            }
    }

    /// The trail that rung `index` compares with: that of the rung before, or of the tail.
    fn trail(&self, index: usize) -> &[Entry] {
        match index {
            0 => &self.tail.trail,
            _ => &self.rungs[index - 1].trail,
        }
    }

    /// What rung `index` has to do in the sync that began at `cycle`; `None` when its window has not
    /// grown to an eighth of its lag.
    fn window(&mut self, index: usize, cycle: DateTime<Utc>, by_end: bool) -> Option<Window> {
        let rung = &self.rungs[index];
        let cursor = rung.cursor;
        if let Some(reading) = rung.reading {
            return Some(Window::Read { cursor, reading });
        }
        let lag = TimeDelta::seconds(rung.lag);
        let hi = cycle - lag;
        let is_due = hi - cursor >= lag / 8 && hi > cursor;
        // What began to be passed on is passed on to its end.
        if !is_due {
            return None;
        }
        let trail = self.trail(index);
        // By expected start the tail's trail says nothing.
        let trail = if by_end || index > 0 { trail } else { &[] };
        let mut parts = trail.iter().filter(|entry| entry.hi > cursor);
        let first = parts.next().copied();
        if let Some(first) = first.filter(|first| first.read_at >= cycle) {
            self.finish(index, first.hi.min(hi), first.read_at);
            return Some(Window::Passed);
        }
        // Up to the first part that this sync has read.
        let end = trail
            .iter()
            .zip(trail.iter().skip(1))
            .find(|(before, part)| before.hi > cursor && part.read_at >= cycle)
            .map_or(hi, |(before, _)| before.hi.min(hi));
        Some(Window::Read {
            cursor,
            reading: Reading {
                hi: end,
                began: cycle,
                before: end,
            },
        })
    }

    /// Rung `index` has read up to `hi`, beginning at `began`.
    fn finish(&mut self, index: usize, hi: DateTime<Utc>, began: DateTime<Utc>) {
        let is_last = index + 1 == self.rungs.len();
        let rung = &mut self.rungs[index];
        rung.cursor = hi;
        rung.reading = None;
        if is_last {
            rung.trail.clear();
        } else {
            extend(&mut rung.trail, Entry { hi, read_at: began });
        }
        // What is behind the cursor was compared with for the last time.
        let consumed = match index {
            0 => &mut self.tail.trail,
            _ => &mut self.rungs[index - 1].trail,
        };
        consumed.retain(|entry| entry.hi > hi);
    }
}
