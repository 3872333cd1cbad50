//! Recordings: a replay equals the recorded sync byte for byte, whatever happened during it. A recording contains no
//! secrets and, if the user wants that, no row contents.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use fivetran_source::{
    fivetran::{Service, server},
    replay::{Recording, RecordingHeader, RecordingMode, Redaction, ReplayClock},
    telemetry::Telemetry,
};
use futures::StreamExt as _;
use prefect_fake::{
    Auth, Interceptor, Options, Population, Server,
    changes::{NewRun, NewState},
    handler::{ApiRequest, ApiResponse},
    hourly_activity,
    model::{Json, StateType},
    population::fixed_now,
    store::Store,
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

const KEY: &str = "pnu_canary_90e2";
const HEADER: &str = "hdr_canary_41b7";
/// A value in a run's parameters.
const CONTENT: &str = "row_canary_c3d8";

/// Spoils responses, and cancels the sync after a given number of requests.
struct Storm {
    chance: SmallRng,
    spoilt: f64,
    requests: u64,
    /// The number of requests after which the sync's caller disconnects, and the token that cancels the sync.
    gone: Option<(u64, CancellationToken)>,
}

impl Interceptor for Storm {
    fn before(&mut self, store: &mut Store, _asked: &ApiRequest) -> Option<ApiResponse> {
        self.requests += 1;
        if let Some((after, gone)) = &self.gone
            && self.requests == *after
        {
            gone.cancel();
        }
        let mut answer = ApiResponse::text(503, "{}".to_owned());
        // The workspace changes while it is read.
        if self.chance.random_bool(0.1) {
            hourly_activity::simulate_hour(store, u32::try_from(self.requests % 24).unwrap());
        }
        // The setup tests retry only a few times.
        if self.requests < 20 || !self.chance.random_bool(self.spoilt) {
            return None;
        }
        match self.chance.random_range(0..4) {
            0 => {}
            1 => answer.status = 500,
            2 => {
                answer.status = 429;
                answer.headers.push(("retry-after", "7".to_owned()));
            }
            _ => {
                answer.status = 200;
                "[{\"id\":".clone_into(&mut answer.body);
            }
        }
        Some(answer)
    }
}

/// A workspace, and a folder for recordings.
struct ReplayHarness {
    prefect: Server,
    folder: TempDir,
    /// The limit of concurrent requests; `None` leaves the setting out.
    concurrency: Option<u32>,
}

impl ReplayHarness {
    async fn start(seed: u64) -> Self {
        let population = Population {
            runs: 150,
            ..Population::small(seed, fixed_now())
        };
        let options = Options {
            auth: Auth::Bearer(KEY.to_owned()),
            ..Options::new(population.with_full_workspace())
        };
        Self {
            prefect: Server::start(options).await.unwrap(),
            folder: TempDir::new().unwrap(),
            concurrency: None,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configuration(&self) -> BTreeMap<String, String> {
        let mut answers = self.fixed_answers();
        if let Some(concurrency) = self.concurrency {
            answers.insert("concurrency".to_owned(), concurrency.to_string());
        }
        answers
    }

    fn fixed_answers(&self) -> BTreeMap<String, String> {
        let headers = json!({ "CF-Access-Client-Secret": HEADER }).to_string();
        [
            ("api_url", self.prefect.url().as_str()),
            ("api_key", KEY),
            ("extra_headers", &headers),
            ("batch_size", "20"),
            ("sync_logs", "true"),
            ("sync_events", "true"),
            ("sync_flow_run_state_history", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Records a sync into `files`, on a clock on which waiting takes no time.
    async fn record(&self, to: &Path, redact: &[String], cancel: CancellationToken) {
        let configuration = self.configuration();
        let about = RecordingHeader {
            began: fixed_now(),
            configuration: configuration.clone(),
            seed: 7,
        };
        let redaction = Redaction::new(&configuration, redact).unwrap();
        let recording = Recording::begin(to, &about, redaction, RecordingMode::Requested);
        let recording = recording.unwrap();
        let stop = CancellationToken::new();
        let clock = Arc::new(ReplayClock::new(fixed_now()));
        let service = Service::new(clock.clone(), Telemetry::default(), stop.clone())
            .with_hooks(recording.hooks());
        let (wire, calls) = fivetran_runner::within();
        let callers = UnboundedReceiverStream::new(calls).map(Ok);
        let end = stop.clone().cancelled_owned();
        let serving = tokio::spawn(server::serve_to(callers, service, stop.clone(), end));
        let options = fivetran_runner::Options::new(wire, configuration, self.file("files"));
        let clock = Arc::new(fivetran_source::clock::SystemClock);
        fivetran_runner::run(options, clock, cancel).await.unwrap();
        stop.cancel();
        serving.await.unwrap().unwrap();
        recording.finish().unwrap();
    }

    async fn replay(&self, arguments: &[&Path]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
        command.arg("replay").args(arguments);
        // A replay must not send any request.
        command.env("HTTP_PROXY", "http://127.0.0.1:1");
        spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    async fn assert_identical(&self, recording: &Path) -> String {
        let output = self.replay(&[recording]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        assert_eq!(
            text.lines().last(),
            Some("Replay IDENTICAL"),
            "{text}{errors}"
        );
        text
    }
}

/// Returns the decompressed text of a recording.
fn unpacked(file: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let file = File::open(file).unwrap();
    // A truncated file is read as far as possible.
    let _ = zstd::stream::read::Decoder::new(file)
        .unwrap()
        .read_to_end(&mut text);
    text
}

fn pack(text: &[u8], file: &Path) {
    let mut out = zstd::stream::write::Encoder::new(File::create(file).unwrap(), 1).unwrap();
    out.write_all(text).unwrap();
    out.finish().unwrap();
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    bytes
        .windows(canary.len())
        .any(|window| window == canary.as_bytes())
}

fn storm(seed: u64, spoilt: f64, gone: Option<(u64, CancellationToken)>) -> Storm {
    Storm {
        chance: SmallRng::seed_from_u64(seed),
        spoilt,
        requests: 0,
        gone,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_the_recorded_sync_to_the_byte() {
    for seed in 0..3 {
        let harness = ReplayHarness::start(seed).await;
        for sync in ["first.rec", "second.rec"] {
            harness.prefect.set_interceptor(storm(seed, 0.15, None));
            let file = harness.file(sync);
            harness.record(&file, &[], CancellationToken::new()).await;
            let text = harness.assert_identical(&file).await;
            assert!(!text.contains("not recorded"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_into_a_folder_writes_the_rows_of_the_recorded_sync() {
    let harness = ReplayHarness::start(81).await;
    let file = harness.file("a.rec");
    harness.record(&file, &[], CancellationToken::new()).await;
    let folder = harness.file("replayed");
    let output = harness.replay(&[&file, Path::new("--dir"), &folder]).await;
    assert!(output.status.success(), "{output:?}");
    let warehouses = [harness.file("files"), folder].map(|dir| {
        let warehouse = dir.join(fivetran_runner::WAREHOUSE_FILE);
        fivetran_runner::digests(&warehouse).unwrap()
    });
    assert!(!warehouses[0].is_empty());
    assert_eq!(warehouses[0], warehouses[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_exported_as_an_http_archive_without_secrets() {
    let harness = ReplayHarness::start(91).await;
    let file = harness.file("a.rec");
    harness.record(&file, &[], CancellationToken::new()).await;
    let exchanges = entries(&unpacked(&file));
    let exchanges = exchanges.iter().filter(|entry| entry.kind == "exchange");
    let archive = harness.file("a.har");
    let arguments: [&Path; 3] = [&file, Path::new("--write-har"), &archive];
    let output = harness.replay(&arguments).await;
    assert!(output.status.success(), "{output:?}");
    let bytes = fs::read(&archive).unwrap();
    assert!(!holds(&bytes, KEY) && !holds(&bytes, HEADER));
    let read: Value = serde_json::from_slice(&bytes).unwrap();
    let requests = read["log"]["entries"].as_array().unwrap();
    assert_eq!(requests.len(), exchanges.count());
    let first = requests[0]["request"]["url"].as_str().unwrap();
    assert!(first.starts_with(&harness.prefect.url()), "{first}");
    // An existing file stays as it is.
    let output = harness.replay(&arguments).await;
    assert!(!output.status.success());
    assert_eq!(fs::read(&archive).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_sync_is_replayed_up_to_its_interruption() {
    let harness = ReplayHarness::start(11).await;
    for (name, after) in [("early.rec", 30), ("late.rec", 60), ("rest.rec", 10_000)] {
        let cancel = CancellationToken::new();
        let gone = Some((after, cancel.clone()));
        harness.prefect.set_interceptor(storm(after, 0.05, gone));
        let file = harness.file(name);
        harness.record(&file, &[], cancel).await;
        let text = harness.assert_identical(&file).await;
        assert_eq!(
            text.contains("the sync was interrupted"),
            after < 10_000,
            "{text}"
        );
    }
}

/// Most tables are waiting to send their next request when the sync is interrupted. The replay sends that request, for
/// which the recording has no response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_the_interruption_prevented_do_not_disturb_the_replay() {
    let harness = ReplayHarness {
        concurrency: Some(1),
        ..ReplayHarness::start(61).await
    };
    for after in (24..64).step_by(5) {
        let cancel = CancellationToken::new();
        let gone = Some((after, cancel.clone()));
        harness.prefect.set_interceptor(storm(after, 0.1, gone));
        let file = harness.file(&format!("{after}.rec"));
        fs::remove_dir_all(harness.file("files")).ok();
        harness.record(&file, &[], cancel).await;
        let text = harness.assert_identical(&file).await;
        assert!(text.contains("the sync was interrupted"), "{text}");
        assert!(!text.contains("not recorded"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_answer_is_another_sync_and_the_first_difference_is_named() {
    let harness = ReplayHarness::start(21).await;
    let file = harness.file("true.rec");
    harness.record(&file, &[], CancellationToken::new()).await;
    let text = unpacked(&file);
    // Replaces one state in all response bodies by another of the same length.
    let (complete, cancelled) = (br#""type":"COMPLETED""#, br#""type":"CANCELLED""#);
    let mut false_text = text.clone();
    let mut places = 0;
    for at in 0..text.len() - complete.len() {
        if text[at..].starts_with(complete) {
            false_text[at..at + cancelled.len()].copy_from_slice(cancelled);
            places += 1;
        }
    }
    assert!(places > 0);
    let changed = harness.file("false.rec");
    pack(&false_text, &changed);
    let output = harness.replay(&[&changed]).await;
    let schedule = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{schedule}");
    assert!(schedule.ends_with("Replay DIFFERS\n"), "{schedule}");
    assert!(schedule.contains("\n  recorded: "), "{schedule}");
}

/// An entry of a recording: its kind, its line, and the place of its payload.
struct Entry {
    kind: String,
    line: Value,
    payload: Range<usize>,
}

/// Splits the text of a recording into its entries.
fn entries(text: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = at + text[at..].iter().position(|byte| *byte == b'\n').unwrap();
        let line: Value = serde_json::from_slice(&text[at..end]).unwrap();
        let (kind, content) = line.as_object().unwrap().iter().next().unwrap();
        let (kind, content) = (kind.clone(), content.clone());
        at = end + 1;
        let bytes = content["bytes"].as_u64();
        let payload = at..at + bytes.map_or(0, |bytes| usize::try_from(bytes).unwrap());
        // A line feed follows the payload.
        at = payload.end + usize::from(bytes.is_some());
        entries.push(Entry {
            kind,
            line: content,
            payload,
        });
    }
    entries
}

/// Tests that a replay compares every byte of a message, and that rows come from the recorded responses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_changed_byte_of_a_message_or_a_response_is_a_difference() {
    let harness = ReplayHarness::start(71).await;
    let file = harness.file("true.rec");
    harness.record(&file, &[], CancellationToken::new()).await;
    let text = unpacked(&file);
    let entries = entries(&text);

    // The place of the byte, and the number of the message that differs, if it is known.
    let mut changes: Vec<(usize, Option<usize>)> = Vec::new();
    let messages = entries.iter().filter(|entry| entry.kind == "message");
    let messages: Vec<_> = messages.enumerate().collect();
    let count = messages.len();
    for (number, entry) in messages {
        if [0, 1, count / 2, count - 2, count - 1].contains(&number) {
            changes.push((entry.payload.end - 1, Some(number + 1)));
        }
    }
    // Of other collections, a response may be used for its ids alone, or requested again before its rows are sent.
    for target in [
        "/deployments/filter",
        "/automations/filter",
        "/block_types/filter",
    ] {
        let name = br#""name":""#;
        // A table sent the request, not a setup test.
        let is_of_table = |it: &&Entry| it.line["target"] == target && it.line["by"].is_u64();
        let of_target = entries.iter().filter(is_of_table);
        let place = of_target.clone().find_map(|entry| {
            let body = &text[entry.payload.clone()];
            let place = body.windows(name.len()).position(|it| it == name)?;
            Some(entry.payload.start + place + name.len())
        });
        let Some(place) = place else {
            panic!("{} responses of {target}", of_target.count());
        };
        changes.push((place, None));
    }
    assert_eq!(changes.len(), 8);

    let edited_file = harness.file("edited_file.rec");
    for (place, message) in changes {
        let mut changed_text = text.clone();
        // Stays a letter or a digit in a text.
        changed_text[place] ^= 1;
        pack(&changed_text, &edited_file);
        let output = harness.replay(&[&edited_file]).await;
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{place}: {report}");
        assert!(report.ends_with("Replay DIFFERS\n"), "{place}: {report}");
        if let Some(message) = message {
            let line = format!("\nMessage {message}:\n");
            assert!(report.contains(&line), "{place}: {report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_recording_is_replayed_up_to_its_end() {
    let harness = ReplayHarness::start(31).await;
    let file = harness.file("whole.rec");
    harness.record(&file, &[], CancellationToken::new()).await;
    let whole = fs::read(&file).unwrap();
    for (name, part) in [("most.rec", 9), ("half.rec", 5), ("start.rec", 2)] {
        let cut = harness.file(name);
        fs::write(&cut, &whole[..whole.len() / 10 * part]).unwrap();
        let text = harness.assert_identical(&cut).await;
        assert!(text.contains("the file ends early"), "{text}");
    }
    for (name, bytes) in [
        ("none.rec", &b""[..]),
        ("other.rec", b"{}\n"),
        ("begin.rec", &whole[..9]),
    ] {
        let broken = harness.file(name);
        fs::write(&broken, bytes).unwrap();
        let output = harness.replay(&[&broken]).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("is not a recording, or is damaged"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_in_no_recording_and_contents_only_if_wanted() {
    let harness = ReplayHarness::start(41).await;
    harness.prefect.with_store(|store| {
        let flow = store.flows().map(|flow| flow.id).min().unwrap();
        let mut run = NewRun::new(flow);
        run.parameters = Json::from_serialize(&json!({ "token": CONTENT, "key": KEY }));
        run.state = Some(NewState::new(StateType::Pending));
        store.create_run(run).unwrap();
    });
    let contents = [fivetran_source::replay::CONTENTS.to_owned()];
    for (name, redact) in [("all.rec", &[][..]), ("less.rec", &contents)] {
        let file = harness.file(name);
        fs::remove_dir_all(harness.file("files")).ok();
        harness
            .record(&file, redact, CancellationToken::new())
            .await;
        let text = unpacked(&file);
        assert!(!holds(&text, KEY) && !holds(&text, HEADER));
        assert_eq!(holds(&text, CONTENT), redact.is_empty());
        let warehouse = fs::read(harness.file("files/warehouse.db")).unwrap();
        assert!(!holds(&warehouse, KEY));
        assert_eq!(holds(&warehouse, CONTENT), redact.is_empty());
        harness.assert_identical(&file).await;
    }
    let again = Recording::begin(
        &harness.file("all.rec"),
        &RecordingHeader {
            began: fixed_now(),
            configuration: BTreeMap::new(),
            seed: 1,
        },
        Redaction::default(),
        RecordingMode::Requested,
    );
    let error = again.err().unwrap().to_string();
    assert!(error.contains("already exists"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_every_saved_state_the_warehouse_ends_the_same() {
    let harness = ReplayHarness::start(51).await;
    let file = harness.file("one.rec");
    harness.record(&file, &[], CancellationToken::new()).await;
    let states = harness.file("states");
    let output = harness
        .replay(&[&file, Path::new("--write-states"), &states])
        .await;
    assert!(output.status.success());
    // Only some of the states: each costs a sync or two.
    let mut files: Vec<_> = fs::read_dir(&states)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 40, "{}", files.len());
    for (at, file) in files.iter().enumerate() {
        if at % 12 != 5 {
            fs::remove_file(file).unwrap();
        }
    }
    let output = harness
        .replay(&[&file, Path::new("--states"), &states])
        .await;
    let schedule = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{schedule}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ends = schedule
        .lines()
        .filter(|line| line.ends_with("the warehouse is identical"));
    assert!(ends.count() >= 4, "{schedule}");
}
