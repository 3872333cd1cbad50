//! The form in which the state of the live tasks is saved: one object, whose keys are those of earlier versions.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    live_state::{EndedRunsState, LiveState, LookBackState, RecheckState, WithoutEndState},
    open_set::OpenSet,
    outside::Outside,
    window_progress::WindowProgress,
};
use crate::sync::keyset::latest_possible_time;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLiveState<'a> {
    #[serde(rename = "tail")]
    ended: Cow<'a, EndedRunsState>,
    /// [`WithoutEndState::cursor`].
    never_started: DateTime<Utc>,
    /// [`WithoutEndState::listed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    without_end_listed: Option<DateTime<Utc>>,
    /// [`WithoutEndState::rewound`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rewound: Option<DateTime<Utc>>,
    open: Cow<'a, OpenSet>,
    #[serde(rename = "long_open")]
    old_open: Cow<'a, OpenSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outside: Option<Cow<'a, Outside>>,
    #[serde(rename = "rungs")]
    rechecks: Cow<'a, [RecheckState]>,
    /// [`LookBackState::reading`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    look_back: Option<WindowProgress>,
    /// [`LookBackState::from`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    look_back_from: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restarted: Option<DateTime<Utc>>,
}

impl Serialize for LiveState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = StoredLiveState {
            ended: Cow::Borrowed(&self.ended),
            never_started: self.without_end.cursor,
            without_end_listed: self.without_end.listed,
            rewound: self.without_end.rewound,
            open: Cow::Borrowed(&self.open),
            old_open: Cow::Borrowed(&self.old_open),
            outside: self.outside.as_ref().map(Cow::Borrowed),
            rechecks: Cow::Borrowed(&self.rechecks),
            look_back: self.look_back.reading,
            look_back_from: self.look_back.from,
            restarted: self.restarted,
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LiveState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredLiveState::deserialize(deserializer)?;
        let rechecks = stored.rechecks.iter().map(|recheck| recheck.reading);
        let windows = rechecks.chain([stored.ended.reading, stored.look_back]);
        // Only listings of open runs have no upper bound. A cursor must not move there.
        if windows
            .flatten()
            .any(|window| window.upper == latest_possible_time())
        {
            return Err(D::Error::missing_field("hi"));
        }
        Ok(Self {
            ended: stored.ended.into_owned(),
            without_end: WithoutEndState {
                cursor: stored.never_started,
                listed: stored.without_end_listed,
                rewound: stored.rewound,
            },
            open: stored.open.into_owned(),
            old_open: stored.old_open.into_owned(),
            outside: stored.outside.map(Cow::into_owned),
            rechecks: stored.rechecks.into_owned(),
            look_back: LookBackState {
                reading: stored.look_back,
                from: stored.look_back_from,
            },
            restarted: stored.restarted,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_window_of_ended_runs_without_an_upper_bound_is_rejected() {
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let mut live = LiveState::from(at, TimeDelta::hours(1));
        let window = |upper| Some(WindowProgress::new(upper, at));
        live.open.partial = window(latest_possible_time());
        live.ended.reading = window(at);
        let saved = serde_json::to_string(&live).expect("JSON");
        let read: LiveState = serde_json::from_str(&saved).expect("a state");
        assert_eq!(read, live);
        live.ended.reading = window(latest_possible_time());
        let saved = serde_json::to_string(&live).expect("JSON");
        let error = serde_json::from_str::<LiveState>(&saved).expect_err("no upper bound");
        assert!(error.to_string().contains("missing field `hi`"), "{error}");
    }
}
