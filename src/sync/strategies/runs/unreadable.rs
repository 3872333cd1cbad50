//! Runs that the server cannot answer for: where they lie is remembered, and looked at again in each
//! sync, with one brief question.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Ask, Phase, Rows, Runs, Step, desk::Rule};
use crate::{
    messages,
    prefect::{Filter, ListRequest, TimeRange},
    rows::Row,
    sync::{pack, value_walk::Tau},
};

/// So many places are remembered.
const MOST: usize = 100;

/// A place with a run that could not be read, between its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unreadable {
    tau: Tau,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<DateTime<Utc>>,
    /// The neighbours at its bounds, which were read: packed ids.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    known: BTreeSet<String>,
}

impl Unreadable {
    fn overlaps(&self, other: &Self) -> bool {
        let ends_before = |one: &Self, two: &Self| matches!((one.before, two.after), (Some(before), Some(after)) if before < after);
        self.tau == other.tau && !ends_before(self, other) && !ends_before(other, self)
    }
}

impl Runs {
    /// Remembers where objects are missing on a page that was asked for within `range`. (Not within a
    /// group of equal times larger than a page: there a time is no place.)
    pub(super) fn note_gaps(&mut self, tau: Tau, range: TimeRange, page: &Rows) {
        let value = |row: &Row| self.desk.value(row, tau);
        let is_last = page.objects < page.limit as usize;
        let end = page.list.last().and_then(value);
        let mut found = Vec::new();
        for gap in &page.gaps {
            let before = match gap.checked_sub(1) {
                Some(at) => page.list.get(at).and_then(value),
                None => range.before,
            };
            let after = page.list.get(*gap).map(value);
            let after = match after {
                // The next page begins before it.
                None if !is_last => continue,
                Some(after) if !is_last && after == end => continue,
                Some(after) => after,
                None => range.after,
            };
            let at_a_bound = |row: &&Row| {
                let value = value(row);
                value.is_some() && (value == before || value == after)
            };
            let known = page.list.iter().filter(at_a_bound);
            found.push(Unreadable {
                tau,
                after,
                before,
                known: known.map(|row| pack::id(row.id())).collect(),
            });
        }
        let list = &mut self.state.unreadable;
        for place in found {
            if list.len() < MOST && !list.iter().any(|other| other.overlaps(&place)) {
                list.push(place);
            }
        }
    }

    pub(super) fn plan_unreadable(&mut self) -> Option<Phase> {
        (!self.state.unreadable.is_empty()).then_some(Phase::Unreadable { at: 0 })
    }

    pub(super) fn ask_unreadable(&self, at: usize, limit: u32) -> Option<Ask> {
        let place = self.state.unreadable.get(at)?;
        let range = TimeRange {
            after: place.after,
            before: place.before,
        };
        let mut filter = Filter::default();
        place.tau.limit(&mut filter, range);
        Some(Ask::Try(ListRequest {
            collection: super::collection(self.table),
            sort: Some(place.tau.sort()),
            limit,
            filter,
            scope: self.choices.scope.clone(),
            ..ListRequest::default()
        }))
    }

    /// Takes the answer for the place `at`; `None`: the server still has none.
    pub(super) fn tried(&mut self, at: usize, page: Option<Rows>, step: &mut Step) {
        let mut next = at + 1;
        if let Some(mut page) = page {
            let place = self.state.unreadable.remove(at);
            page.list
                .retain(|row| !place.known.contains(&pack::id(row.id())));
            next = at;
            self.offer_all(page.list, page.now, |_, _| Rule::Always, step);
        }
        if next < self.state.unreadable.len() {
            self.phase = Some(Phase::Unreadable { at: next });
        } else {
            step.warnings.extend(self.unreadable_sentence());
        }
    }

    fn unreadable_sentence(&self) -> Option<String> {
        let places = &self.state.unreadable;
        let last = places.last()?;
        let time = |time: Option<DateTime<Utc>>, never: &str| {
            time.map_or_else(|| never.to_owned(), |time| time.to_string())
        };
        Some(messages::UNREADABLE.say(format_args!(
            "table {}: the server cannot answer (500) for run(s) at {} place(s), the last of which {} between {} and {}; each sync tries again",
            self.table.name,
            places.len(),
            match last.tau {
                Tau::EndTime => "ended",
                Tau::ExpectedStartTime | Tau::Timestamp => "were to start",
            },
            time(last.after, "the beginning"),
            time(last.before, "now"),
        )))
    }
}
