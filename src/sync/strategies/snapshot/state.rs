//! What is kept of a snapshot table.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sync::{
    pack,
    recent::{Recent, changed_since},
    words::Facts,
};

/// The state of a snapshot table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotState {
    /// What was sent: fingerprint by packed id.
    #[serde(with = "pack::fingerprints")]
    pub(crate) rows: BTreeMap<String, u64>,
    /// When the last complete listing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<DateTime<Utc>>,
    /// What is kept instead of `rows`, where those outgrew the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shed: Option<Shed>,
}

/// What is left of a table too large for the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shed {
    /// Fingerprints of the rows that were sent.
    #[serde(with = "pack::hashes")]
    Ids(BTreeSet<u64>),
    /// Rows sent with an `updated` so late that the next listing would take them for changed.
    Fingerprints(Recent),
}

impl SnapshotState {
    /// What [`Self::shed`] would take out of the state, in bytes.
    pub(in crate::sync::strategies) fn weight(&self) -> usize {
        match &self.shed {
            None => self.rows.len() * 39,
            Some(Shed::Ids(hashes)) => hashes.len() * 11,
            Some(Shed::Fingerprints(recent)) => recent.weight(),
        }
    }

    pub(in crate::sync::strategies) fn shed(&mut self) {
        match &mut self.shed {
            None => {
                let rows = std::mem::take(&mut self.rows);
                self.shed = Some(Shed::Ids(rows.into_values().collect()));
            }
            Some(Shed::Ids(_)) => self.shed = Some(Shed::Fingerprints(Recent::default())),
            Some(Shed::Fingerprints(recent)) => recent.halve(),
        }
    }

    pub(in crate::sync::strategies) fn untracked(&self) -> Option<&'static str> {
        Some(match self.shed.as_ref()? {
            Shed::Ids(_) => "there are too many objects for the state; their deletes are not seen",
            Shed::Fingerprints(_) => {
                "there are far too many objects for the state; their deletes are not seen, and changes only where `updated` moves"
            }
        })
    }

    /// What the state says.
    pub(in crate::sync::strategies) fn describe(&self) -> Facts {
        let mut facts = Facts::default();
        match &self.shed {
            None => facts.say("known rows", self.rows.len().to_string()),
            Some(Shed::Ids(hashes)) => facts.say("known fingerprints", hashes.len().to_string()),
            Some(Shed::Fingerprints(recent)) => {
                facts.say("remembered fingerprints", recent.len().to_string());
            }
        }
        if let Some(untracked) = self.untracked() {
            facts.say("not tracked", untracked);
        }
        facts.say_time("listed in full", self.listed);
        facts
    }

    /// Everything is sent once more. The ids stay, so that deletes are still found.
    pub(in crate::sync::strategies) fn refill(&mut self) {
        self.rows.values_mut().for_each(|hash| *hash = 0);
        self.listed = None;
        match &mut self.shed {
            None => {}
            Some(Shed::Ids(hashes)) => hashes.clear(),
            Some(Shed::Fingerprints(recent)) => *recent = Recent::default(),
        }
    }

    /// Whether a row is news; if so it counts as sent.
    pub(super) fn take(&mut self, row: &Seen, began: DateTime<Utc>) -> bool {
        match &mut self.shed {
            None => self.rows.insert(row.id.clone(), row.hash) != Some(row.hash),
            Some(Shed::Ids(hashes)) => hashes.insert(row.hash),
            Some(Shed::Fingerprints(recent)) => {
                let is_news = self
                    .listed
                    .is_none_or(|listed| changed_since(listed, row.updated))
                    && !recent.contains(row.hash);
                if is_news {
                    recent.remember(began, row.updated, row.hash);
                }
                is_news
            }
        }
    }
}

/// What is looked at of a row.
pub(super) struct Seen {
    /// Packed.
    pub(super) id: String,
    pub(super) hash: u64,
    pub(super) updated: Option<DateTime<Utc>>,
}
