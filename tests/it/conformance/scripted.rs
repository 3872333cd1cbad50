//! A small connector that is correct or has one fault.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use fivetran_source::fivetran::proto::{
    Checkpoint, Column, ConfigurationFormRequest, ConfigurationFormResponse, ConfigurationTest,
    DataType, DataTypeParams, DecimalParams, FormField, Record, RecordType, Records, SchemaRequest,
    SchemaResponse, Selection, Table, TableList, Task, TestRequest, TestResponse, TextField,
    UpdateRequest, UpdateResponse, ValueType,
    data_type_params::Params,
    form_field::Type,
    schema_response, selection,
    source_connector_server::{SourceConnector, SourceConnectorServer},
    test_response::Response as Answer,
    update_response::Operation,
    value_type::Inner,
};
use futures::{Stream, stream};
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::fault::Fault;

/// The secret in the configuration.
pub(super) const SECRET: &str = "canary-51f0";
/// The number of rows in a batch; a checkpoint follows each batch.
const BATCH: usize = 4;
/// The tables, with their numbers of rows.
const TABLES: [(&str, usize); 2] = [("payments", 14), ("users", 10)];

/// A running connector; ends when dropped.
pub(super) struct Scripted {
    pub(super) endpoint: String,
    _stop: DropGuard,
}

impl Scripted {
    pub(super) async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let server = tonic::transport::Server::builder()
            .add_service(SourceConnectorServer::new(Service {
                fault,
                is_later: AtomicBool::new(false),
                syncs: AtomicUsize::new(0),
            }))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        tokio::spawn(server);
        Self {
            endpoint,
            _stop: stop.drop_guard(),
        }
    }
}

struct Service {
    fault: Fault,
    /// True after the first request of the schema.
    is_later: AtomicBool,
    /// The number of syncs so far.
    syncs: AtomicUsize,
}

type Updates = Pin<Box<dyn Stream<Item = Result<UpdateResponse, Status>> + Send>>;

#[tonic::async_trait]
impl SourceConnector for Service {
    async fn configuration_form(
        &self,
        _: Request<ConfigurationFormRequest>,
    ) -> Result<Response<ConfigurationFormResponse>, Status> {
        let field = |name: &str, label: &str, kind: TextField| FormField {
            name: name.to_owned(),
            label: label.to_owned(),
            r#type: Some(Type::TextField(kind.into())),
            ..FormField::default()
        };
        let mut fields = vec![field("pin", "PIN", TextField::Password)];
        match self.fault {
            Fault::FieldWithoutType => fields[0].r#type = None,
            Fault::SecretShown => fields.push(field("key", "API key", TextField::PlainText)),
            Fault::FieldGone => fields.clear(),
            Fault::FieldRequired | Fault::Additions => {
                let mut region = field("region", "Region", TextField::PlainText);
                region.required = Some(self.fault == Fault::FieldRequired);
                fields.push(region);
            }
            _ => {}
        }
        Ok(Response::new(ConfigurationFormResponse {
            schema_selection_supported: true,
            table_selection_supported: true,
            fields,
            tests: vec![ConfigurationTest {
                name: "reach".to_owned(),
                label: "Reach it".to_owned(),
            }],
        }))
    }

    async fn test(&self, request: Request<TestRequest>) -> Result<Response<TestResponse>, Status> {
        let knows = request.into_inner().configuration.contains_key("api_key");
        let answer = match self.fault {
            _ if knows => Answer::Success(true),
            Fault::TestEndsInStatus => return Err(Status::unauthenticated("no key")),
            _ => Answer::Failure("Give a key.".to_owned()),
        };
        let response = Some(answer);
        Ok(Response::new(TestResponse { response }))
    }

    async fn schema(&self, _: Request<SchemaRequest>) -> Result<Response<SchemaResponse>, Status> {
        let mut tables: Vec<Table> = TABLES
            .iter()
            .map(|(name, _)| table(self.fault, name))
            .collect();
        let is_later = self.is_later.swap(true, Ordering::Relaxed);
        match self.fault {
            Fault::KeyOrderChanges if is_later => {
                for table in &mut tables {
                    table.columns.swap(0, 1);
                }
            }
            Fault::TableTwice => tables.push(tables[0].clone()),
            Fault::TableNotDeclared | Fault::TableGone => tables.truncate(1),
            _ => {}
        }
        let promise = (self.fault != Fault::SelectionIgnoredSilently).then_some(false);
        Ok(Response::new(SchemaResponse {
            response: Some(schema_response::Response::WithoutSchema(TableList {
                tables,
            })),
            selection_not_supported: promise,
        }))
    }

    type UpdateStream = Updates;

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<Updates>, Status> {
        let number = self.syncs.fetch_add(1, Ordering::Relaxed);
        let operations = Sync::new(self.fault, number, request.into_inner())?.operations();
        let messages = operations
            .into_iter()
            .map(|operation| Ok(UpdateResponse { operation }));
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }
}

fn table(fault: Fault, name: &str) -> Table {
    let column = |name: &str, kind: DataType| Column {
        name: name.to_owned(),
        r#type: kind.into(),
        primary_key: match name {
            "id" => fault != Fault::NoKey,
            "name" => matches!(fault, Fault::KeyOrderChanges | Fault::KeyLonger),
            _ => false,
        },
        params: None,
    };
    let mut columns = vec![
        column("id", DataType::Long),
        column("name", DataType::String),
        column("amount", DataType::Decimal),
        column("details", DataType::Json),
        column("created", DataType::UtcDatetime),
    ];
    let digits = DecimalParams {
        precision: match fault {
            Fault::TypeNarrower => 5,
            Fault::Additions => 12,
            _ => 10,
        },
        scale: 2,
    };
    columns[2].params = Some(DataTypeParams {
        params: Some(Params::Decimal(digits)),
    });
    match fault {
        Fault::ReservedColumn => columns.push(column("_fivetran_active", DataType::Boolean)),
        Fault::CamelCase => columns.push(column("userName", DataType::String)),
        Fault::SqlWord => columns.push(column("order", DataType::String)),
        Fault::TimeOfDay => columns.push(column("at", DataType::NaiveTime)),
        Fault::DateWithTime => columns.push(column("day", DataType::NaiveDate)),
        Fault::ColumnGone => columns.retain(|column| column.name != "details"),
        Fault::ColumnNeverSent | Fault::Additions => columns.push(column("note", DataType::String)),
        _ => {}
    }
    let name = name.to_owned();
    Table { name, columns }
}

/// One sync.
struct Sync {
    fault: Fault,
    /// The number of syncs before this one.
    number: usize,
    request: UpdateRequest,
    /// The number of rows that were sent before, by table.
    done: BTreeMap<String, usize>,
    operations: Vec<Option<Operation>>,
}

impl Sync {
    fn new(fault: Fault, number: usize, request: UpdateRequest) -> Result<Self, Status> {
        let state = request.state_json.as_deref();
        let state = state.filter(|state| *state != "{}");
        let mut done: BTreeMap<String, usize> = match state {
            None => BTreeMap::new(),
            // Only numbers count; all other entries do not belong to a table.
            Some(text) => {
                let text = text.trim_start_matches('#');
                let state: serde_json::Value = serde_json::from_str(text).unwrap();
                let entries = state.as_object().unwrap().iter();
                let rows = |rows: &serde_json::Value| usize::try_from(rows.as_u64()?).ok();
                entries
                    .filter_map(|(table, value)| Some((table.clone(), rows(value)?)))
                    .collect()
            }
        };
        let is_whole = TABLES
            .iter()
            .all(|(table, rows)| done.get(*table).is_some_and(|done| done >= rows));
        if fault == Fault::FailsOnResume && !done.is_empty() && !is_whole {
            return Err(Status::internal("cannot go on"));
        }
        let is_old = state.is_some_and(|state| !state.contains("version"));
        match fault {
            Fault::OldStateRejected if is_old => return Err(Status::internal("unknown state")),
            Fault::OldStateMisread if is_old => {
                done.extend(TABLES.map(|(table, rows)| (table.to_owned(), rows)));
            }
            Fault::NothingWithoutState if request.state_json.is_none() => {
                done.extend(TABLES.map(|(table, rows)| (table.to_owned(), rows)));
            }
            Fault::AllWhenRunAgain => {
                done.remove("users");
            }
            _ => {}
        }
        let mut sync = Self {
            fault,
            number,
            request,
            done,
            operations: Vec::new(),
        };
        if is_whole {
            sync.send_unneeded_rows();
        }
        Ok(sync)
    }

    /// Sends rows although nothing is new, if the fault requires it.
    fn send_unneeded_rows(&mut self) {
        let mut row = self.row("users", 1);
        match self.fault {
            Fault::ChangesWhenRunAgain => {
                row.data.insert("name".to_owned(), text("another"));
            }
            Fault::OverlapsWhenRunAgain => {}
            _ => return,
        }
        self.batch(vec![row]);
        self.checkpoint();
    }

    fn operations(mut self) -> Vec<Option<Operation>> {
        for (table, rows) in TABLES {
            let rows = if self.fault == Fault::LargeBatch {
                rows * 20
            } else {
                rows
            };
            let is_gone = self.fault == Fault::TableGone && table == "users";
            if self.has_table(table) && !is_gone {
                self.table(table, rows);
            }
        }
        match self.fault {
            Fault::TwoTasks => {
                let task = || {
                    Operation::Task(Task {
                        message: "Mend it.".to_owned(),
                    })
                };
                self.operations.extend([Some(task()), Some(task())]);
            }
            Fault::EmptyMessage => self.operations.push(None),
            Fault::NoCheckpoint => self
                .operations
                .retain(|it| !matches!(it, Some(Operation::Checkpoint(_)))),
            Fault::RowsAtTheEnd => {
                if let Some(Some(Operation::Checkpoint(_))) = self.operations.last() {
                    self.operations.pop();
                }
            }
            _ => {}
        }
        self.operations
    }

    fn table(&mut self, table: &str, rows: usize) {
        let batch = if self.fault == Fault::LargeBatch {
            101
        } else {
            BATCH
        };
        let is_resumed = self.done.get(table).is_some_and(|done| *done > 0);
        let mut done = self.done.get(table).copied().unwrap_or(0);
        while done < rows {
            let next = (done + batch).min(rows);
            let mut records: Vec<Record> = (done..next).map(|at| self.row(table, at)).collect();
            if self.fault == Fault::OtherValuesOnResume && is_resumed {
                for record in &mut records {
                    record.data.insert("name".to_owned(), text("resumed"));
                }
            }
            if done == 0 {
                self.first(table, &mut records);
            }
            done = next;
            self.done.insert(table.to_owned(), done);
            if self.fault == Fault::FewerRowsWithSelection && self.request.selection.is_some() {
                records.pop();
            }
            for record in &mut records {
                let is_wanted = |column: &str| column == "id" || self.has_column(table, column);
                record.data.retain(|column, _| is_wanted(column));
            }
            if self.fault == Fault::SlowCheckpoints {
                let rest = records.split_off(2);
                self.batch(rest);
            }
            self.batch(records);
            self.checkpoint();
        }
    }

    /// Applies the faults of the first rows.
    fn first(&mut self, table: &str, records: &mut Vec<Record>) {
        let only_key = |record: &mut Record| record.data.retain(|name, _| name == "id");
        match self.fault {
            Fault::NullKey => {
                records[1]
                    .data
                    .insert("id".to_owned(), value(Inner::Null(true)));
            }
            Fault::NumberAsString => {
                records[1].data.insert("amount".to_owned(), text("1.00"));
            }
            Fault::BrokenJson => {
                let json = value(Inner::Json("{".to_owned()));
                records[1].data.insert("details".to_owned(), json);
            }
            Fault::ColumnLeftOut => {
                records[1].data.remove("name");
            }
            Fault::LargeMessage => {
                records[1]
                    .data
                    .insert("name".to_owned(), text(&"x".repeat(50_000)));
            }
            Fault::UpdateOfNothing => {
                let mut record = self.row(table, 999);
                only_key(&mut record);
                record.r#type = RecordType::Update.into();
                records.push(record);
            }
            Fault::TruncateLater => {
                let mut truncate = self.row(table, 0);
                truncate.data.clear();
                truncate.r#type = RecordType::Truncate.into();
                let again = records.clone();
                records.push(truncate);
                records.extend(again);
            }
            _ => {}
        }
    }

    fn row(&self, table: &str, at: usize) -> Record {
        let at = i64::try_from(at).unwrap();
        let instant = Timestamp {
            seconds: 1_700_000_000 + at,
            nanos: 0,
        };
        let mut data = BTreeMap::from(
            [
                ("id", Inner::Long(at)),
                ("name", Inner::String(format!("{table} {at}"))),
                ("amount", Inner::Decimal(format!("{at}.50"))),
                ("details", Inner::Json(format!("{{\"at\":{at}}}"))),
                ("created", Inner::UtcDatetime(instant)),
            ]
            .map(|(name, inner)| (name.to_owned(), value(inner))),
        );
        if self.fault == Fault::KeyRepeated {
            data.insert("id".to_owned(), value(Inner::Long(at / 2)));
        }
        if self.fault == Fault::ColumnGone {
            data.remove("details");
        }
        if self.fault == Fault::VolatileValues {
            data.insert("name".to_owned(), text(&format!("read {}", self.number)));
        }
        let more = match self.fault {
            Fault::Additions => Some(("note", text("x"))),
            Fault::ColumnsDifferInCase => Some(("NAME", text("x"))),
            Fault::DateWithTime => Some(("day", value(Inner::NaiveDate(instant)))),
            Fault::ColumnNotDeclared => Some(("extra", text("x"))),
            Fault::CamelCase => Some(("userName", text("x"))),
            Fault::SqlWord => Some(("order", text("x"))),
            Fault::TimeOfDay => Some(("at", value(Inner::NaiveTime(instant)))),
            _ => None,
        };
        data.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Record {
            schema_name: None,
            table_name: table.to_owned(),
            r#type: RecordType::Upsert.into(),
            data,
        }
    }

    fn batch(&mut self, records: Vec<Record>) {
        self.operations
            .push(Some(Operation::Records(Records { records })));
    }

    fn checkpoint(&mut self) {
        let mut state = serde_json::json!(self.done);
        if self.fault.has_versioned_states() {
            state["version"] = "2".into();
        }
        match self.fault {
            Fault::StateAhead => {
                for rows in state.as_object_mut().unwrap().values_mut() {
                    *rows = (rows.as_u64().unwrap() + BATCH as u64).into();
                }
            }
            Fault::SecretInState => state["secret"] = SECRET.into(),
            _ => {}
        }
        let mut state_json = state.to_string();
        if self.fault == Fault::StateIsNoJson {
            state_json.insert(0, '#');
        }
        self.operations
            .push(Some(Operation::Checkpoint(Checkpoint { state_json })));
    }

    fn selection(&self) -> Option<&selection::Selection> {
        if self.fault == Fault::SelectionIgnoredSilently {
            return None;
        }
        let selection: Option<&Selection> = self.request.selection.as_ref();
        selection.and_then(|selection| selection.selection.as_ref())
    }

    fn has_table(&self, table: &str) -> bool {
        let Some(selection::Selection::WithoutSchema(list)) = self.selection() else {
            return true;
        };
        let listed = list.tables.iter().find(|it| it.table_name == table);
        listed.map_or(
            list.include_new_tables || self.fault == Fault::NewTableDespiteSelection,
            |listed| listed.included || self.fault == Fault::TableDespiteSelection,
        )
    }

    fn has_column(&self, table: &str, column: &str) -> bool {
        let Some(selection::Selection::WithoutSchema(list)) = self.selection() else {
            return true;
        };
        let listed = list.tables.iter().find(|it| it.table_name == table);
        listed.is_none_or(|listed| {
            listed.columns.get(column).map_or(
                listed.include_new_columns || self.fault == Fault::NewColumnDespiteSelection,
                |is_chosen| *is_chosen || self.fault == Fault::ColumnDespiteSelection,
            )
        })
    }
}

fn value(inner: Inner) -> ValueType {
    ValueType { inner: Some(inner) }
}

fn text(text: &str) -> ValueType {
    value(Inner::String(text.to_owned()))
}
