//! The service behind a gRPC channel, as Fivetran calls it, and a destination for its operations.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use fivetran_source::{
    clock::Clock,
    fivetran::{
        Service,
        proto::{
            self, source_connector_client::SourceConnectorClient, test_response::Response,
            update_response::Operation, value_type::Inner,
        },
        server,
    },
    prefect::RetryPolicy,
    tables,
    telemetry::Telemetry,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

/// A running service.
pub(crate) struct Served {
    endpoint: String,
    pub(crate) client: SourceConnectorClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: tokio::task::JoinHandle<Result<(), server::Error>>,
}

impl Served {
    pub(crate) async fn start(clock: Arc<dyn Clock>, telemetry: Telemetry) -> Self {
        Self::with_patience(clock, telemetry, RetryPolicy::SYNC).await
    }

    pub(crate) async fn with_patience(
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
        patience: RetryPolicy,
    ) -> Self {
        let listener = server::listen_locally().unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let service = Service::new(clock, telemetry, stop.clone()).with_patience(patience);
        let serving = tokio::spawn(server::serve(
            listener,
            service,
            stop.clone(),
            stop.clone().cancelled_owned(),
        ));
        let channel = Channel::from_shared(endpoint.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            endpoint,
            client: SourceConnectorClient::new(channel.clone()),
            channel,
            stop,
            serving,
        }
    }

    /// Returns a client with its own connection.
    pub(crate) async fn visitor(&self) -> SourceConnectorClient<Channel> {
        let endpoint = self.endpoint.clone();
        SourceConnectorClient::connect(endpoint).await.unwrap()
    }

    /// Runs a setup test and returns the text of its failure.
    pub(crate) async fn test(
        &mut self,
        name: &str,
        configuration: HashMap<String, String>,
    ) -> Option<String> {
        let request = proto::TestRequest {
            name: name.to_owned(),
            configuration,
        };
        let answer = self.client.test(request).await.unwrap().into_inner();
        match answer.response {
            Some(Response::Success(true)) => None,
            Some(Response::Failure(text)) => Some(text),
            other => panic!("{other:?}"),
        }
    }

    /// Syncs; returns the operations and the final status.
    pub(crate) async fn update(
        &mut self,
        configuration: HashMap<String, String>,
        state_json: Option<String>,
    ) -> (Vec<Operation>, Result<(), Status>) {
        let request = proto::UpdateRequest {
            configuration,
            selection: Some(crate::support::core_selection()),
            state_json,
        };
        let mut stream = match self.client.update(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return (Vec::new(), Err(status)),
        };
        let mut operations = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(message)) => operations.extend(message.operation),
                Ok(None) => return (operations, Ok(())),
                Err(status) => return (operations, Err(status)),
            }
        }
    }
}

/// Returns a configuration with these fields of the setup form.
pub(crate) fn configuration(url: &str, more: &[(&str, &str)]) -> HashMap<String, String> {
    [("api_url", url)]
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Returns the records of all operations, in order.
pub(crate) fn records(operations: &[Operation]) -> impl Iterator<Item = &proto::Record> {
    operations.iter().flat_map(|operation| match operation {
        Operation::Records(records) => records.records.as_slice(),
        Operation::Record(record) => std::slice::from_ref(record),
        _ => &[],
    })
}

/// Returns the number of upserted rows.
pub(crate) fn rows(operations: &[Operation]) -> usize {
    records(operations)
        .filter(|record| record.r#type() == proto::RecordType::Upsert)
        .count()
}

pub(crate) fn warnings(operations: &[Operation]) -> Vec<&str> {
    operations
        .iter()
        .filter_map(|operation| match operation {
            Operation::Warning(warning) => Some(warning.message.as_str()),
            _ => None,
        })
        .collect()
}

pub(crate) fn last_state(operations: &[Operation]) -> Option<String> {
    operations
        .iter()
        .rev()
        .find_map(|operation| match operation {
            Operation::Checkpoint(checkpoint) => Some(checkpoint.state_json.clone()),
            _ => None,
        })
}

/// The values of a row by column, without the volatile columns.
type Row = BTreeMap<String, Option<Inner>>;

/// A destination in memory: the committed rows and the state.
#[derive(Debug, Default)]
pub(crate) struct Destination {
    rows: BTreeMap<(String, String), Row>,
    deleted: BTreeSet<(String, String)>,
    pub(crate) state: Option<String>,
}

impl Destination {
    /// Applies the operations of a sync, up to its last checkpoint.
    pub(crate) fn take(&mut self, operations: &[Operation]) {
        let last = operations
            .iter()
            .rposition(|operation| matches!(operation, Operation::Checkpoint(_)));
        let committed = &operations[..last.map_or(0, |last| last + 1)];
        self.state = last_state(committed).or(self.state.take());
        for record in records(committed) {
            self.apply(record);
        }
    }

    fn apply(&mut self, record: &proto::Record) {
        let table = &record.table_name;
        if record.r#type() == proto::RecordType::Truncate {
            let mut of_table = self.rows.keys().filter(|key| key.0 == *table);
            self.deleted.extend(of_table.by_ref().cloned());
            return;
        }
        let Some(Inner::String(id)) = record.data.get("id").and_then(|id| id.inner.clone()) else {
            panic!("a record of {table} without an id");
        };
        let key = (table.clone(), id);
        match record.r#type() {
            proto::RecordType::Upsert => {
                let declared = tables::ALL.iter().find(|it| it.name == table).unwrap();
                let is_volatile = |name: &str| {
                    let column = declared.columns.iter().find(|column| column.name == name);
                    column.unwrap().volatile
                };
                let settled = record.data.iter().filter(|(name, _)| !is_volatile(name));
                let row = settled.map(|(name, value)| (name.clone(), value.inner.clone()));
                self.rows.insert(key.clone(), row.collect());
                self.deleted.remove(&key);
            }
            proto::RecordType::Delete => {
                self.deleted.insert(key);
            }
            other => panic!("{other:?} of {table}"),
        }
    }

    /// Returns the rows of a table that are not deleted.
    pub(crate) fn live(&self, table: &str) -> BTreeMap<&str, &Row> {
        self.rows
            .iter()
            .filter(|(key, _)| key.0 == table && !self.deleted.contains(*key))
            .map(|(key, row)| (key.1.as_str(), row))
            .collect()
    }

    /// Lists the rows and columns that differ from another destination.
    pub(crate) fn differences(&self, other: &Self, table: &str) -> Vec<String> {
        let (have, want) = (self.live(table), other.live(table));
        let ids: BTreeSet<&str> = have.keys().chain(want.keys()).copied().collect();
        let mut differences = Vec::new();
        for id in ids {
            match (have.get(id), want.get(id)) {
                (Some(have), Some(want)) => differences.extend(
                    want.iter()
                        .filter(|(column, value)| have.get(*column) != Some(value))
                        .map(|(column, value)| {
                            format!("{id} {column}: {:?}, not {value:?}", have.get(column))
                        }),
                ),
                (Some(_), None) => differences.push(format!("{id} is there")),
                (None, _) => differences.push(format!("{id} is not there")),
            }
        }
        differences
    }

    /// Returns the ids of a table's deleted rows.
    pub(crate) fn gone(&self, table: &str) -> BTreeSet<&str> {
        let of_table = self.deleted.iter().filter(|key| key.0 == table);
        of_table.map(|key| key.1.as_str()).collect()
    }
}
