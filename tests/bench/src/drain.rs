//! A client that reads a sync and only counts its messages.
//!
//! Messages are not decoded: only the tags of an `UpdateResponse` and of its operation are read
//! (proto/connector_sdk.proto).

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes};
use fivetran_source::fivetran::proto::{
    Selection, TableSelection, TablesWithNoSchema, UpdateRequest, selection,
};
use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint},
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

/// The protocol's maximum size of a message, in bytes.
const LARGEST_MESSAGE: usize = 128 << 20;

/// A pause of the reader.
#[derive(Debug, Clone, Copy)]
pub struct Stall {
    /// The number of messages before the pause.
    pub after: u64,
    /// The length of the pause.
    pub lasts: Duration,
}

/// The counts of one sync.
#[derive(Debug, Default)]
pub struct Drained {
    /// The number of records.
    pub records: u64,
    /// The number of messages.
    pub messages: u64,
    /// The size of the messages, in bytes.
    pub bytes: u64,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The state of the last checkpoint.
    pub state: Option<String>,
    /// The warnings for the user.
    pub warnings: Vec<String>,
}

/// The tables of which the workspace has objects.
pub const CORE: [&str; 3] = ["flows", "deployments", "flow_runs"];

/// Returns the selection of [`CORE`].
fn core() -> Selection {
    let select = |name: &str| TableSelection {
        included: true,
        table_name: name.to_owned(),
        include_new_columns: true,
        ..TableSelection::default()
    };
    Selection {
        selection: Some(selection::Selection::WithoutSchema(TablesWithNoSchema {
            tables: CORE.into_iter().map(select).collect(),
            include_new_tables: false,
        })),
    }
}

/// Returns the request for a sync of [`CORE`].
pub fn request(configuration: HashMap<String, String>, state: Option<String>) -> UpdateRequest {
    UpdateRequest {
        configuration,
        selection: Some(core()),
        state_json: state,
    }
}

/// Runs a sync and counts its messages.
pub async fn update(
    channel: Channel,
    request: UpdateRequest,
    stall: Option<Stall>,
) -> Result<Drained> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST_MESSAGE);
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/fivetran_sdk.v2.SourceConnector/Update");
    let mut messages = grpc
        .server_streaming(Request::new(request.encode_to_vec()), path, Raw)
        .await?
        .into_inner();
    let mut drained = Drained::default();
    while let Some(message) = messages.message().await? {
        drained.count_message(message)?;
        if let Some(stall) = stall.filter(|stall| stall.after == drained.messages) {
            pause(stall.lasts).await;
        }
    }
    Ok(drained)
}

#[expect(clippy::disallowed_methods, reason = "the wait is what is measured")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

impl Drained {
    fn count_message(&mut self, message: Bytes) -> Result<()> {
        self.messages += 1;
        self.bytes += message.len() as u64;
        for field in Fields(message) {
            let (operation, mut body) = field?;
            match operation {
                1 => self.records += 1,
                6 => self.records += Fields(body).try_fold(0, |n, field| field.map(|_| n + 1))?,
                3 => {
                    self.checkpoints += 1;
                    self.state = Some(text(&mut body)?);
                }
                4 => self.warnings.push(text(&mut body)?),
                5 => anyhow::bail!("the sync ended with a task: {}", text(&mut body)?),
                other => anyhow::bail!("operation {other}"),
            }
        }
        Ok(())
    }
}

/// Returns the text that is the only field of a message.
fn text(body: &mut Bytes) -> Result<String> {
    let field = Fields(std::mem::take(body)).next();
    let (_, text) = field.context("a message without its text")??;
    Ok(String::from_utf8(text.to_vec())?)
}

/// The fields of a message that has only length-delimited fields.
struct Fields(Bytes);

impl Fields {
    fn read(&mut self) -> Result<(u32, Bytes)> {
        let (tag, kind) = decode_key(&mut self.0)?;
        ensure!(kind == WireType::LengthDelimited, "field {tag} is {kind:?}");
        let length = usize::try_from(decode_varint(&mut self.0)?)?;
        ensure!(length <= self.0.len(), "field {tag} is cut off");
        Ok((tag, self.0.split_to(length)))
    }
}

impl Iterator for Fields {
    type Item = Result<(u32, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.has_remaining().then(|| self.read())
    }
}

/// A codec that does not decode messages.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
