//! Parses any saved state: the state is rejected or restored, and a sync continues from it without a panic.
#![no_main]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    error::ErrorClass,
    fuzz_api::bounded,
    prefect::{CountRequest, Error, ListRequest, ListResponse, PrefectApi, Unreachable},
    sync::{Engine, Op, State, SyncQuota, SyncSettings},
    tables,
    telemetry::Telemetry,
};
use libfuzzer_sys::fuzz_target;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const HERE: &str = "http://127.0.0.1:4200/api";

/// The time of the server's responses, a little after the times in the seeds.
const NOW: i64 = 1_795_240_000;

/// The number of requests after which the server is unreachable.
const REQUESTS: usize = 40;

fuzz_target!(|data: &[u8]| {
    // The bytes after the first NUL are choices; a state alone is enough.
    let (text, choices) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    if let Ok(mut state) = State::parse(Some(text), HERE) {
        let json = state.to_json().expect("serialises");
        assert_eq!(State::parse(Some(&json), HERE), Ok(state.clone()));
        let small = bounded(&mut state, 1_000).expect("serialises");
        assert!(small.len() <= json.len().max(1_000) + 200);
        assert_eq!(State::parse(Some(&small), HERE), Ok(state));
    }
    sync(text, choices);
});

/// Runs one sync from the state, against a server with few objects.
fn sync(state: &str, choices: &[u8]) {
    let choice = |at: usize| choices.get(at).copied().unwrap_or_default();
    let engine = Engine {
        schedule: fivetran_source::sync::Schedule::default(),
        api: Arc::new(Little {
            asked: AtomicUsize::new(0),
            choices: choices.to_vec(),
        }),
        clock: Arc::new(Stopped),
        telemetry: Telemetry::default(),
        page_size: 3,
        in_flight: SyncQuota::alone(NonZeroUsize::MIN),
        context: fuzz::context(false),
        settings: settings_of(choice(0)),
        retention: (choice(0) & 4 == 4).then(|| TimeDelta::days(7)),
        workspace: if choice(0) & 1 == 1 {
            "elsewhere"
        } else {
            HERE
        }
        .to_owned(),
        state_bytes: if choice(0) & 2 == 2 { 2_000 } else { 1_000_000 },
        stop: CancellationToken::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let (outbox, mut steps) = mpsc::channel(10_000);
    runtime.block_on(engine.run(&fuzz::everything(), Some(state), outbox));
    while let Ok(step) = steps.try_recv() {
        match step {
            Ok(ops) => {
                for op in ops {
                    if let Op::Checkpoint { state_json } = op {
                        let again = State::parse(Some(&state_json), HERE).expect("its own state");
                        assert_eq!(again.to_json().expect("serialises"), state_json);
                    }
                }
            }
            Err(error) => assert!(error.class() != ErrorClass::Bug, "{error}"),
        }
    }
}

/// A server whose listings return up to two samples of the table.
struct Little {
    asked: AtomicUsize,
    choices: Vec<u8>,
}

impl Little {
    /// Returns the choice for this request.
    fn choice(&self) -> Result<u8, Error> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked > REQUESTS {
            return Err(Error::Unreachable {
                host: "here".to_owned(),
                why: Unreachable::Refused,
            });
        }
        let choice = self.choices.get(asked + 1);
        Ok(choice.copied().unwrap_or_default())
    }
}

/// Returns the user's choices; one byte often sets several of them.
fn settings_of(choice: u8) -> SyncSettings {
    let at = |days: i64| DateTime::from_timestamp(NOW - days * 86_400, 0);
    SyncSettings {
        start: at(i64::from(choice)).filter(|_| choice & 8 == 8),
        look_back: TimeDelta::days(if choice & 16 == 16 { 1 } else { 30 }),
        include_scheduled: choice & 32 == 0,
        checkpoint_every: TimeDelta::seconds(if choice & 64 == 64 { 600 } else { 0 }),
        ..SyncSettings::default()
    }
}

impl PrefectApi for Little {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, Error> {
        let choice = self.choice()?;
        let table = tables::ALL
            .iter()
            .find(|table| table.endpoint == request.collection.0)
            .expect("a collection that a table has");
        let objects = match choice % 4 {
            0 => 0,
            more => usize::from(more) - 1,
        };
        let samples = table.samples.iter().cycle().take(objects);
        let body = format!("[{}]", samples.copied().collect::<Vec<_>>().join(","));
        let page = read(body).map_err(|_| Error::NotPrefect {
            url: String::new(),
            why: String::new(),
        })?;
        let later = i64::from(choice / 8) * 86_400;
        let time = DateTime::from_timestamp(NOW + later, 0);
        Ok(ListResponse {
            page,
            server_time: time.filter(|_| choice & 4 == 0),
        })
    }

    async fn count(&self, _: &CountRequest) -> Result<Option<u64>, Error> {
        Ok(match self.choice()? % 4 {
            0 => Some(0),
            1 => None,
            2 => Some(2),
            _ => Some(u64::MAX),
        })
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        Ok(Some("3.0.0".to_owned()))
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).expect("in range")
    }

    fn sleep(
        &self,
        _: Duration,
    ) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}
