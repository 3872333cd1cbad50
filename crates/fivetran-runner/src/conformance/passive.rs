//! Examines the messages of a sync, one after another, as they arrive. Pure.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, de::IgnoredAny};
use sync_telemetry::counted;

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::{Catalogue, CheckpointPosition, Journal, Model, TableId, read},
    names, rules,
    schema::{Declared, Tables},
    sdk_operation::{FILE_PATH, Received, SdkOperation},
    select::ExpectedSelection,
    sent_columns::SentColumns,
    values::{self, ValueFault},
};
use secret_redactor::Redactor;

use crate::warehouse::tables_of;
use fivetran_proto::{Record, RecordType, schema_change::Change, update_response::Operation};

/// The most records of a message.
const BATCH: usize = 100;
/// The longest time that rows may wait for a checkpoint.
const CHECKPOINT_AGE: TimeDelta = TimeDelta::hours(1);

/// The shortest sync in which the number of checkpoints matters.
const LONG_SYNC: TimeDelta = TimeDelta::minutes(5);

/// The totals of what a sync sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The number of messages.
    pub messages: u64,
    /// The number of records.
    pub records: u64,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The bytes of all messages, as encoded.
    pub bytes: usize,
    /// The number of records in the largest batch.
    pub largest_batch: usize,
    /// The bytes of the largest message.
    pub largest_message: usize,
}

/// The findings and tables of all syncs of a test run.
#[derive(Default)]
pub(super) struct StreamChecker {
    pub(super) finding_log: FindingLog,
    pub(super) tables: Tables,
    pub(super) catalogue: Catalogue,
    pub(super) redactor: Redactor,
    /// The columns of all records.
    pub(super) sent: SentColumns,
    /// The protocol's limit of a message, in bytes.
    pub(super) message_limit: usize,
}

/// One sync, up to the last message.
pub(super) struct Sync {
    pub(super) name: String,
    pub(super) totals: Totals,
    pub(super) journal: Journal,
    /// The selection of the sync.
    pub(super) expected: ExpectedSelection,
    /// The rows so far, for a sync that starts without a state.
    rows: Option<Model>,
    task: bool,
    /// The number of records since the last checkpoint. The next field has the first one's message and time.
    unsaved: u64,
    unsaved_since: Option<(u64, DateTime<Utc>)>,
    /// The times of the first and of the last message.
    times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Tables that had rows in this sync.
    had_rows: HashSet<TableId>,
}

impl Sync {
    pub(super) fn new(name: String, expected: ExpectedSelection, is_fresh: bool) -> Self {
        Self {
            name,
            totals: Totals::default(),
            journal: Journal::default(),
            expected,
            rows: is_fresh.then(Model::default),
            task: false,
            unsaved: 0,
            unsaved_since: None,
            times: None,
            had_rows: HashSet::new(),
        }
    }

    fn place(&self) -> FindingLocation {
        FindingLocation::call(&self.name).message(self.totals.messages)
    }
}

impl StreamChecker {
    /// Examines the next message.
    pub(super) fn see(&mut self, sync: &mut Sync, message: &Received, now: DateTime<Utc>) {
        let size = message.size;
        sync.totals.messages += 1;
        sync.totals.bytes += size;
        sync.times = Some((sync.times.map_or(now, |(first, _)| first), now));
        sync.totals.largest_message = sync.totals.largest_message.max(size);
        if size > self.message_limit {
            let text = format!("the message has {size} bytes");
            self.finding_log
                .add(&rules::MESSAGE_SIZE, sync.place(), text);
        }
        if sync.task {
            let text = "a message follows a task";
            self.finding_log
                .add(&rules::TASK_NOT_LAST, sync.place(), text);
        }
        if let Some(own) = &message.own {
            self.sdk_operation(sync, own);
            return;
        }
        match &message.response.operation {
            Some(Operation::Record(record)) => {
                self.records(sync, std::slice::from_ref(record), now);
            }
            Some(Operation::Records(batch)) => self.records(sync, &batch.records, now),
            Some(Operation::Checkpoint(checkpoint)) => {
                self.checkpoint(sync, &checkpoint.state_json, now);
            }
            Some(Operation::SchemaChange(change)) => {
                self.schema_change(sync, change.change.as_ref());
            }
            Some(Operation::Warning(warning)) => {
                self.secret(sync.place(), "a warning", &warning.message);
            }
            Some(Operation::Task(task)) => {
                sync.task = true;
                self.secret(sync.place(), "a task", &task.message);
            }
            None => {
                let text = "the message contains no operation of the protocol";
                self.finding_log
                    .add(&rules::OPERATION_UNKNOWN, sync.place(), text);
            }
        }
    }

    /// Examines an operation of the Python SDK's own.
    fn sdk_operation(&mut self, sync: &mut Sync, own: &SdkOperation) {
        let place = sync.place().table(own.table());
        self.finding_log
            .add(&rules::SDK_OPERATION, place, own.describe());
        if let SdkOperation::Truncate {
            table,
            deferred: false,
        } = own
        {
            let truncate = Record {
                schema_name: table.schema.clone(),
                table_name: table.table.clone(),
                r#type: RecordType::Truncate.into(),
                data: BTreeMap::new(),
            };
            self.record(sync, &truncate);
        }
    }

    /// Examines what remains after the stream has ended well.
    pub(super) fn end(&mut self, sync: &Sync) {
        let is_fresh = sync.rows.is_some();
        if is_fresh && sync.totals.records > 0 && sync.totals.checkpoints == 0 {
            let records = counted(sync.totals.records, "record was", "records were");
            let text = format!("{records} sent, but no checkpoint");
            self.finding_log.add(
                &rules::CHECKPOINT_MISSING,
                FindingLocation::call(&sync.name),
                text,
            );
        } else if let Some((message, _)) = sync.unsaved_since {
            let records = counted(sync.unsaved, "record was", "records were");
            let text = format!("{records} sent after the last checkpoint");
            let place = FindingLocation::call(&sync.name).message(message);
            self.finding_log
                .add(&rules::ROWS_AFTER_CHECKPOINT, place, text);
        }
        self.frequent(sync);
    }

    fn frequent(&mut self, sync: &Sync) {
        let Some((first, last)) = sync.times else {
            return;
        };
        let (checkpoints, minutes) = (sync.totals.checkpoints, (last - first).num_minutes());
        if last - first >= LONG_SYNC && i64::try_from(checkpoints).is_ok_and(|it| it > minutes) {
            let text = format!("{checkpoints} checkpoints in {minutes} minutes");
            let place = FindingLocation::call(&sync.name);
            self.finding_log
                .add(&rules::CHECKPOINT_FREQUENT, place, text);
        }
    }

    /// Looks for secrets in a text that others will read.
    pub(super) fn secret(&mut self, place: FindingLocation, what: &str, text: &str) {
        if self.redactor.clean(text) != text {
            let text = format!("{what} contains a secret of the configuration");
            self.finding_log.add(&rules::SECRET_EXPOSED, place, text);
        }
    }

    fn schema_change(&mut self, sync: &Sync, change: Option<&Change>) {
        if let Some(change) = change {
            let list = tables_of(change.clone());
            self.tables
                .declare(list, &sync.place(), &mut self.finding_log);
        } else {
            let text = "a schema change without a schema";
            self.finding_log
                .add(&rules::OPERATION_UNKNOWN, sync.place(), text);
        }
    }

    fn checkpoint(&mut self, sync: &mut Sync, state: &str, now: DateTime<Utc>) {
        sync.totals.checkpoints += 1;
        if let Err(error) = serde_json::from_str::<IgnoredAny>(state) {
            let (line, column) = (error.line(), error.column());
            let text = format!("the state is not JSON (line {line}, column {column})");
            self.finding_log
                .add(&rules::CHECKPOINT_JSON, sync.place(), text);
        }
        self.secret(sync.place(), "a state", state);
        self.late(sync, now);
        sync.unsaved = 0;
        sync.unsaved_since = None;
        sync.journal.checkpoints.push(CheckpointPosition {
            ops: sync.journal.ops.len(),
            state: state.to_owned(),
        });
    }

    fn late(&mut self, sync: &Sync, now: DateTime<Utc>) {
        if let Some((message, since)) = sync.unsaved_since
            && now - since > CHECKPOINT_AGE
        {
            let minutes = (now - since).num_minutes();
            let text = format!("rows waited {minutes} minutes for a checkpoint");
            let place = FindingLocation::call(&sync.name).message(message);
            self.finding_log.add(&rules::CHECKPOINT_LATE, place, text);
        }
    }

    fn records(&mut self, sync: &mut Sync, records: &[Record], now: DateTime<Utc>) {
        sync.totals.records += records.len() as u64;
        sync.totals.largest_batch = sync.totals.largest_batch.max(records.len());
        if records.len() > BATCH {
            let text = format!("the message has {} records", records.len());
            self.finding_log.add(&rules::BATCH_SIZE, sync.place(), text);
        }
        if !records.is_empty() && sync.unsaved == 0 {
            sync.unsaved_since = Some((sync.totals.messages, now));
        }
        sync.unsaved += records.len() as u64;
        for record in records {
            self.record(sync, record);
        }
    }

    fn record(&mut self, sync: &mut Sync, record: &Record) {
        let id = TableId {
            schema: record.schema_name.clone(),
            table: record.table_name.clone(),
        };
        let at = sync.place().table(&id);
        let Ok(kind) = RecordType::try_from(record.r#type) else {
            let text = format!("a record has the unknown type {}", record.r#type);
            self.finding_log.add(&rules::OPERATION_UNKNOWN, at, text);
            return;
        };
        let Self {
            finding_log,
            tables,
            catalogue,
            sent,
            ..
        } = self;
        let nothing = Declared::default();
        let declared = tables.tables.get(&id).unwrap_or(&nothing);
        if tables.is_known && !tables.tables.contains_key(&id) {
            let text = "a record belongs to a table that is not in the schema";
            finding_log.add(&rules::TABLE_UNDECLARED, at.clone(), text);
        }
        if let Some((rule, _)) = sync.expected.rules
            && !sync.expected.has_table(&id)
        {
            let text = "the table is deselected but was sent";
            finding_log.add(rule, at.clone(), text);
        }
        if kind == RecordType::Truncate && sync.had_rows.contains(&id) {
            let text = "the table is truncated after some of its rows were sent";
            finding_log.add(&rules::TRUNCATE_LATE, at.clone(), text);
        }
        if kind != RecordType::Truncate {
            sync.had_rows.insert(id.clone());
        }
        let op = match read(catalogue, &id, &declared.key, kind, record) {
            Ok(op) => op,
            Err(column) => {
                let text = "a record has no value for a key column";
                finding_log.add(&rules::KEY_MISSING, at.column(&column), text);
                return;
            }
        };
        let at = at.key(&op.key);
        for column in record.data.keys() {
            let here = || at.clone().column(column);
            sent.add(&id, column, declared, here, finding_log);
        }
        columns(finding_log, sync, &id, declared, record, &at);
        if kind == RecordType::Upsert {
            complete(sent, sync, &id, declared, record, &at);
        }
        if let Some(rows) = &mut sync.rows
            && !rows.apply_one(&op)
        {
            let text = "the row to update was not sent before";
            finding_log.add(&rules::UPDATE_WITHOUT_ROW, at, text);
        }
        sync.journal.ops.push(op);
    }
}

/// Examines a record's columns and their values.
fn columns(
    finding_log: &mut FindingLog,
    sync: &Sync,
    id: &TableId,
    declared: &Declared,
    record: &Record,
    at: &FindingLocation,
) {
    for (column, value) in &record.data {
        // Built only for a finding.
        let here = || at.clone().column(column);
        let known = declared.columns.get(column);
        // The SDK adds this column to a row with a file.
        let is_file_path = column == FILE_PATH;
        if names::is_reserved(column) && !is_file_path {
            let text = "a record sets a column that is reserved for the platform";
            finding_log.add(&rules::NAME_RESERVED, here(), text);
        } else if known.is_none() && declared.is_whole() && !is_file_path {
            let text = "the column is not declared, but other columns of the table are";
            finding_log.add(&rules::COLUMN_UNDECLARED, here(), text);
        }
        if let Some((_, rule)) = sync.expected.rules
            && !sync.expected.has_column(id, column)
        {
            let text = "the column is deselected but was sent";
            finding_log.add(rule, here(), text);
        }
        let Some(value) = &value.inner else {
            finding_log.add(&rules::VALUE_MALFORMED, here(), "a value without a type");
            continue;
        };
        if values::has_time_of_day(value) {
            finding_log.add(&rules::DATE_WITH_TIME, here(), "the date has a time of day");
        }
        match values::check(value, known.map(|known| (known.kind, known.params))) {
            None => {}
            Some(ValueFault::Type(text)) => finding_log.add(&rules::TYPE_MISMATCH, here(), text),
            Some(ValueFault::Malformed(text)) => {
                finding_log.add(&rules::VALUE_MALFORMED, here(), text);
            }
        }
    }
}

/// Looks for declared columns that an upsert leaves out.
fn complete(
    sent: &mut SentColumns,
    sync: &Sync,
    id: &TableId,
    declared: &Declared,
    record: &Record,
    at: &FindingLocation,
) {
    let left_out = declared.columns.iter().filter(|(name, column)| {
        // A reserved name already is a finding where it is declared.
        !column.key && !record.data.contains_key(*name) && !names::is_reserved(name)
    });
    for (column, _) in left_out {
        if sync.expected.has_column(id, column) {
            sent.omit(id, column, at.clone().column(column));
        }
    }
}
