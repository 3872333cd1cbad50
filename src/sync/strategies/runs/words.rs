//! Describes the saved state of runs to users.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{
    backfill::ALL_READ,
    open_ids::OpenSet,
    state::{Backfill, LONG_OPEN_EVERY, Live, RunsState},
};
use crate::sync::words::{Facts, duration, time};

impl RunsState {
    /// Returns the facts of the state, for users.
    pub(in crate::sync::strategies) fn describe(&self) -> Facts {
        let mut facts = Facts::default();
        if let Some(live) = &self.live {
            live.describe(&mut facts);
        } else {
            facts.say("read up to", "nothing is read yet");
        }
        if let Some(backfill) = &self.backfill {
            let places = backfill.lanes.len();
            let newest = backfill.lanes.iter().map(|lane| lane.before).max();
            let place = match backfill.before.or(newest) {
                Some(before) if before == ALL_READ => {
                    "everything is read, the runs are still to be counted".to_owned()
                }
                Some(before) => format!("everything later than {} is read", time(before)),
                None => "not begun".to_owned(),
            };
            let places = match places {
                0 | 1 => String::new(),
                several => format!(", {several} ranges are left"),
            };
            let what = if backfill.again {
                "reading everything again"
            } else {
                "first reading"
            };
            facts.say(what, format!("under way: {place}{places}"));
        } else {
            facts.say("first reading", "complete");
        }
        let wanted = |backfill: &&Backfill| {
            let mut ranges = backfill.ranges().into_iter();
            ranges.any(|range| self.start.is_none_or(|start| range.before >= start))
        };
        facts.say_count(
            "further readings to come",
            self.queue.iter().filter(wanted).count(),
        );
        facts.say("read by", self.ability());
        if let Some(start) = self.start {
            facts.say("start date", time(start));
        }
        if self.scope.is_some() {
            facts.say("filter", "set");
        }
        if !self.unreadable.is_empty() {
            facts.say("unreadable places", self.unreadable.len().to_string());
        }
        facts.say_count("remembered fingerprints", self.recent.len());
        facts
    }
}

impl Live {
    fn describe(&self, facts: &mut Facts) {
        facts.read_up_to(self.open.or_rewound(self.reached()));
        if let Some(reading) = self.tail.reading {
            let (hi, before) = (time(reading.hi), time(reading.before));
            let text = format!("up to {hi}, everything later than {before} is read");
            facts.say("window under way", text);
        }
        facts.say("open runs", open(&self.open, None));
        facts.say(
            "long open runs",
            open(&self.long_open, Some(LONG_OPEN_EVERY)),
        );
        if let Some(outside) = &self.outside {
            let number = outside.ids.len();
            let text = format!("{number}, looked at {}", time(outside.read_at));
            facts.say("outside the filter", text);
        }
        let mut never = format!("read up to {}", time(self.never_started));
        if let Some(rewound) = self.rewound {
            let _ = write!(never, ", taken back to {}", time(rewound));
        }
        facts.say("without an end", never);
        if let Some(reading) = self.look_back {
            let text = format!(
                "under way, everything later than {} is read",
                time(reading.before)
            );
            facts.say("look-back", text);
        }
        for rung in &self.rungs {
            let lag = TimeDelta::seconds(rung.lag);
            let done = time(rung.cursor);
            // The same condition as in the planning of the recheck.
            let next = match rung.reading {
                _ if rung.again.is_some() => "the next at once: it was taken back".to_owned(),
                Some(_) => "the next are being read".to_owned(),
                None => format!("the next from {}", time(rung.cursor + lag + lag / 8)),
            };
            let what = format!("re-read after {}", duration(lag));
            facts.say(what, format!("those ended before {done} are done, {next}"));
        }
    }
}

fn open(set: &OpenSet, every: Option<TimeDelta>) -> String {
    let mut text = format!("{}, looked at {}", set.ids.len(), time(set.dated()));
    if set.is_full() {
        text += " (no more are remembered)";
    }
    if set.partial.is_some() {
        text += ", looking again was interrupted";
    }
    match (set.rewound, every) {
        (Some(rewound), _) => {
            let _ = write!(text, ", taken back to {}", time(rewound));
        }
        (None, Some(every)) => {
            let _ = write!(text, ", next from {}", time(set.dated() + every));
        }
        (None, None) => {}
    }
    text
}
