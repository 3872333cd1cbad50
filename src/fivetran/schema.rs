//! The setup form and the schema, as the protocol says them.

use super::proto;
use crate::{
    config,
    tables::{self, Column, Kind, Table},
};

/// The largest file that may be uploaded, in bytes: a chain of certificates has a few thousand.
const LARGEST_FILE: i32 = 1 << 20;

/// The answer to `ConfigurationForm`.
pub(super) fn form() -> proto::ConfigurationFormResponse {
    proto::ConfigurationFormResponse {
        schema_selection_supported: true,
        table_selection_supported: true,
        fields: config::FORM.iter().map(form_field).collect(),
        tests: [config::CONNECTION_TEST, config::ACCESS_TEST]
            .iter()
            .map(|test| proto::ConfigurationTest {
                name: test.name.to_owned(),
                label: test.label.to_owned(),
            })
            .collect(),
    }
}

fn form_field(field: &config::Field) -> proto::FormField {
    use proto::form_field::Type;
    let kind = match field.kind {
        config::FieldKind::Text => Type::TextField(proto::TextField::PlainText.into()),
        config::FieldKind::Secret => Type::TextField(proto::TextField::Password.into()),
        config::FieldKind::File(extensions) => Type::UploadField(proto::UploadField {
            allowed_file_type: extensions.iter().map(|each| (*each).to_owned()).collect(),
            max_file_size_bytes: LARGEST_FILE,
        }),
    };
    proto::FormField {
        name: field.name.to_owned(),
        label: field.label.to_owned(),
        required: Some(field.required),
        description: Some(field.description.to_owned()),
        default_value: field.default.map(str::to_owned),
        placeholder: field.placeholder.map(str::to_owned),
        r#type: Some(kind),
    }
}

/// The answer to `Schema`: every table and column; selection is honoured.
pub(super) fn schema() -> proto::SchemaResponse {
    proto::SchemaResponse {
        selection_not_supported: Some(false),
        response: Some(proto::schema_response::Response::WithoutSchema(
            proto::TableList {
                tables: tables::ALL
                    .iter()
                    .map(|table| table_message(table))
                    .collect(),
            },
        )),
    }
}

fn table_message(table: &Table) -> proto::Table {
    proto::Table {
        name: table.name.to_owned(),
        columns: table
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| column_message(column, at == 0))
            .collect(),
    }
}

fn column_message(column: &Column, primary_key: bool) -> proto::Column {
    proto::Column {
        name: column.name.to_owned(),
        r#type: data_type(column.kind).into(),
        primary_key,
        params: None,
    }
}

fn data_type(kind: Kind) -> proto::DataType {
    match kind {
        Kind::String => proto::DataType::String,
        Kind::Boolean => proto::DataType::Boolean,
        Kind::Long => proto::DataType::Long,
        Kind::Double => proto::DataType::Double,
        Kind::UtcDatetime => proto::DataType::UtcDatetime,
        Kind::Json => proto::DataType::Json,
    }
}
