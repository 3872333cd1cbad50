//! The four calls of a connector, in the order in which Fivetran makes them.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    Error, Options, RecordObserver, SyncOutcome, TestOutcome, UnknownFields,
    choose::{SyncTables, choose, divide},
    client::{Client, client, configuration_form, connect, described, is_connection_lost},
    database::{DuckDb, SyncEndEntry, SyncStartEntry},
    form,
    schema::{self, check_schema},
    state::{self, StateFile},
    transport::Transport,
    warehouse::{Warehouse, tables_of},
    warnings::Warnings,
    wire::{self, Operation},
    writer::{Input, write},
};
use fivetran_proto::{
    ConfigurationFormRequest, ConfigurationFormResponse, MAX_MESSAGE_BYTES, RecordType,
    SchemaRequest, Selection, TestRequest, UpdateRequest, schema_change::Change,
    schema_response::Response, test_response,
};
use secret_redactor::Redactor;
use sync_clock::Clock;

/// The number of messages that may wait for the warehouse. Beyond it the connector waits, too.
pub(super) const QUEUE: usize = 8;
/// The time without a message after which the warehouse checks whether a flush is due.
const IDLE: Duration = Duration::from_secs(1);

/// The reason why a sync failed.
pub(super) enum SyncFailure {
    /// The connector or its user must change something. The text is for them.
    Connector(String),
    /// The connection to the connector broke.
    ConnectionLost {
        /// The call that did not end, such as `the sync`.
        during: &'static str,
        /// The status that the transport reports.
        status: String,
    },
    /// The warehouse itself failed.
    Broken(Error),
}

impl From<Error> for SyncFailure {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// Runs a sync. For its contract see `super::run`.
pub(super) async fn drive(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    observer: Option<RecordObserver>,
) -> Result<SyncOutcome, Error> {
    check_schema(&options.schema)?;
    let start = start_state(&options)?;
    fs::create_dir_all(&options.dir).map_err(|error| Error::io("create", &options.dir, error))?;
    // The file is opened before the first call to the connector, so that a locked file costs the user no wait.
    let store = DuckDb::open(&options.warehouse_file())?;
    let mut store = store.keep(&options.schema, options.history)?;
    schema::check_state(&options, &start, &store)?;
    let channel = connect(&options.endpoint, options.start_within, &*clock).await?;
    let began = clock.now();
    let log = store.begin_sync(&SyncStartEntry {
        at: began,
        schema: &options.schema,
        full_refresh: options.full_refresh,
        state: &start,
        kept: state::read(&options.state_file()).ok().flatten().as_deref(),
    })?;
    let mut run = Run::new(&options, channel, Arc::clone(&clock), cancel);
    run.observer = observer;
    let (failure, broken) = match run.sync(&options, start, store).await {
        Ok(()) => (None, None),
        Err(SyncFailure::Connector(why)) => (Some(run.redactor.clean(&why).into_owned()), None),
        Err(SyncFailure::ConnectionLost { during, status }) => {
            let why = run.explain_lost_connection(&options, during, &status).await;
            (Some(why), None)
        }
        Err(SyncFailure::Broken(error)) => (Some(error.to_string()), Some(error)),
    };
    let ended = clock.now();
    let is_interrupted = run.cancel.is_cancelled();
    let mut outcome = run.outcome;
    outcome.failure = failure;
    outcome.warnings = run.warnings.into_list();
    outcome.took = (ended - began).to_std().unwrap_or_default();
    outcome.ended = ended;
    let logged = log.end(&SyncEndEntry {
        at: ended,
        outcome: match &outcome.failure {
            None => "succeeded",
            Some(_) if is_interrupted => "interrupted",
            Some(_) => "failed",
        },
        failure: outcome.failure.as_deref(),
        state: state::read(&options.state_file()).ok().flatten().as_deref(),
        counts: &outcome,
        counted: options.counters.as_ref().map(|counters| counters.counted()),
    });
    if let Err(error) = logged {
        // The rows that have landed are not affected.
        tracing::warn!("{error}");
    }
    broken.map_or(Ok(outcome), Err)
}

/// Returns the state to start from. Reads files, and changes nothing.
pub(super) fn start_state(options: &Options) -> Result<String, Error> {
    if options.full_refresh {
        return Ok(state::FRESH.to_owned());
    }
    if let Some(path) = &options.state {
        let path = path.clone();
        return state::read(&path)?.ok_or(Error::NoState { path });
    }
    let path = options.state_file();
    let Some(text) = state::read(&path)? else {
        return Ok(state::FRESH.to_owned());
    };
    let warehouse = options.warehouse_file();
    if text.trim() != state::FRESH && !warehouse.exists() {
        let state = path;
        return Err(Error::RowsMissing { state, warehouse });
    }
    Ok(text)
}

/// Runs the tests of a connector's form, or only the one with a name, and nothing else.
pub(super) async fn run_tests(
    transport: &Transport,
    answers: &BTreeMap<String, String>,
    only: Option<&str>,
) -> Result<Vec<TestOutcome>, Error> {
    let mut client = client(transport.connect().await?);
    let form = client.configuration_form(ConfigurationFormRequest {}).await;
    let form = form.map_err(|status| Error::NoForm {
        status: described(&status),
    })?;
    let mut form = form.into_inner();
    form.tests
        .retain(|test| only.is_none_or(|only| test.name == only));
    let configuration = form::complete(&form, answers);
    let redactor = form::redactor(&form, &configuration);
    Ok(run_form_tests(&mut client, &form, &configuration, &redactor).await)
}

/// Runs the tests of a form in order, up to the first that fails. Later tests depend on the earlier ones, and would
/// report the same.
async fn run_form_tests(
    client: &mut Client,
    form: &ConfigurationFormResponse,
    configuration: &BTreeMap<String, String>,
    redactor: &Redactor,
) -> Vec<TestOutcome> {
    let mut outcomes = Vec::new();
    for test in &form.tests {
        let request = TestRequest {
            name: test.name.clone(),
            configuration: configuration.clone().into_iter().collect(),
        };
        let answer = client.test(request).await;
        let failure = match answer.map(|answer| answer.into_inner().response) {
            Ok(Some(test_response::Response::Success(true))) => None,
            Ok(Some(test_response::Response::Failure(text))) => Some(text),
            Ok(_) => Some("it returned neither a success nor a failure".to_owned()),
            Err(status) => Some(described(&status)),
        };
        let label = if test.label.is_empty() {
            &test.name
        } else {
            &test.label
        };
        tracing::info!(test = label, passed = failure.is_none(), "ran a setup test");
        let is_last = failure.is_some();
        outcomes.push(TestOutcome {
            label: label.clone(),
            failure: failure.map(|text| redactor.clean(&text).into_owned()),
        });
        if is_last {
            break;
        }
    }
    outcomes
}

/// A running sync.
pub(super) struct Run {
    client: Client,
    channel: Channel,
    configuration: BTreeMap<String, String>,
    pub(super) redactor: Redactor,
    warnings: Warnings,
    pub(super) outcome: SyncOutcome,
    clock: Arc<dyn Clock>,
    pub(super) cancel: CancellationToken,
    observer: Option<RecordObserver>,
}

impl Run {
    pub(super) fn new(
        options: &Options,
        channel: Channel,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            client: client(channel.clone()),
            channel,
            configuration: options.configuration.clone(),
            redactor: Redactor::default(),
            warnings: Warnings::default(),
            outcome: SyncOutcome {
                warehouse: options.warehouse_file(),
                state: options.state_file(),
                history: options.history,
                ..SyncOutcome::default()
            },
            clock,
            cancel,
            observer: None,
        }
    }

    async fn sync(
        &mut self,
        options: &Options,
        start: String,
        store: DuckDb,
    ) -> Result<(), SyncFailure> {
        let cancel = self.cancel.clone();
        let (tables, selection) = tokio::select! {
            prepared = self.prepare(options) => prepared?,
            () = cancel.cancelled() => return Err(SyncFailure::Connector("interrupted".into())),
        };
        let file = StateFile::new(options.state_file());
        let kept = state::read(&options.state_file());
        if !kept.is_ok_and(|kept| kept.as_deref().unwrap_or(state::FRESH) == start) {
            // From the first row on, the old state would be ahead of the rows.
            file.write(&start)?;
        }
        let warehouse = Warehouse::new(store, file, options.schema.clone())
            .with_descriptions(options.descriptions.clone());
        let request = UpdateRequest {
            configuration: self.answers(),
            selection,
            state_json: Some(start),
        };
        self.update(request, warehouse, tables).await
    }

    /// Requests the form, runs its tests, and requests the schema. Returns the tables and their selection.
    pub(super) async fn prepare(
        &mut self,
        options: &Options,
    ) -> Result<(SyncTables, Option<Selection>), SyncFailure> {
        // Until the form is known, names that sound secret decide what is secret.
        self.redactor = form::redactor_by_names(&self.configuration);
        let (client, clock) = (&mut self.client, &*self.clock);
        let form = configuration_form(client, options.start_within, clock)
            .await
            .map_err(|status| refused("the setup form", &status))?;
        if options.unknown_fields == UnknownFields::Warn {
            for name in form::unknown(&form, &self.configuration) {
                self.warn(&format!("the setup form has no field `{name}`"));
            }
        }
        self.configuration = form::complete(&form, &self.configuration);
        self.redactor = form::redactor(&form, &self.configuration);
        if !options.skip_tests {
            self.test(&form).await?;
        }
        let schema = self
            .client
            .schema(SchemaRequest {
                configuration: self.answers(),
            })
            .await
            .map_err(|status| refused("the schema", &status))?
            .into_inner();
        let selection =
            choose(&schema, &options.selection).map_err(|name| Error::UnknownTable { name })?;
        let tables = match schema.response {
            Some(Response::WithSchema(list)) => tables_of(Change::WithSchema(list)),
            Some(Response::WithoutSchema(list)) => tables_of(Change::WithoutSchema(list)),
            Some(Response::SchemaResponseNotSupported(_)) | None => Vec::new(),
        };
        Ok((divide(tables, selection.as_ref()), selection))
    }

    /// Runs the tests of the form.
    async fn test(&mut self, form: &ConfigurationFormResponse) -> Result<(), SyncFailure> {
        let (client, redactor) = (&mut self.client, &self.redactor);
        self.outcome.tests = run_form_tests(client, form, &self.configuration, redactor).await;
        match self.outcome.tests.last() {
            Some(TestOutcome {
                label,
                failure: Some(text),
            }) => Err(SyncFailure::Connector(format!("{label}: {text}"))),
            _ => Ok(()),
        }
    }

    /// Runs the sync itself. Messages are read here and landed on a thread of their own.
    async fn update(
        &mut self,
        request: UpdateRequest,
        warehouse: Warehouse<DuckDb>,
        tables: SyncTables,
    ) -> Result<(), SyncFailure> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let clock = Arc::clone(&self.clock);
        let writer =
            tokio::task::spawn_blocking(move || write(warehouse, tables, receiver, &*clock));
        let read = self.read(request, &sender).await;
        drop(sender);
        let written = writer.await.map_err(|_| Error::Lost)??;
        self.outcome.operations = written.operations;
        self.outcome.tables = written.tables;
        for note in written.notes {
            self.warn(&note);
        }
        // If the warehouse rejected something, that is the cause, and the way in which the stream ended is not.
        written
            .refused
            .map_or(read, |why| Err(SyncFailure::Connector(why)))
    }

    /// Calls `Update` and passes the operations on.
    pub(super) async fn read(
        &mut self,
        request: UpdateRequest,
        sender: &mpsc::Sender<Input>,
    ) -> Result<(), SyncFailure> {
        let cancel = self.cancel.clone();
        let answer = tokio::select! {
            answer = wire::update(self.channel.clone(), request, MAX_MESSAGE_BYTES) => answer,
            () = cancel.cancelled() => return Err(interrupted()),
        };
        let stream = answer.map_err(|status| refused("the sync", &status))?;
        self.pump(stream, sender).await
    }

    async fn pump(
        &mut self,
        mut stream: Streaming<wire::Response>,
        sender: &mpsc::Sender<Input>,
    ) -> Result<(), SyncFailure> {
        loop {
            let message = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(interrupted()),
                message = stream.message() => message,
                () = self.clock.sleep(IDLE) => {
                    // A full queue means that the warehouse is not idle.
                    let _ = sender.try_send(Input::Idle);
                    continue;
                }
            };
            let Some(message) = message.map_err(|status| refused("the sync", &status))? else {
                return Ok(());
            };
            match message.operation {
                Some(Operation::Warning(warning)) => self.warn(&warning.message),
                Some(Operation::Task(task)) => return Err(SyncFailure::Connector(task.message)),
                Some(operation) => {
                    self.show(&operation);
                    if sender.send(Input::Operation(operation)).await.is_err() {
                        // The writer has stopped. Joining it returns the reason.
                        return Ok(());
                    }
                }
                None => {
                    let text = "the connector sent a message that is not in the protocol";
                    return Err(SyncFailure::Connector(text.into()));
                }
            }
        }
    }

    /// Returns the reason of a lost connection: the end of the connector's process, if it was started for this sync.
    pub(super) async fn explain_lost_connection(
        &mut self,
        options: &Options,
        during: &str,
        status: &str,
    ) -> String {
        let exit = match &options.process {
            Some(process) => process.exit().await,
            None => None,
        };
        let Some(exit) = exit else {
            let status = self.redactor.clean(status);
            return format!(
                "the connection to the connector broke during {during} ({status}); see the connector's log"
            );
        };
        let clean = |line: &String| self.redactor.clean(line).into_owned();
        self.outcome.last_lines = exit.last_lines.iter().map(clean).collect();
        format!("the connector exited during {during} ({})", exit.status)
    }

    /// Reports the records of the operation to the observer, if there is one. A truncate is not a row.
    fn show(&self, operation: &Operation) {
        let Some(observer) = &self.observer else {
            return;
        };
        let records = match operation {
            Operation::Record(record) => std::slice::from_ref(record),
            Operation::Records(batch) => &batch.records,
            _ => return,
        };
        for of_table in records.chunk_by(|one, next| one.table_name == next.table_name) {
            let is_row = |record: &&wire::Record| record.r#type != RecordType::Truncate as i32;
            let rows = of_table.iter().filter(is_row).count() as u64;
            observer(&of_table[0].table_name, rows);
        }
    }

    fn warn(&mut self, text: &str) {
        let text = self.redactor.clean(text).into_owned();
        self.warnings.add(text);
    }

    pub(super) fn answers(&self) -> HashMap<String, String> {
        self.configuration.clone().into_iter().collect()
    }
}

fn interrupted() -> SyncFailure {
    SyncFailure::Connector("interrupted; the next sync continues from the last checkpoint".into())
}

fn refused(what: &'static str, status: &Status) -> SyncFailure {
    let is_lost = is_connection_lost(status);
    let status = described(status);
    if is_lost {
        let during = what;
        return SyncFailure::ConnectionLost { during, status };
    }
    SyncFailure::Connector(format!("the connector ended {what} with {status}"))
}
