//! Describes the saved state of runs to users.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::{
    backfill_state::{BackfillProgress, BackfillState},
    live_state::LiveState,
    open_set::OpenSet,
    state::RunsState,
    timing::OLD_OPEN_RUNS_EVERY,
};
use crate::sync::describe::{Summary, duration, time};

impl RunsState {
    /// Returns the facts of the state, for users.
    pub(in crate::sync::strategies) fn describe(&self) -> Summary {
        let mut facts = Summary::default();
        if let Some(live) = &self.live {
            live.describe(&mut facts);
        } else {
            facts.say("read up to", "nothing was read yet");
        }
        if let Some(backfill) = &self.backfill {
            let newest = backfill.ranges().iter().map(|range| range.before).max();
            let place = match (&backfill.progress, newest) {
                (BackfillProgress::NotBegun, _) => "not started".to_owned(),
                (BackfillProgress::Counting, _) | (_, None) => {
                    "all runs were read, their number is still to be compared".to_owned()
                }
                (_, Some(before)) => format!("read down to {}", time(before)),
            };
            let places = match backfill.ranges().len() {
                0 | 1 => String::new(),
                several => format!(", {several} partitions left"),
            };
            let what = if backfill.again {
                "repeated backfill"
            } else {
                "backfill"
            };
            facts.say(what, format!("in progress: {place}{places}"));
        } else {
            facts.say("backfill", "complete");
        }
        let wanted = |backfill: &&BackfillState| {
            let mut ranges = backfill.ranges().into_iter();
            ranges.any(|range| self.start.is_none_or(|start| range.before >= start))
        };
        facts.say_count(
            "further backfills",
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
            facts.say("unreadable ranges", self.unreadable.len().to_string());
        }
        facts.say_count("remembered fingerprints", self.sent.len());
        facts
    }
}

impl LiveState {
    fn describe(&self, facts: &mut Summary) {
        facts.read_up_to(self.open.or_rewound(self.reached()));
        if let Some(reading) = self.ended.reading {
            let (hi, before) = (time(reading.upper), time(reading.before));
            let text = format!("up to {hi}, read down to {before}");
            facts.say("window in progress", text);
        }
        facts.say("open runs", open(&self.open, None));
        facts.say(
            "long open runs",
            open(&self.old_open, Some(OLD_OPEN_RUNS_EVERY)),
        );
        if let Some(outside) = &self.outside {
            let number = outside.ids.len();
            let text = format!("{number}, checked at {}", time(outside.read_at));
            facts.say("outside the filter", text);
        }
        let mut never = format!("read up to {}", time(self.without_end.cursor));
        if let Some(rewound) = self.without_end.rewound {
            let _ = write!(never, ", rewound to {}", time(rewound));
        }
        facts.say("without end time", never);
        if let Some(reading) = self.look_back.reading {
            let text = format!("in progress, read down to {}", time(reading.before));
            facts.say("look-back", text);
        }
        for recheck in &self.rechecks {
            let lag = TimeDelta::seconds(recheck.lag);
            let done = time(recheck.cursor);
            // The same condition as in the planning of the recheck.
            let next = match recheck.reading {
                _ if recheck.again.is_some() => "the next now, after a rewind".to_owned(),
                Some(_) => "the next in progress".to_owned(),
                None => format!("the next from {}", time(recheck.cursor + lag + lag / 8)),
            };
            let what = format!("recheck after {}", duration(lag));
            facts.say(what, format!("runs ended before {done} are done, {next}"));
        }
    }
}

fn open(set: &OpenSet, every: Option<TimeDelta>) -> String {
    let mut text = format!("{}, checked at {}", set.ids.len(), time(set.dated()));
    if set.is_full() {
        text += " (the state holds no more)";
    }
    if set.partial.is_some() {
        text += ", the last check was interrupted";
    }
    match (set.rewound, every) {
        (Some(rewound), _) => {
            let _ = write!(text, ", rewound to {}", time(rewound));
        }
        (None, Some(every)) => {
            let _ = write!(text, ", next from {}", time(set.dated() + every));
        }
        (None, None) => {}
    }
    text
}
