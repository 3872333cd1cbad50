//! The messages of one sync, and the log line that says how the sync ended.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use chrono::{DateTime, Utc};
use futures::Stream;
use prost::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    SyncHooks,
    message_encoder::{self, DEFAULT_CLIENT_LIMIT, MessageEncoder},
    wire::Encoded,
};
use crate::{
    clock::Clock,
    error::ErrorClass,
    sync::{self, Op},
};

/// The steps of a sync, as its engine sends them.
pub(super) type Steps = mpsc::Receiver<Result<Vec<Op>, sync::Error>>;

/// The messages of one sync.
///
/// The stream logs how the sync ended: when it ends itself, or when the caller drops it.
pub struct UpdateStream {
    encoder: MessageEncoder,
    steps: Steps,
    /// The messages of the current step.
    messages: vec::IntoIter<Result<Encoded, Status>>,
    hooks: SyncHooks,
    counts: Counts,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    began: DateTime<Utc>,
    has_failed: bool,
    is_over: bool,
}

/// The operations of a sync so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    upserts: u64,
    deletes: u64,
    truncates: u64,
    checkpoints: u64,
    bytes: u64,
    /// The size of the largest message in bytes.
    largest: usize,
}

impl Counts {
    fn add(&mut self, op: &Op) {
        match op {
            Op::Upsert { .. } => self.upserts += 1,
            Op::Delete { .. } => self.deletes += 1,
            Op::Truncate { .. } => self.truncates += 1,
            Op::Checkpoint { .. } => self.checkpoints += 1,
            Op::Warning { .. } => {}
        }
    }

    fn add_message(&mut self, message: &Encoded) {
        let bytes = message.encoded_len();
        self.largest = self.largest.max(bytes);
        self.bytes += bytes as u64;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "upserts={} deletes={} truncates={} checkpoints={} bytes={}",
            self.upserts, self.deletes, self.truncates, self.checkpoints, self.bytes
        )
    }
}

impl UpdateStream {
    /// Creates the stream of the messages that `encoder` encodes. The sync began now;
    /// `stop` is cancelled when the process is asked to end.
    pub(super) fn new(
        encoder: MessageEncoder,
        steps: Steps,
        hooks: SyncHooks,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            encoder,
            steps,
            messages: Vec::new().into_iter(),
            hooks,
            counts: Counts::default(),
            began: clock.now(),
            clock,
            stop,
            has_failed: false,
            is_over: false,
        }
    }

    /// Encodes the messages of a step, or of the failure that ends the sync.
    fn encode(&mut self, step: Result<Vec<Op>, sync::Error>) -> Vec<Result<Encoded, Status>> {
        match step {
            Ok(ops) => {
                for op in &ops {
                    self.counts.add(op);
                }
                self.encoder.messages(ops).into_iter().map(Ok).collect()
            }
            Err(error) => {
                self.has_failed = true;
                vec![failure(&error)]
            }
        }
    }

    /// Logs the end of the sync with its counts and its time.
    fn log_end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let elapsed = self.clock.now() - self.began;
        let seconds = elapsed.as_seconds_f64();
        let counts = self.counts;
        if self.has_failed {
            tracing::warn!("sync failed: seconds={seconds:.1} {counts}");
        } else {
            tracing::info!("sync succeeded: seconds={seconds:.1} {counts}");
        }
    }

    /// Logs that the caller, or the end of the process, ended the sync.
    fn log_cut(&self) {
        let seconds = (self.clock.now() - self.began).as_seconds_f64();
        let counts = self.counts;
        if self.stop.is_cancelled() {
            tracing::warn!(
                "sync ended with the connector: the caller did not read its last messages in time: seconds={seconds:.1} {counts}"
            );
        } else if counts.largest > DEFAULT_CLIENT_LIMIT {
            let largest = counts.largest;
            tracing::warn!(
                "sync cancelled by the caller, perhaps because of a message of {largest} bytes: gRPC clients accept 4 MiB by default, and must be configured to accept 128 MiB: seconds={seconds:.1} {counts}"
            );
        } else {
            tracing::warn!("sync cancelled by the caller: seconds={seconds:.1} {counts}");
        }
    }
}

impl Stream for UpdateStream {
    type Item = Result<Encoded, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.messages.next() {
                self.hooks.sent(&message);
                match &message {
                    Ok(message) => self.counts.add_message(message),
                    Err(_) => self.log_end(),
                }
                return Poll::Ready(Some(message));
            }
            let Some(step) = ready!(self.steps.poll_recv(context)) else {
                if let Some(messages) = &self.hooks.messages {
                    messages.ended(Ok(()));
                }
                self.log_end();
                return Poll::Ready(None);
            };
            self.messages = self.encode(step).into_iter();
        }
    }
}

impl Drop for UpdateStream {
    fn drop(&mut self) {
        if !self.is_over {
            self.log_cut();
        }
    }
}

/// Returns the message or status that ends a sync with an error.
fn failure(error: &sync::Error) -> Result<Encoded, Status> {
    let text = error.message().format(error);
    match error.class() {
        ErrorClass::UserMustAct => {
            tracing::error!("sync failed, the user must act: {text}");
            Ok(message_encoder::task(text))
        }
        ErrorClass::Transient => {
            tracing::warn!("sync ended early: {text}");
            Err(Status::unavailable(text))
        }
        ErrorClass::Bug => {
            tracing::error!("sync failed because of an error in the connector: {text}");
            Err(Status::internal(text))
        }
    }
}
