//! A connector that follows a script, and records the requests it receives.

use std::{
    collections::BTreeMap,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _, stream};
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use crate::{Error, Options, SyncOutcome, database::DuckDb, run};
use fivetran_proto::{
    Checkpoint, Column, ConfigurationFormRequest, ConfigurationFormResponse, DataType, Record,
    RecordType, SchemaRequest, SchemaResponse, Table, TableList, TestRequest, TestResponse,
    UpdateRequest, UpdateResponse, ValueType, schema_response,
    source_connector_server::{SourceConnector, SourceConnectorServer},
    test_response,
    update_response::Operation,
    value_type::Inner,
};
use sync_clock::{Clock, SystemClock};

/// One step of a sync.
#[derive(Clone)]
pub(super) enum Step {
    Send(Operation),
    Fail(Status),
    /// Sends nothing more, and does not end.
    Hang,
}

/// The responses of the connector.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) form: ConfigurationFormResponse,
    /// The failure text by test. Other tests succeed.
    pub(super) failures: BTreeMap<String, String>,
    pub(super) schema: SchemaResponse,
    pub(super) update: Vec<Step>,
}

/// The requests that the connector received.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) tests: Vec<TestRequest>,
    pub(super) schemas: Vec<SchemaRequest>,
    pub(super) updates: Vec<UpdateRequest>,
}

/// A running connector; ends when dropped.
pub(super) struct Fake {
    pub(super) endpoint: String,
    pub(super) asked: Arc<Mutex<Asked>>,
    _stop: DropGuard,
}

struct Service {
    script: Script,
    asked: Arc<Mutex<Asked>>,
}

impl Fake {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::default();
        let stop = CancellationToken::new();
        let service = Service {
            script,
            asked: Arc::clone(&asked),
        };
        let server = tonic::transport::Server::builder()
            .add_service(SourceConnectorServer::new(service))
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                stop.clone().cancelled_owned(),
            );
        tokio::spawn(server);
        Self {
            endpoint,
            asked,
            _stop: stop.drop_guard(),
        }
    }

    /// The state with which each sync so far was started.
    pub(super) fn start_states(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let states = asked.updates.iter().map(|update| update.state_json.clone());
        states.map(Option::unwrap).collect()
    }
}

type Updates = Pin<Box<dyn Stream<Item = Result<UpdateResponse, Status>> + Send>>;

#[tonic::async_trait]
impl SourceConnector for Service {
    async fn configuration_form(
        &self,
        _: Request<ConfigurationFormRequest>,
    ) -> Result<Response<ConfigurationFormResponse>, Status> {
        Ok(Response::new(self.script.form.clone()))
    }

    async fn test(&self, request: Request<TestRequest>) -> Result<Response<TestResponse>, Status> {
        let request = request.into_inner();
        let response = match self.script.failures.get(&request.name) {
            Some(text) => test_response::Response::Failure(text.clone()),
            None => test_response::Response::Success(true),
        };
        self.asked.lock().unwrap().tests.push(request);
        Ok(Response::new(TestResponse {
            response: Some(response),
        }))
    }

    async fn schema(
        &self,
        request: Request<SchemaRequest>,
    ) -> Result<Response<SchemaResponse>, Status> {
        self.asked
            .lock()
            .unwrap()
            .schemas
            .push(request.into_inner());
        Ok(Response::new(self.script.schema.clone()))
    }

    type UpdateStream = Updates;

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<Updates>, Status> {
        self.asked
            .lock()
            .unwrap()
            .updates
            .push(request.into_inner());
        let steps = stream::iter(self.script.update.clone()).then(|step| async {
            match step {
                Step::Send(operation) => Ok(UpdateResponse {
                    operation: Some(operation),
                }),
                Step::Fail(status) => Err(status),
                Step::Hang => std::future::pending().await,
            }
        });
        Ok(Response::new(Box::pin(steps)))
    }
}

/// A column, for [`table`].
pub(super) fn column(name: &str, kind: DataType) -> Column {
    Column {
        name: name.into(),
        r#type: kind.into(),
        ..Column::default()
    }
}

/// A column of the primary key.
pub(super) fn key(name: &str, kind: DataType) -> Column {
    Column {
        primary_key: true,
        ..column(name, kind)
    }
}

pub(super) fn table(name: &str, columns: Vec<Column>) -> Table {
    let name = name.into();
    Table { name, columns }
}

pub(super) fn schema(tables: Vec<Table>) -> SchemaResponse {
    SchemaResponse {
        response: Some(schema_response::Response::WithoutSchema(TableList {
            tables,
        })),
        selection_not_supported: None,
    }
}

/// A schema of one table `t (id BIGINT KEY, a BIGINT, b VARCHAR)`.
pub(super) fn one_table() -> SchemaResponse {
    schema(vec![table(
        "t",
        vec![
            key("id", DataType::Long),
            column("a", DataType::Long),
            column("b", DataType::String),
        ],
    )])
}

pub(super) fn record(kind: RecordType, table: &str, values: &[(&str, Inner)]) -> Step {
    let data = values.iter().map(|(column, inner)| {
        let inner = Some(inner.clone());
        ((*column).to_owned(), ValueType { inner })
    });
    Step::Send(Operation::Record(Record {
        schema_name: None,
        table_name: table.into(),
        r#type: kind.into(),
        data: data.collect(),
    }))
}

pub(super) fn upsert(values: &[(&str, Inner)]) -> Step {
    record(RecordType::Upsert, "t", values)
}

pub(super) fn update(values: &[(&str, Inner)]) -> Step {
    record(RecordType::Update, "t", values)
}

pub(super) fn delete(id: i64) -> Step {
    record(RecordType::Delete, "t", &[("id", long(id))])
}

pub(super) fn truncate() -> Step {
    record(RecordType::Truncate, "t", &[])
}

pub(super) fn checkpoint(state: &str) -> Step {
    Step::Send(Operation::Checkpoint(Checkpoint {
        state_json: state.into(),
    }))
}

/// A row of [`one_table`].
pub(super) fn row(id: i64, a: i64, b: &str) -> Step {
    upsert(&[("id", long(id)), ("a", long(a)), ("b", text(b))])
}

pub(super) fn long(number: i64) -> Inner {
    Inner::Long(number)
}

pub(super) fn text(text: &str) -> Inner {
    Inner::String(text.into())
}

pub(super) fn time(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

/// The options of a run against `fake` in `dir`.
pub(super) fn options(fake: &Fake, dir: &Path) -> Options {
    Options {
        endpoint: fake.endpoint.clone().into(),
        ..options_in(dir)
    }
}

/// Returns a variable that the parent of a child process has set. A child that is run as a test of its own fails.
pub(super) fn of_parent(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: this test is a child process of others"))
}

/// The options of a run in `dir` without a connector.
pub(super) fn options_in(dir: &Path) -> Options {
    Options::new("", BTreeMap::new(), dir)
}

pub(super) async fn run_with(options: Options) -> Result<SyncOutcome, Error> {
    run_by(options, Arc::new(SystemClock)).await
}

/// Runs a sync with another clock.
pub(super) async fn run_by(options: Options, clock: Arc<dyn Clock>) -> Result<SyncOutcome, Error> {
    run(options, clock, CancellationToken::new()).await
}

/// A clock that advances ten seconds at each reading, and on which no wait takes long.
#[derive(Default)]
pub(super) struct Hasty {
    looks: AtomicI64,
}

impl Clock for Hasty {
    fn now(&self) -> DateTime<Utc> {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        DateTime::from_timestamp(look * 10, 0).unwrap()
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::task::yield_now())
    }
}

/// Runs a sync of `schema` and `update` in `dir`.
pub(super) async fn sync(dir: &Path, schema: SchemaResponse, update: Vec<Step>) -> SyncOutcome {
    let script = Script {
        schema,
        update,
        ..Script::default()
    };
    let fake = Fake::start(script).await;
    run_with(options(&fake, dir)).await.unwrap()
}

/// The rows of a query's result, each as its values joined by `|`, with `-` for null.
pub(super) fn rows(dir: &Path, sql: &str) -> Vec<String> {
    let db = DuckDb::open_read_only(&dir.join("warehouse.db")).unwrap();
    let answer = db.query(sql, 100_000).unwrap();
    let line = |row: Vec<Option<String>>| {
        let cells = row
            .into_iter()
            .map(|cell| cell.unwrap_or_else(|| "-".into()));
        cells.collect::<Vec<_>>().join("|")
    };
    answer.rows.into_iter().map(line).collect()
}

/// The rows of [`one_table`]: `id|a|b|deleted`, by id.
pub(super) fn landed(dir: &Path) -> Vec<String> {
    rows(
        dir,
        "SELECT id, a, b, _fivetran_deleted FROM tester.t ORDER BY id",
    )
}

/// The content of `state.json`.
pub(super) fn kept(dir: &Path) -> Option<String> {
    std::fs::read_to_string(dir.join("state.json")).ok()
}
