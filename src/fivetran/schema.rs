//! The setup form and the schema as messages of the protocol.

use super::proto;
use crate::{
    config,
    tables::{Column, ColumnType, OptIn, Table},
};

/// The maximum size of an uploaded file, in bytes. A chain of certificates has a few thousand.
const LARGEST_FILE: i32 = 1 << 20;

/// Returns the response to `ConfigurationForm`.
pub(super) fn form() -> proto::ConfigurationFormResponse {
    proto::ConfigurationFormResponse {
        schema_selection_supported: true,
        table_selection_supported: true,
        fields: fields(),
        tests: [
            config::CONNECTION_TEST,
            config::ACCESS_TEST,
            config::FILTER_TEST,
        ]
        .iter()
        .map(|test| proto::ConfigurationTest {
            name: test.name.to_owned(),
            label: test.label.to_owned(),
        })
        .collect(),
    }
}

/// Returns the fields of the form. Consecutive fields that are shown on the same condition form one group.
fn fields() -> Vec<proto::FormField> {
    let mut fields: Vec<proto::FormField> = Vec::new();
    let mut last = None;
    for field in config::FORM {
        if field.name == "advanced" {
            fields.extend(config::choices().map(|(_, choice)| choice_field(choice)));
        }
        let Some(condition) = field.shown else {
            fields.push(form_field(field));
            last = None;
            continue;
        };
        if last != Some(condition) {
            fields.push(conditional_fields(condition));
            last = Some(condition);
        }
        let group = fields.last_mut().and_then(|group| group.r#type.as_mut());
        if let Some(proto::form_field::Type::ConditionalFields(group)) = group {
            group.fields.push(form_field(field));
        }
    }
    fields
}

/// Returns an empty group of fields that are shown on a condition.
fn conditional_fields(condition: config::Condition) -> proto::FormField {
    use proto::visibility_condition::VisibleWhen;
    let is_toggle = config::FORM
        .iter()
        .any(|field| field.name == condition.field && field.kind == config::FieldKind::Toggle);
    let visible_when = if is_toggle {
        VisibleWhen::BoolValue(condition.value == "true")
    } else {
        VisibleWhen::StringValue(condition.value.to_owned())
    };
    proto::FormField {
        name: format!("{}_fields", condition.field),
        label: condition.label.to_owned(),
        r#type: Some(proto::form_field::Type::ConditionalFields(
            proto::ConditionalFields {
                condition: Some(proto::VisibilityCondition {
                    condition_field: condition.field.to_owned(),
                    visible_when: Some(visible_when),
                }),
                fields: Vec::new(),
            },
        )),
        ..proto::FormField::default()
    }
}

/// Returns the field that switches an optional table on.
fn choice_field(choice: OptIn) -> proto::FormField {
    proto::FormField {
        name: choice.field.to_owned(),
        label: choice.label.to_owned(),
        required: Some(false),
        description: Some(format!(
            "Off by default because of its cost. {}",
            choice.cost
        )),
        default_value: Some("false".to_owned()),
        placeholder: None,
        r#type: Some(proto::form_field::Type::ToggleField(proto::ToggleField {})),
    }
}

fn form_field(field: &config::Field) -> proto::FormField {
    use proto::form_field::Type;
    let kind = match field.kind {
        config::FieldKind::Text => Type::TextField(proto::TextField::PlainText.into()),
        config::FieldKind::Secret => Type::TextField(proto::TextField::Password.into()),
        config::FieldKind::Toggle => Type::ToggleField(proto::ToggleField {}),
        config::FieldKind::Dropdown(values) => Type::DropdownField(proto::DropdownField {
            dropdown_field: values.iter().map(|each| (*each).to_owned()).collect(),
        }),
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

/// Returns the response to `Schema`: these tables with every column. Selection is supported.
pub(super) fn schema(tables: &[&Table]) -> proto::SchemaResponse {
    proto::SchemaResponse {
        selection_not_supported: Some(false),
        response: Some(proto::schema_response::Response::WithoutSchema(
            proto::TableList {
                tables: tables.iter().map(|table| table_message(table)).collect(),
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

fn data_type(kind: ColumnType) -> proto::DataType {
    match kind {
        ColumnType::String => proto::DataType::String,
        ColumnType::Boolean => proto::DataType::Boolean,
        ColumnType::Long => proto::DataType::Long,
        ColumnType::Double => proto::DataType::Double,
        ColumnType::UtcDatetime => proto::DataType::UtcDatetime,
        ColumnType::Json => proto::DataType::Json,
    }
}
