//! Tests of the windows that a sync reports.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};

use super::sync_harness::{SyncHarness, fill};
use crate::{
    sync::window_kind,
    telemetry::{Event, Observer, Telemetry, WindowKind},
};

type Window = (WindowKind, Option<DateTime<Utc>>, Option<DateTime<Utc>>);

#[derive(Debug, Default)]
struct WindowRecorder(Mutex<Vec<Window>>);

impl WindowRecorder {
    fn take_windows(&self) -> Vec<Window> {
        std::mem::take(&mut self.0.lock().expect("lock"))
    }
}

impl Observer for WindowRecorder {
    fn observe(&self, event: &Event) {
        if let Event::Window {
            table,
            kind,
            from,
            to,
            ..
        } = event
        {
            assert_eq!(*table, "flow_runs", "other tables are listed completely");
            let mut windows = self.0.lock().expect("lock");
            windows.push((*kind, *from, *to));
        }
    }
}

#[tokio::test]
async fn a_backfill_has_no_bounds_and_a_recheck_is_as_old_as_its_lag() {
    let recorder = Arc::new(WindowRecorder::default());
    let mut harness = SyncHarness::new(fill);
    harness.telemetry = Telemetry::new(vec![recorder.clone()]);
    harness.sync().await;
    let first = recorder.take_windows();
    assert_eq!(first[0], (window_kind::BACKFILL, None, None));

    harness.change(|world| world.now += 3_600);
    harness.sync().await;
    let later = recorder.take_windows();
    assert!(!later.iter().any(|window| window.0 == window_kind::BACKFILL));
    let ended = later
        .iter()
        .find(|window| window.0 == window_kind::NEW_ROWS);
    let (_, from, to) = ended.expect("the ended runs");
    assert!(from.is_some() && to.is_none(), "{ended:?}");
    let lag = TimeDelta::minutes(15);
    let recheck = window_kind::RECHECK.after(lag.to_std().expect("positive"));
    let recheck = later.iter().find(|window| window.0 == recheck);
    let (_, from, to) = recheck.expect("a recheck");
    // The window ends where the first sync ended: later runs were first read by this sync.
    let width = to.zip(*from).map(|(to, from)| to - from);
    let width = width.expect("a range");
    assert!(width > TimeDelta::zero() && width < lag, "{recheck:?}");
}
