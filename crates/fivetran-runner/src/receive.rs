//! A sync whose rows are received and dropped.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Options, SyncOutcome,
    driver::{QUEUE, Run, SyncFailure, start_state},
};
use fivetran_proto::UpdateRequest;
use sync_clock::Clock;

/// Runs a sync without a warehouse. For its contract see `super::receive`.
pub(super) async fn receive(
    options: Options,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<SyncOutcome, Error> {
    let start = start_state(&options)?;
    let channel = options.endpoint.connect().await?;
    let began = clock.now();
    let mut run = Run::new(&options, channel, Arc::clone(&clock), cancel);
    let failure = match run.receive(&options, start).await {
        Ok(()) => None,
        Err(SyncFailure::Connector(why)) => Some(run.redactor.clean(&why).into_owned()),
        Err(SyncFailure::ConnectionLost { during, status }) => {
            Some(run.explain_lost_connection(&options, during, &status).await)
        }
        Err(SyncFailure::Broken(error)) => return Err(error),
    };
    Ok(SyncOutcome {
        failure,
        took: (clock.now() - began).to_std().unwrap_or_default(),
        ..run.outcome
    })
}

impl Run {
    /// Makes the calls of a sync, and drops its operations.
    async fn receive(&mut self, options: &Options, start: String) -> Result<(), SyncFailure> {
        let cancel = self.cancel.clone();
        let (_, selection) = tokio::select! {
            prepared = self.prepare(options) => prepared?,
            () = cancel.cancelled() => return Err(SyncFailure::Connector("interrupted".into())),
        };
        let (sender, mut operations) = mpsc::channel(QUEUE);
        let dropping = tokio::spawn(async move { while operations.recv().await.is_some() {} });
        let request = UpdateRequest {
            configuration: self.answers(),
            selection,
            state_json: Some(start),
        };
        let read = self.read(request, &sender).await;
        drop(sender);
        let _ = dropping.await;
        read
    }
}
