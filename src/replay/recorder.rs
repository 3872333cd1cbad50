//! Recording of a sync while it runs.

use std::{
    collections::{BTreeMap, btree_map},
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message as _;
use serde_json::value::RawValue;
use tonic::Status;

use super::{
    entry::{End, Entry, Exchange, FileHeader, NoResponseReason, VERSION},
    error::Error,
    recording_file::{self, EarlyEnd, Item},
    redact::{Found, Redaction, is_csrf_token},
};
use crate::{
    fivetran::{
        MessageSink, SyncHooks,
        proto::{Selection, UpdateRequest},
    },
    prefect::{ExchangeResult, HttpInterceptor, RecordedRequest, StubResponse},
    sync::{LockTurn, Schedule, ScheduleRecorder},
};

/// The number of entries that may wait to be written. If there are more, the sync waits.
const QUEUE: usize = 256;

/// The properties of the recorded sync.
#[derive(Debug, Clone)]
pub struct RecordingHeader {
    /// The time at which the recording begins.
    pub began: DateTime<Utc>,
    /// The values of the setup form.
    pub configuration: BTreeMap<String, String>,
    /// The seed of everything that is otherwise random.
    pub seed: u64,
}

/// The purpose of a recording, which decides what the recording may change and how large it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingMode {
    /// The user requested the recording. Data is removed from responses before the sync reads them, so that the replay
    /// is exact whatever the responses contain.
    Requested,
    /// The user did not request the recording, so it must not change the sync. It ends early if a response contains a
    /// secret, or if the file becomes too large.
    Automatic {
        /// The maximum size of the file in bytes. Entries that wait to be compressed may exceed it a little.
        limit: u64,
    },
}

/// A recording that was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedRecording {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// True if the recording contains a sync, not only setup tests.
    pub has_sync: bool,
    /// The reason why the recording ends before its sync, if it does.
    pub early_end: Option<EarlyEnd>,
}

/// Writes a recording.
pub(super) struct Recorder {
    seed: u64,
    mode: RecordingMode,
    redaction: Redaction,
    started: Instant,
    /// The channel to the writer; `None` after the end.
    channel: Mutex<Option<SyncSender<Item>>>,
    has_sync: AtomicBool,
    has_ended: AtomicBool,
    /// Set when the recording ends before its sync. Nothing is recorded from then on.
    early_end: Arc<OnceLock<EarlyEnd>>,
    /// The requests that wait for a response, with the number of each.
    open: Mutex<BTreeMap<Request, usize>>,
}

/// A request: the number of the tables that sent it, method, target and body.
type Request = (Option<u32>, String, String, Option<Vec<u8>>);

/// A recorder and the file that it writes.
pub struct Recording {
    recorder: Arc<Recorder>,
    writer: JoinHandle<io::Result<File>>,
    path: PathBuf,
}

impl Recording {
    /// Begins a recording. The file must not exist.
    pub fn begin(
        path: &Path,
        about: &RecordingHeader,
        redaction: Redaction,
        mode: RecordingMode,
    ) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists {
                    path: path.to_owned(),
                },
                _ => Error::io("write", path, source),
            })?;
        let (configuration, hidden) = redaction.configuration(&about.configuration);
        let head = FileHeader {
            version: VERSION,
            connector: env!("CARGO_PKG_VERSION").to_owned(),
            began: about.began,
            seed: about.seed,
            configuration,
            hidden,
            redacted: redaction.columns(),
        };
        let (channel, items) = mpsc::sync_channel(QUEUE);
        // The channel is new and has room.
        let _ = channel.try_send((Entry::Recording(head), Vec::new()));
        let limit = match mode {
            RecordingMode::Requested => u64::MAX,
            RecordingMode::Automatic { limit } => limit,
        };
        let early_end = Arc::new(OnceLock::new());
        let end = Arc::clone(&early_end);
        let writer = thread::spawn(move || recording_file::write(file, &items, limit, &end));
        let recorder = Recorder {
            seed: about.seed,
            mode,
            redaction,
            started: Instant::now(),
            channel: Mutex::new(Some(channel)),
            has_sync: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            early_end,
            open: Mutex::default(),
        };
        Ok(Self {
            recorder: Arc::new(recorder),
            writer,
            path: path.to_owned(),
        })
    }

    /// Returns the hooks for the service.
    pub fn hooks(&self) -> SyncHooks {
        SyncHooks {
            interceptor: Some(self.recorder.clone()),
            schedule: Schedule::Recorded(self.recorder.clone()),
            messages: Some(self.recorder.clone()),
        }
    }

    /// Ends the recording.
    pub fn finish(self) -> Result<FinishedRecording, Error> {
        self.recorder.leave_open();
        let ms = milliseconds(self.recorder.started.elapsed());
        self.recorder.put(Entry::Complete { ms }, Vec::new());
        self.recorder.channel().take();
        let file = self.writer.join().unwrap_or_else(|_| {
            Err(io::Error::other(
                "the thread that writes the recording ended unexpectedly",
            ))
        });
        let bytes = file.and_then(|file| {
            file.sync_all()?;
            Ok(file.metadata()?.len())
        });
        Ok(FinishedRecording {
            bytes: bytes.map_err(|source| Error::io("write", &self.path, source))?,
            has_sync: self.recorder.has_sync.load(Ordering::SeqCst),
            early_end: self.recorder.early_end.get().copied(),
        })
    }

    /// Ends the recording and deletes its file.
    pub fn discard(self) {
        self.recorder.channel().take();
        let _ = self.writer.join();
        let _ = fs::remove_file(&self.path);
    }
}

impl Recorder {
    fn channel(&self) -> std::sync::MutexGuard<'_, Option<SyncSender<Item>>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<Request, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the requests that received no response.
    fn leave_open(&self) {
        for ((requester, method, target, body), times) in std::mem::take(&mut *self.open()) {
            for _ in 0..times {
                let exchange = Exchange {
                    at: milliseconds(self.started.elapsed()),
                    duration: 0,
                    requester,
                    method: method.clone(),
                    target: target.clone(),
                    request_body: json_of(body.as_deref()),
                    status: None,
                    headers: Vec::new(),
                    no_response: None,
                    bytes: 0,
                };
                self.put(Entry::Exchange(exchange), vec![Bytes::new()]);
            }
        }
    }

    fn put(&self, entry: Entry, payload: Vec<Bytes>) {
        if self.early_end.get().is_some() {
            return;
        }
        let channel = self.channel().clone();
        if let Some(channel) = channel {
            // Fails if the file could not be written, which the end of the recording reports.
            let _ = channel.send((entry, payload));
        }
    }
}

fn request_of(request: RecordedRequest<'_>) -> Request {
    let RecordedRequest {
        requester,
        method,
        target,
        body,
    } = request;
    (
        requester,
        method.to_owned(),
        target.to_owned(),
        body.map(<[u8]>::to_vec),
    )
}

fn json_of(body: Option<&[u8]>) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(body?).ok()?;
    RawValue::from_string(text.to_owned()).ok()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl HttpInterceptor for Recorder {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn intercept<'a>(&'a self, request: RecordedRequest<'a>) -> StubResponse<'a> {
        *self.open().entry(request_of(request)).or_default() += 1;
        Box::pin(std::future::ready(None))
    }

    fn on_response(
        &self,
        request: RecordedRequest<'_>,
        result: &mut ExchangeResult,
        duration: Duration,
    ) {
        if let btree_map::Entry::Occupied(mut times) = self.open().entry(request_of(request)) {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
            }
        }
        let mut recorded = result.clone();
        let found = recorded.as_mut().map_or(Found::Nothing, |response| {
            self.redaction.clean(request.target, response)
        });
        if self.mode != RecordingMode::Requested {
            if found == Found::Secrets {
                let _ = self.early_end.set(EarlyEnd::Secret);
                return;
            }
        } else if found != Found::Nothing && !is_csrf_token(request.target) {
            result.clone_from(&recorded);
        }
        let response = recorded.as_ref().ok();
        let exchange = Exchange {
            at: milliseconds(self.started.elapsed()),
            duration: milliseconds(duration),
            requester: request.requester,
            method: request.method.to_owned(),
            target: request.target.to_owned(),
            request_body: json_of(request.body),
            status: response.map(|response| response.status),
            headers: response.map_or_else(Vec::new, |response| response.headers.clone()),
            no_response: recorded
                .as_ref()
                .err()
                .copied()
                .map(NoResponseReason::from_no_response),
            bytes: response.map_or(0, |response| response.body.len()),
        };
        let payload = recorded.map_or_else(|_| Bytes::new(), |response| response.body.into());
        self.put(Entry::Exchange(exchange), vec![payload]);
    }
}

impl ScheduleRecorder for Recorder {
    fn turn(&self, turn: LockTurn) {
        self.put(Entry::Turn(turn.who, turn.ticket), Vec::new());
    }

    fn time(&self, now: DateTime<Utc>) {
        self.put(Entry::Time(now), Vec::new());
    }
}

impl MessageSink for Recorder {
    fn begun(&self, selection: Option<&Selection>, state_json: Option<&str>) {
        let request = UpdateRequest {
            selection: selection.cloned(),
            state_json: state_json.map(str::to_owned),
            ..UpdateRequest::default()
        };
        let payload = Bytes::from(request.encode_to_vec());
        let bytes = payload.len();
        self.has_sync.store(true, Ordering::SeqCst);
        self.put(Entry::Sync { bytes }, vec![payload]);
    }

    fn message(&self, message: Bytes) {
        let bytes = message.len();
        self.put(Entry::Message { bytes }, vec![message]);
    }

    fn ended(&self, how: Result<(), &Status>) {
        if self.has_ended.swap(true, Ordering::SeqCst) {
            return;
        }
        self.put(Entry::Ended(End::from_result(how)), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::recorded_sync::RecordedSync, *};
    use crate::prefect::RecordedResponse;

    const KEY: &str = "pnu_canary";

    /// Records one response, and returns the body that the sync receives and the end of the recording.
    fn record(
        mode: RecordingMode,
        target: &str,
        body: &str,
    ) -> (String, FinishedRecording, RecordedSync) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let about = RecordingHeader {
            began: DateTime::UNIX_EPOCH,
            configuration: BTreeMap::from([("api_key".to_owned(), KEY.to_owned())]),
            seed: 1,
        };
        let redaction = Redaction::new(&about.configuration, &[]).unwrap();
        let recording = Recording::begin(&path, &about, redaction, mode).unwrap();
        let request = RecordedRequest {
            requester: None,
            method: "GET",
            target,
            body: None,
        };
        let mut result = Ok(RecordedResponse {
            status: 200,
            headers: Vec::new(),
            body: body.to_owned(),
        });
        let hooks = &recording.recorder;
        hooks.begun(None, None);
        // The writer notices the limit after an entry, so there must be more of them.
        for _ in 0..100 {
            hooks.on_response(request, &mut result, Duration::ZERO);
        }
        hooks.ended(Ok(()));
        let finished = recording.finish().unwrap();
        let recorded = RecordedSync::read(&path).unwrap();
        assert_eq!(finished.bytes, fs::metadata(&path).unwrap().len());
        (result.unwrap().body, finished, recorded)
    }

    const AUTOMATIC: RecordingMode = RecordingMode::Automatic { limit: 1 << 20 };

    #[test]
    fn a_requested_recording_replaces_secrets_in_what_the_sync_reads() {
        let body = format!("[\"{KEY}\"]");
        let (read, finished, recorded) = record(RecordingMode::Requested, "/flows/filter", &body);
        assert_eq!(read, "[\"***\"]");
        assert_eq!(finished.early_end, None);
        assert_eq!(recorded.exchanges.len(), 100);
        assert!(recorded.is_complete);
    }

    #[test]
    fn an_automatic_recording_changes_no_response_and_ends_before_a_secret() {
        let body = format!("[\"{KEY}\"]");
        let (read, finished, recorded) = record(AUTOMATIC, "/flows/filter", &body);
        assert_eq!(read, body);
        assert_eq!(finished.early_end, Some(EarlyEnd::Secret));
        assert!(recorded.exchanges.is_empty() && recorded.ended.is_none());

        let body = r#"[{"id":"1","data":{"password":"x"}}]"#;
        let (read, finished, recorded) = record(AUTOMATIC, "/block_documents/filter", body);
        assert_eq!(read, body);
        assert!(finished.early_end.is_none() && finished.has_sync && recorded.is_complete);
        let recorded_bytes = recorded.exchanges[0].exchange.bytes;
        assert_eq!(recorded_bytes, r#"[{"id":"1","data":null}]"#.len());
    }

    #[test]
    fn an_automatic_recording_ends_at_its_limit_and_can_be_read() {
        // Random text, since repetitions take no space.
        let mut chance = <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(1);
        let letters = (0..400_000).map(|_| rand::Rng::random_range(&mut chance, 'a'..='z'));
        let body: String = letters.collect();
        let mode = RecordingMode::Automatic { limit: 100_000 };
        let (_, finished, recorded) = record(mode, "/flows/filter", &body);
        assert_eq!(finished.early_end, Some(EarlyEnd::TooLarge));
        assert!(
            (100_000..1_000_000).contains(&finished.bytes),
            "{finished:?}"
        );
        assert!(!recorded.exchanges.is_empty() && recorded.exchanges.len() < 100);
        assert!(!recorded.is_complete && recorded.ended.is_none());
    }

    /// Otherwise a server that requires CSRF tokens would reject all requests of a recorded sync.
    #[test]
    fn a_csrf_token_is_not_recorded_but_reaches_the_sync() {
        for mode in [RecordingMode::Requested, AUTOMATIC] {
            let body = r#"{"token":"abc"}"#;
            let (read, finished, recorded) = record(mode, "/csrf-token?client=me", body);
            assert_eq!(read, body);
            assert_eq!(finished.early_end, None);
            let recorded_bytes = recorded.exchanges[0].exchange.bytes;
            assert_eq!(recorded_bytes, r#"{"token":"redacted"}"#.len());
        }
    }

    #[test]
    fn a_discarded_recording_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let about = RecordingHeader {
            began: DateTime::UNIX_EPOCH,
            configuration: BTreeMap::new(),
            seed: 1,
        };
        let recording = Recording::begin(&path, &about, Redaction::default(), AUTOMATIC);
        recording.unwrap().discard();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
