//! Recording of a sync while it runs.

use std::{
    collections::{BTreeMap, btree_map},
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message as _;
use serde_json::value::RawValue;
use tonic::Status;
use zstd::stream::write::Encoder;

use super::{
    entry::{End, Entry, Exchange, FileHeader, NoResponseReason, VERSION},
    error::Error,
    redact::Redaction,
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
/// The compression level: the fastest one that finds the values of a response again in a message.
const LEVEL: i32 = 1;
/// The distance in which repetitions are found, in bytes, as a power of two. It covers a page of runs and the page's
/// messages.
const WINDOW: u32 = 22;
/// The time without an entry after which the file is flushed, so that a killed process leaves its entries there.
const IDLE: Duration = Duration::from_millis(500);

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

/// An entry that waits to be written, and its payload in pieces.
type Item = (Entry, Vec<Bytes>);

/// Writes a recording.
pub(super) struct Recorder {
    seed: u64,
    redaction: Redaction,
    started: Instant,
    /// The channel to the writer; `None` after the end.
    channel: Mutex<Option<SyncSender<Item>>>,
    has_ended: AtomicBool,
    /// The requests that wait for a response, with the number of each.
    open: Mutex<BTreeMap<Request, usize>>,
}

/// A request: the number of the tables that sent it, method, target and body.
type Request = (Option<u32>, String, String, Option<Vec<u8>>);

/// A recorder and the file that it writes.
pub struct Recording {
    recorder: Arc<Recorder>,
    writer: JoinHandle<io::Result<u64>>,
    path: PathBuf,
}

impl Recording {
    /// Begins a recording. The file must not exist.
    pub fn begin(
        path: &Path,
        about: &RecordingHeader,
        redaction: Redaction,
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
        let writer = thread::spawn(move || write(file, &items));
        let recorder = Recorder {
            seed: about.seed,
            redaction,
            started: Instant::now(),
            channel: Mutex::new(Some(channel)),
            has_ended: AtomicBool::new(false),
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

    /// Ends the recording, and returns the size of the file in bytes.
    pub fn finish(self) -> Result<u64, Error> {
        self.recorder.leave_open();
        let ms = milliseconds(self.recorder.started.elapsed());
        self.recorder.put(Entry::Complete { ms }, Vec::new());
        self.recorder.channel().take();
        let size = self.writer.join().unwrap_or_else(|_| {
            Err(io::Error::other(
                "the thread that writes the recording ended unexpectedly",
            ))
        });
        size.map_err(|source| Error::io("write", &self.path, source))
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

/// Writes entries until the channel is closed, and returns the size of the file.
fn write(file: File, items: &mpsc::Receiver<Item>) -> io::Result<u64> {
    let mut out = Encoder::new(BufWriter::new(file), LEVEL)?;
    out.window_log(WINDOW)?;
    loop {
        match items.recv_timeout(IDLE) {
            Ok((entry, payload)) => {
                let pieces: Vec<&[u8]> = payload.iter().map(AsRef::as_ref).collect();
                entry.write(&pieces, &mut out)?;
            }
            Err(RecvTimeoutError::Timeout) => out.flush()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let mut file = out.finish()?;
    file.flush()?;
    let file = file.get_ref();
    file.sync_all()?;
    Ok(file.metadata()?.len())
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
        if let Ok(response) = result {
            self.redaction.clean(request.target, response);
        }
        let response = result.as_ref().ok();
        let payload = response.map_or_else(Bytes::new, |response| response.body.clone().into());
        let exchange = Exchange {
            at: milliseconds(self.started.elapsed()),
            duration: milliseconds(duration),
            requester: request.requester,
            method: request.method.to_owned(),
            target: request.target.to_owned(),
            request_body: json_of(request.body),
            status: response.map(|response| response.status),
            headers: response.map_or_else(Vec::new, |response| response.headers.clone()),
            no_response: result
                .as_ref()
                .err()
                .copied()
                .map(NoResponseReason::from_no_response),
            bytes: payload.len(),
        };
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
