//! The body of the response to `Update`, which sends the encoded messages without copying them.
//!
//! The generated server would copy each message to a buffer of its own. It still reads the request and writes the
//! response's headers; [`without_copies`] then exchanges the body, unless the messages are compressed.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use prost::Message;
use tonic::Status;

use super::{proto::MAX_MESSAGE_BYTES, update_stream::UpdateStream, wire::Encoded};

/// The header of a response whose messages are compressed.
const ENCODING: &str = "grpc-encoding";

/// The messages of a sync, which either the generated server or a body of its own sends.
#[derive(Clone)]
pub struct SyncMessages(Arc<Mutex<Option<UpdateStream>>>);

impl SyncMessages {
    pub(super) fn new(stream: UpdateStream) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    fn take(&self) -> Option<UpdateStream> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.take()
    }
}

/// Used if the messages are compressed.
impl Stream for SyncMessages {
    type Item = Result<Encoded, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match stream.as_mut() {
            Some(stream) => Pin::new(stream).poll_next(context),
            None => Poll::Ready(None),
        }
    }
}

/// Exchanges the body of a response that has the messages of a sync among its extensions.
pub(super) fn without_copies(
    mut response: Response<tonic::body::Body>,
) -> Response<tonic::body::Body> {
    let messages = response.extensions_mut().remove::<SyncMessages>();
    if response.headers().contains_key(ENCODING) {
        return response;
    }
    match messages.and_then(|messages| messages.take()) {
        Some(stream) => response.map(|_| tonic::body::Body::new(MessageBody::new(stream))),
        None => response,
    }
}

/// Sends each message as one piece, then the status of the call.
#[derive(Debug)]
struct MessageBody<S> {
    messages: S,
    is_over: bool,
}

impl<S> MessageBody<S> {
    fn new(messages: S) -> Self {
        Self {
            messages,
            is_over: false,
        }
    }

    /// Returns the last frame, which has the status of the call.
    fn end(&mut self, status: &Status) -> Result<Frame<Bytes>, Status> {
        self.is_over = true;
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl<S: Stream<Item = Result<Encoded, Status>> + Unpin> Body for MessageBody<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.messages).poll_next(context)) {
            Some(Ok(message)) => match message.encoded_len() {
                ..=MAX_MESSAGE_BYTES => Ok(Frame::data(message.into_framed())),
                bytes => self.end(&too_large(bytes)),
            },
            Some(Err(status)) => self.end(&status),
            None => self.end(&Status::ok("")),
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

/// Returns the status for a message that the protocol does not allow. (The text is that of the generated server.)
fn too_large(bytes: usize) -> Status {
    Status::out_of_range(format!(
        "Error, encoded message length too large: found {bytes} bytes, the limit is: {MAX_MESSAGE_BYTES} bytes"
    ))
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use proptest::prelude::*;
    use tonic::codec::EncodeBody;
    use tonic_prost::ProstEncoder;

    use super::*;
    use crate::fivetran::{
        proto::{Checkpoint, UpdateResponse, update_response::Operation},
        wire::BatchBuffer,
    };

    /// Returns the bytes of a body, and the trailers that end it.
    async fn collect(body: impl Body<Data = Bytes, Error = Status>) -> (Vec<u8>, HeaderMap) {
        let mut body = Box::pin(body);
        let mut bytes = Vec::new();
        loop {
            let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
            match frame
                .expect("trailers at the end")
                .expect("a frame")
                .into_data()
            {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => {
                    assert!(body.is_end_stream());
                    return (bytes, frame.into_trailers().expect("trailers"));
                }
            }
        }
    }

    /// Asserts that the body sends what tonic's own sends.
    fn assert_like_tonic(messages: &[Result<Encoded, Status>]) {
        let stream = || futures::stream::iter(messages.to_vec());
        let encoder = ProstEncoder::<Encoded>::new(tonic::codec::BufferSettings::default());
        let tonic = EncodeBody::new_server(
            encoder,
            stream(),
            None,
            tonic::codec::SingleMessageCompressionOverride::default(),
            Some(MAX_MESSAGE_BYTES),
        );
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().expect("a runtime");
        let (ours, theirs) = runtime.block_on(async {
            (
                collect(MessageBody::new(stream())).await,
                collect(tonic).await,
            )
        });
        assert!(ours == theirs, "{:?} {:?}", ours.1, theirs.1);
    }

    fn batch(records: &[u8]) -> Encoded {
        let mut buffer = BatchBuffer::with_capacity(0);
        buffer.bytes().extend_from_slice(records);
        buffer.into_message()
    }

    fn checkpoint(state_json: String) -> Encoded {
        let operation = Some(Operation::Checkpoint(Checkpoint { state_json }));
        UpdateResponse { operation }.into()
    }

    proptest! {
        #[test]
        fn messages_are_framed_as_by_the_generated_server(
            messages in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..300).prop_map(|records| batch(&records)),
                    (0..70_000_usize).prop_map(|bytes| batch(&vec![7; bytes])),
                    ".{0,200}".prop_map(checkpoint),
                ],
                0..6,
            ),
            status in prop::option::of(".{0,30}"),
        ) {
            let mut messages: Vec<_> = messages.into_iter().map(Ok).collect();
            messages.extend(status.map(|text| Err(Status::unavailable(text))));
            assert_like_tonic(&messages);
        }
    }

    #[test]
    fn a_message_above_the_limit_ends_the_call_as_in_the_generated_server() {
        let head = 5;
        let largest = batch(&vec![0; MAX_MESSAGE_BYTES - head]);
        assert_eq!(largest.encoded_len(), MAX_MESSAGE_BYTES);
        let too_large = batch(&vec![0; MAX_MESSAGE_BYTES - head + 1]);
        let small = checkpoint("{}".to_owned());
        assert_like_tonic(&[Ok(largest), Ok(too_large), Ok(small)]);
    }
}
