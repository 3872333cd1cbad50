//! Tests of the timeline with single events.

use std::{future::Future, pin::Pin, sync::atomic::AtomicI64, sync::atomic::Ordering};

use super::*;
use sync_telemetry::WindowKind;

/// A clock that the test sets.
#[derive(Debug, Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::Relaxed)).unwrap()
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

fn route(path: &'static str, tables: &[&'static str]) -> Route {
    Route {
        path,
        tables: tables.to_vec(),
    }
}

fn request(path: &str, status: Option<u16>, millis: u64) -> Event {
    Event::Request {
        path: path.to_owned(),
        status,
        bytes: 10,
        took: Duration::from_millis(millis),
    }
}

#[test]
fn requests_are_of_the_listing_that_their_path_names() {
    let clock = Arc::new(Set::default());
    let routes = vec![
        route("/pools", &["pools"]),
        route("/pools/{}/workers", &["workers"]),
        route("/runs", &["runs", "parts"]),
        route("/versions", &["server"]),
        route("/admin", &["server"]),
    ];
    let timeline = Timeline::new(clock.clone(), routes);
    let requests = [
        ("/pools/filter", Some(200)),
        ("/runs/filter", None),
        ("/pools/a%2Fb/workers/filter", Some(200)),
        ("/pools/a", Some(404)),
        ("/runsx/filter", Some(200)),
        ("/admin/version", Some(200)),
        ("/versions", Some(200)),
    ];
    for (path, status) in requests {
        timeline.observe(&request(path, status, 0));
    }
    let seen = timeline.seen();
    let tracks: Vec<_> = seen
        .tracks
        .iter()
        .map(|track| {
            let sum = track.requests.sum();
            (track.name.as_str(), sum.count, sum.failed, sum.bytes)
        })
        .collect();
    let want = [
        ("pools", 2, 1, 20),
        ("workers", 1, 0, 10),
        ("runs, parts", 1, 1, 10),
        ("server", 2, 0, 20),
        (OTHER, 1, 0, 10),
    ];
    assert_eq!(tracks, want);
    let statuses: Vec<_> = seen.statuses.into_iter().collect();
    assert_eq!(statuses, [(None, 1), (Some(200), 5), (Some(404), 1)]);
}

#[test]
fn requests_of_setup_tests_are_counted_separately() {
    let clock = Arc::new(Set(AtomicI64::new(0)));
    let timeline = Timeline::new(clock, vec![route("/runs", &["runs"])]);
    timeline.observe(&Event::TestStarted);
    timeline.observe(&request("/runs/filter", Some(200), 0));
    timeline.observe(&Event::Wait {
        path: "/runs/filter".to_owned(),
        why: "429".to_owned(),
        wait: Duration::from_secs(1),
    });
    timeline.observe(&Event::TestDone);
    assert!(!timeline.seen().is_empty());
    timeline.observe(&request("/runs/filter", Some(200), 0));
    let seen = timeline.seen();
    let tallies: Vec<_> = seen
        .tallies()
        .iter()
        .map(|it| (it.requests, it.retries))
        .collect();
    assert_eq!((seen.setup_requests(), &*tallies), (1, &[(1, 0)][..]));
    assert_eq!(seen.statuses[&Some(200)], 1);
    assert!(seen.reasons.is_empty());
    let names: Vec<_> = seen.timeline_rows().map(|track| &*track.name).collect();
    assert_eq!(names, [SETUP_TESTS, "runs"]);
}

#[test]
fn times_are_since_the_beginning_and_waits_have_their_reasons() {
    let clock = Arc::new(Set(AtomicI64::new(5_000)));
    let timeline = Timeline::new(clock.clone(), vec![route("/runs", &["runs", "parts"])]);
    let table = "runs";
    timeline.observe(&Event::TableStarted { table });
    clock.0.store(5_300, Ordering::Relaxed);
    timeline.observe(&request("/runs/filter", Some(429), 200));
    let wait = |why: &str, millis| Event::Wait {
        path: "/runs/filter".to_owned(),
        why: why.to_owned(),
        wait: Duration::from_millis(millis),
    };
    timeline.observe(&wait("429", 400));
    timeline.observe(&wait(BUDGET, 1_000));
    let (from, to) = (Some(clock.now()), None);
    timeline.observe(&Event::Window {
        table,
        kind: WindowKind::new(0, "new rows"),
        from,
        to,
        now: from,
    });
    timeline.observe(&Event::Page { table, read: 70 });
    clock.0.store(6_000, Ordering::Relaxed);
    timeline.observe(&Event::TableDone { table });

    let seen = timeline.seen();
    assert_eq!(seen.took, Duration::from_secs(1));
    let [track] = seen.tracks.as_slice() else {
        panic!("{seen:?}");
    };
    let millis = Duration::from_millis;
    let request = track.requests.sum();
    assert_eq!((request.failed, request.to), (1, millis(300)));
    assert_eq!(track.requests.iter().next().unwrap().from, millis(100));
    let retry = track.retries.iter().next().unwrap();
    assert_eq!((retry.from, retry.to), (millis(300), millis(700)));
    assert_eq!(track.budget_waits.sum().together, millis(1_000));
    assert_eq!(track.read, 70);
    assert_eq!(track.spans, [("runs", millis(0), Some(millis(1_000)))]);
    assert_eq!(seen.reasons["429"], (1, millis(400)));
    assert_eq!(seen.windows.tables[0].0, "runs");
}

#[test]
fn reasons_are_bounded() {
    let timeline = Timeline::new(Arc::new(Set::default()), Vec::new());
    for number in 0..100 {
        timeline.observe(&Event::Wait {
            path: "/x".to_owned(),
            why: number.to_string(),
            wait: Duration::from_secs(1),
        });
    }
    let seen = timeline.seen();
    assert_eq!(seen.reasons.len(), MOST_REASONS + 1);
    let together: u64 = seen.reasons.values().map(|(count, _)| count).sum();
    assert_eq!(together, 100);
}
