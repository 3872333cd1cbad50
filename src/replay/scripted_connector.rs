//! A connector whose syncs send recorded messages.

use std::pin::Pin;

use futures::{Stream, stream};
use tonic::{Request, Response, Status};

use crate::fivetran::{
    Service,
    proto::{
        ConfigurationFormRequest, ConfigurationFormResponse, SchemaRequest, SchemaResponse,
        TestRequest, TestResponse, UpdateRequest, UpdateResponse,
    },
    wire::{Encoded, SourceConnector},
};

/// A connector with our form, tests and schema, whose syncs send recorded messages.
pub struct ScriptedConnector {
    service: Service,
    messages: Vec<UpdateResponse>,
}

impl ScriptedConnector {
    /// Creates a connector that sends `messages` at each sync.
    pub fn new(service: Service, messages: Vec<UpdateResponse>) -> Self {
        Self { service, messages }
    }
}

#[tonic::async_trait]
impl SourceConnector for ScriptedConnector {
    type UpdateStream = Pin<Box<dyn Stream<Item = Result<Encoded, Status>> + Send>>;

    async fn configuration_form(
        &self,
        request: Request<ConfigurationFormRequest>,
    ) -> Result<Response<ConfigurationFormResponse>, Status> {
        self.service.configuration_form(request).await
    }

    async fn test(&self, request: Request<TestRequest>) -> Result<Response<TestResponse>, Status> {
        self.service.test(request).await
    }

    async fn schema(
        &self,
        request: Request<SchemaRequest>,
    ) -> Result<Response<SchemaResponse>, Status> {
        self.service.schema(request).await
    }

    async fn update(
        &self,
        _request: Request<UpdateRequest>,
    ) -> Result<Response<Self::UpdateStream>, Status> {
        let messages = self.messages.clone().into_iter();
        let encoded = messages.map(|message| Ok(Encoded::from(message)));
        Ok(Response::new(Box::pin(stream::iter(encoded))))
    }
}
