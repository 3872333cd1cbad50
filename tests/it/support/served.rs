//! The service behind a gRPC channel, as Fivetran calls it, and a destination for its operations.

use std::{collections::HashMap, sync::Arc};

use fivetran_source::{
    clock::Clock,
    fivetran::{
        Service,
        proto::{
            self, source_connector_client::SourceConnectorClient, test_response::Response,
            update_response::Operation,
        },
        server,
    },
    prefect::RetryPolicy,
    tables,
    telemetry::Telemetry,
};
use test_support::{Destination, records, sync};
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
        sync(&mut self.client, request).await
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

/// Returns the task for the user, if any.
pub(crate) fn task(operations: &[Operation]) -> Option<&str> {
    operations.iter().find_map(|operation| match operation {
        Operation::Task(task) => Some(task.message.as_str()),
        _ => None,
    })
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

/// Returns an empty destination that ignores volatile columns.
pub(crate) fn empty_destination() -> Destination {
    Destination::default().ignoring(|table, column| {
        let table = tables::find(table).expect("a table");
        let column = table.columns.iter().find(|it| it.name == column);
        column.expect("a column").volatile
    })
}
