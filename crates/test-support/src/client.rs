//! A sync as Fivetran requests it from a connector.

use fivetran_proto::{
    Selection, TableSelection, TablesWithNoSchema, UpdateRequest, selection,
    source_connector_client::SourceConnectorClient, update_response::Operation,
};
use tonic::{Status, transport::Channel};

/// Returns a selection of these tables with all their columns.
pub fn select<'a>(tables: impl IntoIterator<Item = &'a str>) -> Selection {
    let select = |name: &str| TableSelection {
        included: true,
        table_name: name.to_owned(),
        include_new_columns: true,
        ..TableSelection::default()
    };
    selection_of(tables.into_iter().map(select).collect())
}

/// Returns a selection of these tables and no others.
pub fn selection_of(tables: Vec<TableSelection>) -> Selection {
    Selection {
        selection: Some(selection::Selection::WithoutSchema(TablesWithNoSchema {
            tables,
            include_new_tables: false,
        })),
    }
}

/// Syncs to the end; returns the operations and the final status.
pub async fn sync(
    client: &mut SourceConnectorClient<Channel>,
    request: UpdateRequest,
) -> (Vec<Operation>, Result<(), Status>) {
    sync_until(client, request, usize::MAX).await
}

/// Syncs, and disconnects after `cut` operations.
pub async fn sync_until(
    client: &mut SourceConnectorClient<Channel>,
    request: UpdateRequest,
    cut: usize,
) -> (Vec<Operation>, Result<(), Status>) {
    let mut operations = Vec::new();
    let end = async {
        let mut stream = client.update(request).await?.into_inner();
        while operations.len() < cut
            && let Some(message) = stream.message().await?
        {
            operations.extend(message.operation);
        }
        Ok(())
    };
    let end: Result<(), Status> = end.await;
    (operations, end)
}
