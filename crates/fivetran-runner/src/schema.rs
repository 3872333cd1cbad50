//! The schema in which tables are landed: its allowed names, and the check that it stays the same.

use super::{Error, Options, database::DuckDb, state, views::LATEST};

/// Names that have another meaning in a DuckDB file called `warehouse`.
const TAKEN: &[&str] = &[
    "information_schema",
    LATEST,
    "pg_catalog",
    "system",
    "temp",
    "warehouse",
];

/// The most characters of a name.
const LONGEST: usize = 63;

/// Checks the name by Fivetran's rules. It must not begin with an underscore, because such names are for the local
/// run's own schemas.
pub fn check_schema(name: &str) -> Result<(), Error> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let is_plain = name
        .chars()
        .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_');
    if begins && is_plain && name.len() <= LONGEST && !TAKEN.contains(&name) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(Error::SchemaName { name })
}

/// Rejects a state whose rows are in another schema. The rows that it counts as sent would be missing here.
pub(super) fn check_state(options: &Options, start: &str, store: &DuckDb) -> Result<(), Error> {
    let is_own = options.state.is_none() && start.trim() != state::FRESH;
    match store.last_checkpointed()? {
        Some((was, _)) if is_own && was != options.schema => Err(Error::OtherSchema {
            state: options.state_file(),
            was,
            now: options.schema.clone(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_not_taken() {
        for good in ["tester", "prefect_2", "a", "main"] {
            assert!(check_schema(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "_a", "1a", "Prefect", "a-b", "a b", "ä", "temp", &long] {
            let text = check_schema(bad).unwrap_err().to_string();
            assert!(text.contains("lower-case"), "{text}");
        }
    }
}
