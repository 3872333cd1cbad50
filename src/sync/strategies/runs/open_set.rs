//! The open set: every run that has not ended, wherever it lies. It gives long runs their final state,
//! and finds runs that Prefect deletes silently, as it does with scheduled ones whenever a deployment
//! changes.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Change, LONG_WINDOW, LookUp, Phase, Rows, Runs, Step,
    desk::{Desk, LONG_OPEN, OPEN, Rule, in_states},
    open_ids::OpenSet,
    state::{LONG_OPEN_EVERY, Live},
};
use crate::{
    messages,
    rows::Row,
    sync::{
        NoProgress,
        lanes::Lanes,
        pack,
        value_walk::{Tau, latest},
    },
};

/// An open run that is gone after a longer pause may have ended and aged out: no delete.
const DELETE_WITHIN: TimeDelta = TimeDelta::days(3);

/// So many open runs are read in several places at once.
const MANY_OPEN: usize = 2_000;

impl Runs {
    pub(super) fn plan_open(&mut self, long: bool) -> Option<Phase> {
        let live = self.state.live.as_ref()?;
        let began = self.cycle?;
        let is_fresh = began - live.long_open.read_at < LONG_OPEN_EVERY;
        if long && is_fresh && live.long_open.rewound.is_none() {
            return None;
        }
        let bound = began - LONG_OPEN;
        let (lo, hi) = if long {
            (None, bound)
        } else {
            (Some(bound), latest())
        };
        let walk = self.walk(Tau::ExpectedStartTime, lo, Some(hi), in_states(OPEN));
        // They are close together in time, so that a page's pace says little.
        let is_long = set(live, long).ids.len() >= MANY_OPEN;
        Some(Phase::Open {
            lanes: Lanes::window(walk, is_long.then_some(LONG_WINDOW)),
            began,
            met: BTreeSet::new(),
            long,
        })
    }

    pub(super) fn open(
        &mut self,
        (mut lanes, ticket): (Lanes, usize),
        (began, mut met, long): (DateTime<Utc>, BTreeSet<String>, bool),
        mut page: Rows,
        step: &mut Step,
    ) -> Result<(), NoProgress> {
        // It is met again at each sync as it is, and looked up when it is open no more.
        page.gaps.clear();
        let rows = self.accept_by_value(&mut lanes, ticket, page)?;
        // Of a page that was not believed nothing is met.
        let ids: BTreeSet<String> = rows.iter().map(|row| pack::id(row.id())).collect();
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        let own = set(live, long).clone_times();
        let since_long = live.long_open.or_rewound(live.long_open.read_at);
        let is_full = set(live, long).is_full();
        let most = set(live, long).most;
        let of = |set: &OpenSet| ids.intersection(&set.ids).cloned().collect::<BTreeSet<_>>();
        let (known, others) = if long {
            // Those of the open set were looked up by this same sync.
            (of(&live.long_open), of(&live.open))
        } else {
            (of(&live.open), of(&live.long_open))
        };
        met.extend(ids);
        // One that was not known to be open is news, whenever it was updated; but a full set does not
        // know all.
        let rule = |row: &Row, desk: &Desk| {
            let id = pack::id(row.id());
            let since = own.read_at(desk.value(row, Tau::ExpectedStartTime));
            if known.contains(&id) {
                Rule::Since(since)
            } else if others.contains(&id) {
                if long {
                    Rule::Never
                } else {
                    Rule::Since(since_long)
                }
            } else if is_full {
                Rule::Since(since)
            } else {
                Rule::Always
            }
        };
        self.offer_all(rows, began, rule, step);
        if let Some(live) = &mut self.state.live {
            live.move_to(long, &others);
            if let Some(before) = lanes.before() {
                live.set_mut(long).pass(began, before);
            }
        }
        if lanes.is_done() {
            if is_full {
                step.warnings.push(messages::MANY_OPEN.say(format_args!(
                    "table {}: more than {most} runs are open; that one of the others is deleted will not be seen (that it ends, will)",
                    self.table.name
                )));
            }
            let gone = self.gone(&met, long);
            self.look_up_or_end(LookUp::of(gone), began, long);
        } else {
            self.phase = Some(Phase::Open {
                lanes,
                began,
                met,
                long,
            });
        }
        Ok(())
    }

    /// Runs that were open and are not listed as open any more.
    pub(super) fn gone(&self, met: &BTreeSet<String>, long: bool) -> Vec<String> {
        self.state
            .live
            .iter()
            .flat_map(|live| set(live, long).ids.difference(met))
            .map(|id| pack::parse_id(id))
            .collect()
    }

    pub(super) fn look_up_or_end(
        &mut self,
        look_up: Option<LookUp>,
        began: DateTime<Utc>,
        long: bool,
    ) {
        if let Some(look_up) = look_up {
            self.phase = Some(Phase::LookUp {
                look_up,
                began,
                long,
            });
        } else if let Some(live) = &mut self.state.live {
            let set = live.set_mut(long);
            set.read_at = began;
            set.partial = None;
            set.rewound = None;
        }
    }

    pub(super) fn looked_up(
        &mut self,
        look_up: LookUp,
        (began, long): (DateTime<Utc>, bool),
        page: Rows,
        step: &mut Step,
    ) {
        let Some(live) = &self.state.live else {
            return;
        };
        let since = set(live, long).read_at;
        let changed_since = set(live, long).or_rewound(since);
        let (gone, rest) = look_up.accept(&page);
        self.offer_all(page.list, began, |_, _| Rule::Since(changed_since), step);
        let mut dropped = 0;
        for id in gone {
            if let Some(live) = &mut self.state.live {
                live.close(&pack::id(&id));
            }
            if began - since <= DELETE_WITHIN {
                step.changes.push(Change::Delete(self.table, id));
            } else {
                dropped += 1;
            }
        }
        if dropped > 0 {
            step.warnings.push(messages::AGED_OUT.say(format_args!(
                "table {}: {dropped} run(s) that were open at the last sync, more than 3 days ago, are gone; they may have ended and aged out, so their rows stay as they were",
                self.table.name
            )));
        }
        self.look_up_or_end(rest, began, long);
    }
}

fn set(live: &Live, long: bool) -> &OpenSet {
    if long { &live.long_open } else { &live.open }
}

impl Live {
    fn set_mut(&mut self, long: bool) -> &mut OpenSet {
        if long {
            &mut self.long_open
        } else {
            &mut self.open
        }
    }

    /// Moves runs to the set that they were met in.
    fn move_to(&mut self, long: bool, ids: &BTreeSet<String>) {
        let (from, to) = if long {
            (&mut self.open, &mut self.long_open)
        } else {
            (&mut self.long_open, &mut self.open)
        };
        for id in ids {
            if from.ids.remove(id) {
                to.insert(id.clone());
            }
        }
    }
}
