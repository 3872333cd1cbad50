//! The client of a connector, whose connection and first call are repeated while the connector is still starting.
//!
//! The published port of a container accepts connections before the process in the container listens. Such connections
//! are closed at once.

use std::{error::Error as _, time::Duration};

use fivetran_proto::{
    ConfigurationFormRequest, ConfigurationFormResponse, MAX_MESSAGE_BYTES,
    source_connector_client::SourceConnectorClient,
};
use tonic::{Code, Status, codec::CompressionEncoding, transport::Channel};

use super::{
    Error,
    transport::{self, Transport},
};
use sync_clock::Clock;

/// The client of a connector.
pub(super) type Client = SourceConnectorClient<Channel>;

/// The pause before an attempt is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// Returns the client for a connection. It accepts compressed responses, which some servers always send.
pub(super) fn client(channel: Channel) -> Client {
    SourceConnectorClient::new(channel)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Connects to the connector. Only a connection that was accepted and then closed is tried again.
pub(super) async fn connect(
    transport: &Transport,
    within: Duration,
    clock: &dyn Clock,
) -> Result<Channel, Error> {
    let began = clock.now();
    loop {
        match transport.connect().await {
            Err(Error::Connect {
                is_closed: true, ..
            }) if (clock.now() - began).to_std().is_ok_and(|it| it < within) => {
                clock.sleep(PAUSE).await;
            }
            connected => return connected,
        }
    }
}

/// Requests the setup form. The call is repeated if the connection breaks within the time limit, unless nothing listens
/// any longer, or a server responds that is not a gRPC server.
pub(super) async fn configuration_form(
    client: &mut Client,
    within: Duration,
    clock: &dyn Clock,
) -> Result<ConfigurationFormResponse, Status> {
    let began = clock.now();
    loop {
        match client.configuration_form(ConfigurationFormRequest {}).await {
            Ok(form) => return Ok(form.into_inner()),
            Err(status)
                if is_connection_lost(&status)
                    && !is_refused(&status)
                    && status.code() != Code::Internal
                    && (clock.now() - began).to_std().is_ok_and(|it| it < within) =>
            {
                clock.sleep(PAUSE).await;
            }
            Err(status) => return Err(status),
        }
    }
}

/// Returns true if the call ended because of the connection. A status that the connector sent has no cause.
pub(super) fn is_connection_lost(status: &Status) -> bool {
    status.source().is_some()
}

/// Returns true if nothing listens at the connector's address.
fn is_refused(status: &Status) -> bool {
    status.source().is_some_and(transport::is_refused)
}

/// Describes a status for the connector's developer.
pub(super) fn described(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => format!("{:?}: {message}", status.code()),
    }
}
