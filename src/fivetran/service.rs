//! The four calls of the protocol.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use chrono::TimeDelta;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};

use super::{
    SyncHooks, SyncMessages, message_encoder::MessageEncoder, proto, schema, selection, setup,
    update_stream::UpdateStream, wire::SourceConnector,
};
use crate::{
    clock::Clock,
    config::{self, Parsed, Settings, StartDate},
    messages,
    prefect::{Accounts, HttpApi, RetryPolicy, UserFilter},
    rows::Context,
    sync::{self, Engine, Op, ProcessQuota, STATE_BYTES, SyncSettings},
    telemetry::{Event, Telemetry},
};

/// The number of steps of a sync that may wait to be sent. A step has the rows of one page at most. More steps are
/// not faster.
const STEPS_IN_FLIGHT: usize = 1;

/// Fivetran's source connector for Prefect.
#[derive(Clone)]
pub struct Service {
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    stop: CancellationToken,
    syncs: TaskTracker,
    accounts: Accounts,
    crowd: ProcessQuota,
    patience: RetryPolicy,
    hooks: SyncHooks,
    compresses_responses: bool,
}

impl Service {
    /// Creates a service whose syncs finish their page, checkpoint and end when `stop` is cancelled.
    pub fn new(clock: Arc<dyn Clock>, telemetry: Telemetry, stop: CancellationToken) -> Self {
        Self {
            clock,
            telemetry,
            stop,
            syncs: TaskTracker::new(),
            accounts: Accounts::default(),
            crowd: ProcessQuota::default(),
            patience: RetryPolicy::SYNC,
            hooks: SyncHooks::default(),
            compresses_responses: false,
        }
    }

    /// Returns the service with gzip for callers that accept it, or without.
    ///
    /// Many clients accept gzip without being asked to. On a connection that does not leave the machine, compression
    /// takes three quarters of the CPU time of a sync and saves nothing.
    #[must_use]
    pub fn with_compressed_responses(self, compresses_responses: bool) -> Self {
        Self {
            compresses_responses,
            ..self
        }
    }

    /// Returns true if responses are compressed for callers that accept gzip.
    pub(super) fn compresses_responses(&self) -> bool {
        self.compresses_responses
    }

    /// Returns the service with a recording or a replay of its syncs, which must run one at a time.
    #[must_use]
    pub fn with_hooks(self, hooks: SyncHooks) -> Self {
        Self { hooks, ..self }
    }

    /// Returns the service with another patience for syncs than [`RetryPolicy::SYNC`].
    #[must_use]
    pub fn with_patience(self, patience: RetryPolicy) -> Self {
        Self { patience, ..self }
    }

    /// Returns the tracker of the running syncs.
    pub(super) fn syncs(&self) -> TaskTracker {
        self.syncs.clone()
    }

    fn api(&self, settings: Settings, patience: RetryPolicy) -> Result<HttpApi, Status> {
        HttpApi::new(
            settings,
            patience,
            Arc::clone(&self.clock),
            self.telemetry.clone(),
        )
        .map(|api| {
            let interceptor = self.hooks.interceptor.clone();
            api.sharing(&self.accounts).intercepted_by(interceptor)
        })
        .map_err(|error| Status::internal(error.message().format(&error)))
    }

    /// Logs and publishes warnings before a sync begins.
    fn announce(&self, warnings: &[String]) {
        for message in warnings {
            tracing::warn!("{message}");
            self.telemetry.publish(&Event::Warning {
                message: message.clone(),
            });
        }
    }
}

/// Returns the status for an invalid configuration, for calls other than `Test`.
fn invalid(error: &config::ConfigError) -> Status {
    Status::invalid_argument(messages::CONFIGURATION.format(error))
}

#[tonic::async_trait]
impl SourceConnector for Service {
    type UpdateStream = SyncMessages;

    async fn configuration_form(
        &self,
        _request: Request<proto::ConfigurationFormRequest>,
    ) -> Result<Response<proto::ConfigurationFormResponse>, Status> {
        Ok(Response::new(schema::form()))
    }

    async fn test(
        &self,
        request: Request<proto::TestRequest>,
    ) -> Result<Response<proto::TestResponse>, Status> {
        let request = request.into_inner();
        let result = match config::parse(&request.configuration) {
            Ok(Parsed { settings, .. }) => {
                let scopes = sync_settings(&settings).scopes;
                let tables = settings.tables.clone();
                let api = self.api(settings, RetryPolicy::SETUP)?;
                self.telemetry.publish(&Event::TestStarted);
                let result = setup::run(&request.name, &api, &tables, &scopes).await;
                self.telemetry.publish(&Event::TestDone);
                result
            }
            Err(error) => Err(messages::CONFIGURATION.format(error)),
        };
        tracing::info!(
            test = request.name,
            passed = result.is_ok(),
            "setup test finished"
        );
        Ok(Response::new(setup::response(result)))
    }

    async fn schema(
        &self,
        request: Request<proto::SchemaRequest>,
    ) -> Result<Response<proto::SchemaResponse>, Status> {
        let configuration = request.into_inner().configuration;
        // A tool may send no configuration; the response is then that of a form without choices.
        let tables = match config::parse(&configuration) {
            Ok(Parsed { settings, .. }) => settings.tables,
            Err(_) if configuration.is_empty() => config::default_tables(),
            Err(error) => return Err(invalid(&error)),
        };
        Ok(Response::new(schema::schema(&tables)))
    }

    async fn update(
        &self,
        request: Request<proto::UpdateRequest>,
    ) -> Result<Response<Self::UpdateStream>, Status> {
        let request = request.into_inner();
        let Parsed { settings, warnings } = read_configuration(&request.configuration)?;
        let (selection, more_warnings) =
            selection::read(request.selection.as_ref(), &settings.tables)
                .map_err(|error| Status::invalid_argument(messages::SELECTION.format(error)))?;
        let warnings = [warnings, more_warnings].concat();
        self.announce(&warnings);
        let engine = Engine {
            clock: Arc::clone(&self.clock),
            telemetry: self.telemetry.clone(),
            page_size: settings.batch_size.get(),
            in_flight: self.crowd.join(
                NonZeroUsize::new(settings.concurrency.get() as usize).unwrap_or(NonZeroUsize::MIN),
            ),
            context: Context {
                workspace_id: settings
                    .api_url
                    .cloud_ids()
                    .map(|(_, workspace)| workspace.to_owned()),
            },
            settings: sync_settings(&settings),
            workspace: settings.api_url.identity(),
            retention: settings
                .retention_days
                .map(|days| TimeDelta::days(days.get().into())),
            state_bytes: STATE_BYTES,
            stop: self.stop.clone(),
            schedule: self.hooks.schedule.clone(),
            api: Arc::new(self.api(settings, self.patience)?),
        };
        let hooks = self.hooks.clone();
        if let Some(messages) = &hooks.messages {
            messages.begun(request.selection.as_ref(), request.state_json.as_deref());
        }
        let encoder = MessageEncoder::new(&selection);
        let (outbox, steps) = mpsc::channel(STEPS_IN_FLIGHT);
        // The channel is new and has room.
        let _ = outbox.try_send(Ok(warnings
            .into_iter()
            .map(|message| Op::Warning { message })
            .collect()));
        tracing::info!(tables = selection.tables.len(), "sync started");
        let last_words = outbox.clone();
        let sync = tokio::spawn(async move {
            engine
                .run(&selection, request.state_json.as_deref(), outbox)
                .await;
        });
        self.syncs.spawn(async move {
            // A sync that panicked must not look like a sync that succeeded.
            if sync.await.is_err() {
                let _ = last_words.send(Err(sync::Error::Panicked)).await;
            }
        });
        let messages = SyncMessages::new(UpdateStream::new(
            encoder,
            steps,
            hooks,
            Arc::clone(&self.clock),
            self.stop.clone(),
        ));
        let mut response = Response::new(messages.clone());
        response.extensions_mut().insert(messages);
        Ok(response)
    }
}

/// Returns the settings that affect reading.
fn sync_settings(settings: &Settings) -> SyncSettings {
    let scopes = settings.filter.scopes().into_iter();
    SyncSettings {
        start: settings.start_date.map(StartDate::get),
        look_back: TimeDelta::days(settings.look_back_days.get().into()),
        include_scheduled: settings.include_scheduled_runs,
        checkpoint_every: TimeDelta::seconds(settings.checkpoint_interval_seconds.get().into()),
        scopes: scopes
            .map(|(table, own, related)| (table, Arc::new(UserFilter { own, related })))
            .collect(),
    }
}

fn read_configuration(configuration: &HashMap<String, String>) -> Result<Parsed, Status> {
    config::parse(configuration).map_err(|error| {
        tracing::error!("{error}");
        invalid(&error)
    })
}
