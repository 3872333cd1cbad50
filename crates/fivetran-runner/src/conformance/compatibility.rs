//! Comparison of the setup form and the schema of two versions of a connector. Pure.

use std::collections::BTreeMap;

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::TableId,
    rules,
    schema::{Column, Declared, Tables},
};
use crate::form;
use fivetran_proto::{
    ConfigurationFormResponse, DataType, DataTypeParams, FormField, data_type_params::Params,
    form_field::Type,
};

/// Reports what the configuration of a connection with the old version lacks in the new one. `answers` are the user's
/// values, `stored` also has the defaults of the old form.
pub(super) fn compare_forms(
    old: &ConfigurationFormResponse,
    new: &ConfigurationFormResponse,
    answers: &BTreeMap<String, String>,
    stored: &BTreeMap<String, String>,
    finding_log: &mut FindingLog,
) {
    let place = |name: &str| FindingLocation::call("ConfigurationForm").column(name);
    let has_value = |values: &BTreeMap<String, String>, name: &str| {
        values.get(name).is_some_and(|value| !value.is_empty())
    };
    let (before, after) = (form::fields(old), form::fields(new));
    for field in form::visible_fields(new, stored) {
        let name = field.name.as_str();
        let is_new = before.get(name).is_none_or(|old| !is_required(old));
        let is_filled = has_value(stored, name) || field.default_value.is_some();
        if is_new && is_required(field) && !is_filled {
            let text =
                "the field is required, and the old version's configuration has no value for it";
            finding_log.add(&rules::UPGRADE_FIELD_REQUIRED, place(name), text);
        }
    }
    for name in before.keys() {
        let text = match after.get(name) {
            None if has_value(answers, name) => {
                "the configuration uses the field, which the form no longer has"
            }
            Some(field) if !is_offered(field, stored.get(*name)) => {
                "the form no longer offers the configured value"
            }
            _ => continue,
        };
        finding_log.add(&rules::UPGRADE_FIELD_REMOVED, place(name), text);
    }
}

fn is_required(field: &FormField) -> bool {
    field.required == Some(true) && !matches!(field.r#type, Some(Type::ToggleField(_)))
}

/// Returns false if the field has a list of values that lacks this one.
fn is_offered(field: &FormField, value: Option<&String>) -> bool {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return true;
    };
    match &field.r#type {
        Some(Type::DropdownField(list)) => list.dropdown_field.contains(value),
        Some(Type::DescriptiveDropdownFields(list)) => {
            let mut values = list.descriptive_dropdown_field.iter();
            values.any(|offered| offered.value == *value)
        }
        _ => true,
    }
}

/// Reports tables, columns, types and keys of the old schema that the new one does not keep.
pub(super) fn compare_schemas(old: &Tables, new: &Tables, finding_log: &mut FindingLog) {
    for (id, before) in &old.tables {
        let place = FindingLocation::call("Schema").table(id);
        let Some(after) = new.tables.get(id) else {
            let text = "the table is not in the schema of the new version";
            finding_log.add(&rules::UPGRADE_TABLE_REMOVED, place, text);
            continue;
        };
        if before.key != after.key {
            let (before, after) = (before.key.join(", "), after.key.join(", "));
            let text = format!("the key was ({before}) and is now ({after})");
            finding_log.add(&rules::UPGRADE_KEY_CHANGED, place.clone(), text);
        }
        for (name, column) in &before.columns {
            let place = place.clone().column(name);
            match after.columns.get(name) {
                Some(after) => {
                    if let Some(text) = narrowed(column, after) {
                        finding_log.add(&rules::UPGRADE_TYPE_CHANGED, place, text);
                    }
                }
                None if after.is_whole() || column.key => {
                    let text = "the column is not in the schema of the new version";
                    finding_log.add(&rules::UPGRADE_COLUMN_REMOVED, place, text);
                }
                None => {}
            }
        }
    }
}

/// Describes the change of a type that does not keep all values, or needs other queries.
fn narrowed(old: &Column, new: &Column) -> Option<String> {
    use DataType as D;
    let (was, is) = (old.kind, new.kind);
    let is_wider = match (was, is) {
        // The platform infers a type that is not declared.
        (D::Unspecified, _)
        | (_, D::Unspecified)
        | (D::Short, D::Int | D::Long | D::Decimal | D::Float | D::Double)
        | (D::Int, D::Long | D::Decimal | D::Double)
        | (D::Long, D::Decimal)
        | (D::Float, D::Double) => true,
        _ => was == is,
    };
    if !is_wider {
        return Some(format!(
            "the type was {} and is now {}",
            was.as_str_name(),
            is.as_str_name()
        ));
    }
    if was != is {
        return None;
    }
    let (was, is) = (limit(old.params), limit(new.params));
    let is_kept = match (was, is) {
        (_, Limit::None) => true,
        (Limit::Digits(whole, fraction), Limit::Digits(new_whole, new_fraction)) => {
            new_whole >= whole && new_fraction >= fraction
        }
        (Limit::Bytes(bytes), Limit::Bytes(new_bytes)) => new_bytes >= bytes,
        _ => false,
    };
    (!is_kept).then(|| format!("the limit was {was} and is now {is}"))
}

/// The limit of a type's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    /// The digits before and after the decimal point.
    Digits(u32, u32),
    /// The bytes of a string.
    Bytes(i32),
}

fn limit(params: Option<DataTypeParams>) -> Limit {
    match params.and_then(|params| params.params) {
        Some(Params::Decimal(digits)) if digits.precision > 0 => {
            Limit::Digits(digits.precision.saturating_sub(digits.scale), digits.scale)
        }
        Some(Params::StringByteLength(bytes)) if bytes > 0 => Limit::Bytes(bytes),
        _ => Limit::None,
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("not set"),
            Self::Digits(whole, fraction) => {
                write!(
                    f,
                    "{whole} digits before and {fraction} after the decimal point"
                )
            }
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

/// The meaning of a column for the comparison of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparable {
    /// Both versions have the column with the same type.
    Yes,
    /// Only the new version has the column.
    Added,
    /// The schemas' comparison has reported the difference, or allows it.
    No,
}

/// Returns true if rows of the table can be compared.
pub(super) fn is_comparable(old: &Tables, new: &Tables, table: &TableId) -> bool {
    match (old.tables.get(table), new.tables.get(table)) {
        (Some(before), Some(after)) => before.key == after.key,
        (Some(_), None) => !new.is_known,
        (None, _) => true,
    }
}

/// Returns true if the values of a column can be compared, or if the column is new.
pub(super) fn comparable_column(
    old: &Tables,
    new: &Tables,
    table: &TableId,
    column: &str,
) -> Comparable {
    let find = |tables: &Tables| tables.tables.get(table).cloned();
    let (Some(before), Some(after)) = (find(old), find(new)) else {
        return Comparable::Yes;
    };
    let has = |declared: &Declared| declared.columns.get(column).copied();
    match (has(&before), has(&after)) {
        (Some(was), Some(is)) if was.kind == is.kind => Comparable::Yes,
        (Some(_), Some(_)) => Comparable::No,
        (None, Some(_)) if before.is_whole() => Comparable::Added,
        (Some(_), None) if after.is_whole() => Comparable::No,
        _ => Comparable::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fivetran_proto::DecimalParams;

    fn column(kind: DataType, params: Option<Params>) -> Column {
        Column {
            kind,
            params: params.map(|params| DataTypeParams {
                params: Some(params),
            }),
            key: false,
        }
    }

    fn decimal(precision: u32, scale: u32) -> Column {
        let digits = DecimalParams { precision, scale };
        column(DataType::Decimal, Some(Params::Decimal(digits)))
    }

    #[test]
    fn a_type_may_only_become_wider() {
        let plain = |kind| column(kind, None);
        let bytes = |bytes| column(DataType::String, Some(Params::StringByteLength(bytes)));
        let wider = [
            (plain(DataType::Int), plain(DataType::Long)),
            (plain(DataType::Float), plain(DataType::Double)),
            (plain(DataType::Unspecified), plain(DataType::String)),
            (decimal(10, 2), decimal(12, 4)),
            (bytes(10), bytes(20)),
            (bytes(10), plain(DataType::String)),
        ];
        for (old, new) in wider {
            assert_eq!(narrowed(&old, &new), None, "{old:?} {new:?}");
        }
        let narrower = [
            (plain(DataType::Long), plain(DataType::Int)),
            (plain(DataType::Long), plain(DataType::String)),
            (plain(DataType::NaiveDate), plain(DataType::UtcDatetime)),
            (decimal(10, 2), decimal(10, 4)),
            (decimal(10, 2), decimal(12, 1)),
            (bytes(20), bytes(10)),
            (plain(DataType::String), bytes(10)),
        ];
        for (old, new) in narrower {
            assert!(narrowed(&old, &new).is_some(), "{old:?} {new:?}");
        }
    }
}
