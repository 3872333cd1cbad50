//! A test run, and the calls that it makes, with their limits.

use std::{future::Future, sync::Arc};

use serde::de::IgnoredAny;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming, client::Grpc, codec::CompressionEncoding,
    codegen::http::uri::PathAndQuery, transport::Channel,
};

use super::{
    finding_log::FindingLocation,
    judge::{Pending, SourceChanges, SyncPurpose},
    model::{CheckpointPosition, ModelDifference},
    options::Options,
    passive::{StreamChecker, Sync},
    report::{SkippedRule, SyncSummary},
    restart::{Ending, Restart},
    rules::Rule,
    sdk_operation::{Received, SyncCodec},
    select::ExpectedSelection,
};
use crate::{
    client::{Client, client, described},
    state::FRESH,
    transport::Transport,
    warehouse::{Tables, tables_of},
};
use fivetran_proto::{
    SchemaRequest, SchemaResponse, Selection, UpdateRequest, schema_change::Change,
    schema_response, update_response::Operation,
};
use sync_clock::Clock;

/// The largest message that is read, in bytes. Messages above the protocol's limit are read so that they can be
/// reported. Beyond this limit the stream breaks.
const READ_LIMIT: usize = 1 << 30;
/// The most characters of a connector's text that are shown.
const WORDS: usize = 300;

/// The path of the call that runs a sync.
const UPDATE: &str = "/fivetran_sdk.v2.SourceConnector/Update";

/// The end of a sync.
pub(super) enum StreamEnd {
    Completed,
    /// The test run dropped the stream.
    Dropped,
    /// The sync ended with a task, an error or silence, described in the text.
    Failed(String),
}

/// The request of a sync.
pub(super) struct SyncRequest {
    pub(super) name: String,
    pub(super) state: Option<String>,
    pub(super) selection: Option<Selection>,
    pub(super) expected: ExpectedSelection,
    /// The number of checkpoints after which the stream is dropped.
    pub(super) cut: Option<usize>,
}

impl SyncRequest {
    /// Creates the request of an uncut sync of everything that starts from `state`.
    pub(super) fn from(name: &str, state: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            state: state.map(str::to_owned),
            selection: None,
            expected: ExpectedSelection::everything(),
            cut: None,
        }
    }
}

/// A test run in progress: its connection to the connector, and the results so far.
pub(super) struct Session<'a> {
    /// The connection; `None` only while the connector is restarted.
    pub(super) connection: Option<Connection>,
    pub(super) options: Options,
    pub(super) restart: Option<&'a dyn Restart>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cancel: CancellationToken,
    pub(super) checker: StreamChecker,
    pub(super) syncs: Vec<SyncSummary>,
    pub(super) unchecked: Vec<SkippedRule>,
    pub(super) pending: Vec<Pending>,
    pub(super) checkpoints: (usize, usize),
    pub(super) source_changes: SourceChanges,
}

/// A connection to the connector.
pub(super) struct Connection {
    client: Client,
    channel: Channel,
}

/// Connects to the connector at the endpoint.
pub(super) async fn reach(endpoint: &str) -> Result<Connection, crate::error::Error> {
    let channel = Transport::from(endpoint).connect().await?;
    let client = client(channel.clone());
    Ok(Connection { client, channel })
}

/// Starts a sync, whose messages are read with the Python SDK's own fields.
async fn start_sync(
    channel: Channel,
    request: UpdateRequest,
) -> Result<Response<Streaming<Received>>, Status> {
    let mut grpc = Grpc::new(channel)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(READ_LIMIT);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(UPDATE);
    grpc.server_streaming(Request::new(request), path, SyncCodec)
        .await
}

impl Session<'_> {
    /// Requests the schema.
    async fn request_schema(&self) -> Result<SchemaResponse, String> {
        let request = SchemaRequest {
            configuration: self.options.configuration.clone().into_iter().collect(),
        };
        let mut client = self.client()?;
        let response = self.call(client.schema(request)).await?;
        response.map_err(|why| format!("the schema {why}"))
    }

    /// Requests the schema for the first time. Returns its statement about selections.
    pub(super) async fn declare_schema(&mut self) -> Result<Option<bool>, String> {
        let schema = self.request_schema().await?;
        if let Some(list) = tables_in(schema.response) {
            let StreamChecker {
                tables,
                finding_log,
                ..
            } = &mut self.checker;
            tables.declare(list, &FindingLocation::call("Schema"), finding_log);
        }
        Ok(schema.selection_not_supported)
    }

    /// Runs a sync and examines each message.
    pub(super) async fn sync(&mut self, request: SyncRequest) -> Result<(Sync, StreamEnd), String> {
        tracing::info!("{}", request.name);
        self.renew().await?;
        let is_fresh = request.state.as_deref().is_none_or(|state| state == FRESH);
        let mut sync = Sync::new(request.name, request.expected, is_fresh);
        let update = UpdateRequest {
            configuration: self.options.configuration.clone().into_iter().collect(),
            selection: request.selection,
            state_json: request.state,
        };
        let channel = self.connection()?.channel.clone();
        let ended = match self.call(start_sync(channel, update)).await? {
            Ok(stream) => self.read(&mut sync, stream, request.cut).await?,
            Err(how) => StreamEnd::Failed(how),
        };
        match &ended {
            StreamEnd::Completed => self.checker.end(&sync),
            StreamEnd::Dropped => {}
            StreamEnd::Failed(how) => {
                let place = FindingLocation::call(&sync.name);
                self.checker.secret(place, "an error", how);
            }
        }
        let ended = match ended {
            StreamEnd::Failed(how) => {
                StreamEnd::Failed(self.checker.redactor.clean(&how).into_owned())
            }
            other => other,
        };
        self.syncs.push(SyncSummary {
            name: sync.name.clone(),
            ended: match &ended {
                StreamEnd::Completed => "succeeded".to_owned(),
                StreamEnd::Dropped => "cut".to_owned(),
                StreamEnd::Failed(how) => how.clone(),
            },
            was_cut: matches!(ended, StreamEnd::Dropped),
            totals: sync.totals.clone(),
        });
        Ok((sync, ended))
    }

    async fn read(
        &mut self,
        sync: &mut Sync,
        mut stream: Streaming<Received>,
        cut: Option<usize>,
    ) -> Result<StreamEnd, String> {
        let mut task: Option<String> = None;
        loop {
            let message = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err("it was interrupted".to_owned()),
                message = stream.message() => message,
                () = self.clock.sleep(self.options.patience) => {
                    return Ok(StreamEnd::Failed(self.silent()));
                }
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => {
                    return Ok(match task {
                        Some(text) => {
                            StreamEnd::Failed(format!("ended with the task: {}", first_line(&text)))
                        }
                        None => StreamEnd::Completed,
                    });
                }
                Err(status) => return Ok(StreamEnd::Failed(ended_with(&status))),
            };
            self.checker.see(sync, &message, self.clock.now());
            if let Some(Operation::Task(text)) = message.response.operation {
                task.get_or_insert(text.message);
            }
            if cut.is_some_and(|cut| sync.journal.checkpoints.len() >= cut) {
                return Ok(StreamEnd::Dropped);
            }
        }
    }

    /// Restarts the connector for the next sync if possible, and requests the schema. Fivetran requests the schema
    /// before each sync, too, and the Python SDK would not know its types otherwise. Before the first sync both have
    /// been done already.
    async fn renew(&mut self) -> Result<(), String> {
        let Some(last) = self.syncs.last() else {
            return Ok(());
        };
        let Some(restart) = self.restart else {
            return self.request_schema_again().await;
        };
        let ending = if last.was_cut {
            Ending::Killed
        } else {
            Ending::Asked
        };
        // A process that ends gracefully waits until its clients have disconnected.
        self.connection = None;
        let endpoint = restart
            .restart(ending)
            .await
            .map_err(|why| format!("the connector could not be restarted: {why}"))?;
        let connection = reach(&endpoint).await.map_err(|error| error.to_string())?;
        self.connection = Some(connection);
        self.request_schema_again().await
    }

    /// Requests the schema before a later sync. Its keys must be those that are known.
    async fn request_schema_again(&mut self) -> Result<(), String> {
        let schema = self.request_schema().await?;
        if let Some(list) = tables_in(schema.response) {
            let StreamChecker {
                tables,
                finding_log,
                ..
            } = &mut self.checker;
            tables.compare_keys(&list, &FindingLocation::call("Schema"), finding_log);
        }
        Ok(())
    }

    /// Returns the client, or an error while the connector is not running.
    pub(super) fn client(&self) -> Result<Client, String> {
        Ok(self.connection()?.client.clone())
    }

    fn connection(&self) -> Result<&Connection, String> {
        let gone = || "the connector is not running".to_owned();
        self.connection.as_ref().ok_or_else(gone)
    }

    fn silent(&self) -> String {
        format!("did not respond for {} s", self.options.patience.as_secs())
    }

    /// Waits for a response. The outer error ends the test run; the inner one is the connector's.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<Result<T, String>, String> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err("it was interrupted".to_owned()),
            response = call => Ok(response.map(Response::into_inner).map_err(|status| ended_with(&status))),
            () = self.clock.sleep(self.options.patience) => Ok(Err(self.silent())),
        }
    }

    /// Keeps differences until the changes of the source are known.
    pub(super) fn note(
        &mut self,
        sync: &str,
        differences: Vec<ModelDifference>,
        about: SyncPurpose,
    ) {
        let sync = sync.to_owned();
        self.pending.push(Pending {
            sync,
            differences,
            about,
        });
    }

    /// Returns true if one of the rules is to be checked.
    pub(super) fn wants(&self, rules: &[&Rule]) -> bool {
        rules
            .iter()
            .any(|rule| self.checker.finding_log.wants(rule))
    }

    /// Records that rules could not be checked.
    pub(super) fn leave_unchecked(&mut self, rules: &[&'static Rule], why: &str) {
        for rule in rules
            .iter()
            .filter(|rule| self.checker.finding_log.wants(rule))
        {
            self.unchecked.push(SkippedRule {
                rule: rule.id,
                why: why.to_owned(),
            });
        }
    }
}

/// Returns true if the state of the checkpoint is JSON.
pub(super) fn is_json(mark: &CheckpointPosition) -> bool {
    serde_json::from_str::<IgnoredAny>(&mark.state).is_ok()
}

/// Returns the tables of a schema; `None` if the connector has none.
fn tables_in(response: Option<schema_response::Response>) -> Option<Tables> {
    match response? {
        schema_response::Response::WithSchema(list) => Some(tables_of(Change::WithSchema(list))),
        schema_response::Response::WithoutSchema(list) => {
            Some(tables_of(Change::WithoutSchema(list)))
        }
        schema_response::Response::SchemaResponseNotSupported(_) => None,
    }
}

/// Describes a status in one line. Further lines, most likely a traceback, are in the connector's log.
fn ended_with(status: &Status) -> String {
    format!("ended with {}", first_line(&described(status)))
}

fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(WORDS).collect();
    let dots = if short.len() < text.trim().len() {
        " …"
    } else {
        ""
    };
    format!("{short}{dots}")
}
