//! Comparison of the messages of a replayed sync with the recorded messages.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{entry::End, entry_reader::EntryReader, error::Error, recorded_sync::RecordedSync};
use crate::fivetran::{
    MessageSink,
    proto::{Record, RecordType, Selection, UpdateResponse, update_response::Operation},
};

/// The first byte of an encoded task: `UpdateResponse.task` = 5.
const TASK_TAG: u8 = 5 << 3 | 2;

/// Compares messages byte for byte, in their order.
pub(super) struct Comparison {
    recorded: Arc<RecordedSync>,
    /// The reader of the recorded messages.
    messages: Mutex<EntryReader>,
    /// Cancelled when a replay has sent all messages of a sync that was interrupted.
    enough: CancellationToken,
    sent: AtomicU64,
    progress: Mutex<ComparisonProgress>,
}

#[derive(Default)]
struct ComparisonProgress {
    same: u64,
    difference: Option<MessageDifference>,
    /// True if the last message was a task. The caller then drops the stream, perhaps before the sync reports its end.
    ends_with_task: bool,
    end: Option<End>,
}

/// The first difference between a replay and its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDifference {
    /// The number of the message, from 1.
    pub message: u64,
    /// The description of the recorded message or end.
    pub recorded: String,
    /// The description of the message or end of the replay.
    pub now: String,
}

/// The result of the comparison of a replay with its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The number of messages that are identical to the byte.
    pub same: u64,
    /// The number of messages in the recording.
    pub recorded: u64,
    /// The number of messages that the replay sent.
    pub sent: u64,
    /// The first difference; `None` if there is none.
    pub difference: Option<MessageDifference>,
}

impl Compared {
    /// Returns true if all recorded messages were sent again without a difference. This also works for a file that ends
    /// early, because the entries before a message in the file are enough to produce the message again.
    pub fn is_identical(&self) -> bool {
        self.difference.is_none() && self.same == self.recorded
    }
}

impl Comparison {
    pub(super) fn new(
        recorded: Arc<RecordedSync>,
        enough: CancellationToken,
    ) -> Result<Self, Error> {
        Ok(Self {
            messages: Mutex::new(recorded.open()?),
            recorded,
            enough,
            sent: AtomicU64::new(0),
            progress: Mutex::default(),
        })
    }

    fn next_recorded(&self) -> Option<Bytes> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.next_message()
    }

    fn progress(&self) -> MutexGuard<'_, ComparisonProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the result. It includes the comparison of the ends.
    pub(super) fn compared(&self) -> Compared {
        let progress = self.progress();
        let recorded = self.recorded.messages;
        let sent = self.sent.load(Ordering::SeqCst);
        let mut difference = progress.difference.clone();
        // The end of a sync is unknown if the recording was interrupted.
        let is_dropped = progress.end.is_none() && progress.ends_with_task;
        if difference.is_none()
            && !is_dropped
            && let Some(then) = &self.recorded.ended
            && progress.end.as_ref() != Some(then)
        {
            difference = Some(MessageDifference {
                message: sent + 1,
                recorded: end_in_words(Some(then)),
                now: end_in_words(progress.end.as_ref()),
            });
        }
        Compared {
            same: progress.same,
            recorded,
            sent,
            difference,
        }
    }
}

impl MessageSink for Comparison {
    fn begun(&self, _selection: Option<&Selection>, _state_json: Option<&str>) {}

    fn message(&self, message: Bytes) {
        if self.enough.is_cancelled() {
            return;
        }
        let at = self.sent.fetch_add(1, Ordering::SeqCst);
        self.progress().ends_with_task = message.first() == Some(&TASK_TAG);
        let then = self.next_recorded();
        let is_same = then.as_ref() == Some(&message);
        if is_same {
            self.progress().same += 1;
        } else if then.is_some() || self.recorded.ended.is_some() {
            self.progress()
                .difference
                .get_or_insert_with(|| MessageDifference {
                    message: at + 1,
                    recorded: then
                        .map_or_else(|| "no further message".to_owned(), |then| in_words(&then)),
                    now: in_words(&message),
                });
        }
        if self.recorded.ended.is_none() && at + 1 >= self.recorded.messages {
            self.enough.cancel();
        }
    }

    fn ended(&self, how: Result<(), &Status>) {
        self.progress().end.get_or_insert(End::from_result(how));
    }
}

fn end_in_words(end: Option<&End>) -> String {
    match end {
        None => "the sync did not end".to_owned(),
        Some(End::Completed) => "the sync succeeded".to_owned(),
        Some(End::Failed(failure)) => {
            format!("{:?}: {}", Code::from_i32(failure.code), failure.text)
        }
    }
}

/// Describes a message, without the values of its rows.
fn in_words(message: &[u8]) -> String {
    let Ok(UpdateResponse {
        operation: Some(operation),
    }) = UpdateResponse::decode(message)
    else {
        return format!("{} bytes that are not a message", message.len());
    };
    match operation {
        Operation::Record(record) => records_in_words(&[record]),
        Operation::Records(records) => records_in_words(&records.records),
        Operation::SchemaChange(_) => "a schema change".to_owned(),
        Operation::Checkpoint(checkpoint) => {
            format!("a checkpoint of {} bytes", checkpoint.state_json.len())
        }
        Operation::Warning(warning) => format!("the warning \"{}\"", warning.message),
        Operation::Task(task) => format!("the task \"{}\"", task.message),
    }
}

fn records_in_words(records: &[Record]) -> String {
    let mut text = String::new();
    let mut groups: Vec<(&str, &str, u64)> = Vec::new();
    for record in records {
        let kind = match record.r#type() {
            RecordType::Upsert => "upserts",
            RecordType::Update => "updates",
            RecordType::Delete => "deletes",
            RecordType::Truncate => "truncates",
        };
        match groups.last_mut() {
            Some((table, last, count)) if *table == record.table_name && *last == kind => {
                *count += 1;
            }
            _ => groups.push((&record.table_name, kind, 1)),
        }
    }
    for (table, kind, count) in groups {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{count} {kind} of {table}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::{entry::Entry, test_file::recording},
        *,
    };
    use crate::fivetran::proto::{Checkpoint, Task};

    /// Compares a replay that sends the only recorded message and does not report its end.
    fn compared(operation: Operation) -> Compared {
        let message = UpdateResponse {
            operation: Some(operation),
        };
        let message = message.encode_to_vec();
        let bytes = message.len();
        let file = recording(&[
            (Entry::Message { bytes }, &message[..]),
            (Entry::Ended(End::Completed), b""),
        ]);
        let recorded = Arc::new(RecordedSync::read(file.path()).unwrap());
        let comparison = Comparison::new(recorded, CancellationToken::new()).unwrap();
        comparison.message(message.into());
        comparison.compared()
    }

    #[test]
    fn a_sync_that_ends_with_a_task_may_be_dropped_and_another_one_may_not() {
        let task = Operation::Task(Task::default());
        assert!(compared(task).is_identical());
        let checkpoint = compared(Operation::Checkpoint(Checkpoint::default()));
        assert_eq!(checkpoint.same, 1);
        assert_eq!(
            checkpoint.difference.unwrap().recorded,
            "the sync succeeded"
        );
    }
}
