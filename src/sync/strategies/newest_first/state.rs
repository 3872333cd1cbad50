//! The saved state of a table that is read newest first.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::interrupted_pass::InterruptedPass;
use crate::sync::{
    compact_ids,
    describe::{Summary, time},
    sent_fingerprints::SentFingerprints,
    strategies::{
        gaps::{self, Gap},
        latest_objects::Times,
    },
};

/// The state of a table that is read newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewestFirstState {
    /// The time before which everything visible was sent; `None` before the first pass ended.
    pub(crate) cursor: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "SentFingerprints::is_empty")]
    pub(crate) recent: SentFingerprints,
    /// The range that an interrupted pass has read; its rows need not be sent again.
    #[serde(rename = "walk", default, skip_serializing_if = "Option::is_none")]
    pub(crate) interrupted: Option<InterruptedPass>,
    /// Packed ids of objects that were sent and are not known to be gone.
    pub(crate) ids: BTreeSet<String>,
    /// True if there were too many ids: deletes are not seen any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) without_ids: bool,
    /// The time at which everything was last listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<DateTime<Utc>>,
    /// True if everything must be listed, and was not yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_listing_due: bool,
    /// The date of the response with which the last complete pass began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<DateTime<Utc>>,
    /// Gaps: objects for which the server returns an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<Gap>,
    /// The number of objects that the server counts besides the known ids, because they cannot be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) uncounted: u64,
    /// The objects that were updated last, by packed id.
    #[serde(default, skip_serializing_if = "Times::is_empty")]
    pub(crate) newest: Times,
    /// True if the last pass found no object at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) was_empty: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl NewestFirstState {
    /// Returns the bytes of the state that [`Self::shed`] would remove.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        compact_ids::weight(&self.ids).max(self.recent.weight())
    }

    pub(in crate::sync::strategies) fn shed(&mut self) {
        if compact_ids::weight(&self.ids) >= self.recent.weight() {
            self.ids.clear();
            self.without_ids = true;
        } else {
            self.recent.halve();
            // Rows that were sent may be sent again, which shows nothing about the clocks.
            self.read = None;
        }
    }

    pub(in crate::sync::strategies) fn untracked(&self) -> Option<&'static str> {
        self.without_ids
            .then_some("there are too many objects for the state; their deletes are not detected")
    }

    /// Describes the state as readable facts.
    pub(in crate::sync::strategies) fn describe(&self) -> Summary {
        let mut facts = Summary::default();
        match self.cursor {
            Some(cursor) => facts.read_up_to(cursor),
            None => facts.say("read up to", "the first sync is not complete"),
        }
        if let Some(pass) = self.interrupted {
            let (started, reached) = (time(pass.started), time(pass.reached));
            let text = format!("interrupted: {started} down to {reached} was read");
            facts.say("pass", text);
        }
        facts.say_count("known ids", self.ids.len());
        if let Some(untracked) = self.untracked() {
            facts.say("not tracked", untracked);
        }
        facts.say_time("listed completely", self.listed);
        let unreadable = gaps::objects(&self.unreadable);
        facts.say_count(
            "unreadable objects",
            usize::try_from(unreadable).unwrap_or_default(),
        );
        facts.say_count("remembered fingerprints", self.recent.len());
        facts
    }

    /// Sends everything again. The ids stay, so that deletes are still found.
    pub(in crate::sync::strategies) fn rewind(&mut self) {
        self.cursor = None;
        self.interrupted = None;
        self.read = None;
        self.recent = SentFingerprints::default();
        for gap in &mut self.unreadable {
            gap.forget_readings();
        }
    }
}
