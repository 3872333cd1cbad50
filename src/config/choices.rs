//! The optional tables, and the fields whose values are chosen from a list.

use super::{
    closest::not_allowed,
    error::ConfigError,
    form::{FORM, FieldKind},
    toggle::Toggle,
};
use crate::tables::{self, OptIn, Table};

/// The optional tables, with their options.
pub fn choices() -> impl Iterator<Item = (&'static Table, OptIn)> {
    tables::ALL
        .iter()
        .filter_map(|table| Some((*table, table.choice?)))
}

/// The tables that are available if no optional table was chosen.
pub fn default_tables() -> Vec<&'static Table> {
    let tables = tables::ALL.iter().copied();
    tables.filter(|table| table.choice.is_none()).collect()
}

/// Returns all tables except the optional ones that were not chosen.
pub(super) fn chosen_tables<'a>(
    answer: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Vec<&'static Table>, ConfigError> {
    let mut chosen = Vec::new();
    for table in tables::ALL {
        let is_chosen = match table
            .choice
            .and_then(|choice| Some((choice, answer(choice.field)?)))
        {
            Some((choice, text)) => match text.parse() {
                Ok(Toggle(is_chosen)) => is_chosen,
                Err(why) => return Err(ConfigError::invalid(choice.field, why)),
            },
            None => table.choice.is_none(),
        };
        if is_chosen {
            chosen.push(*table);
        }
    }
    Ok(chosen)
}

/// Checks the values of dropdowns and toggles. A misspelled one would silently hide the fields that it shows.
pub(super) fn check_listed_values<'a>(
    answer: &impl Fn(&str) -> Option<&'a str>,
) -> Result<(), ConfigError> {
    for field in FORM {
        let Some(text) = answer(field.name) else {
            continue;
        };
        let invalid = |why: String| Err(ConfigError::invalid(field.name, why));
        match field.kind {
            FieldKind::Dropdown(values) => {
                if !values.iter().any(|value| value.eq_ignore_ascii_case(text)) {
                    return invalid(not_allowed(text, values));
                }
            }
            FieldKind::Toggle => {
                if let Err(why) = text.parse::<Toggle>() {
                    return invalid(why);
                }
            }
            FieldKind::Text | FieldKind::Secret | FieldKind::File(_) => {}
        }
    }
    Ok(())
}
