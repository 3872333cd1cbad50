//! Entry points for the fuzz targets; see `src/fuzzing.rs`.

use chrono::{DateTime, Utc};

use super::value;

/// Reads an instant in any format.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    value::parse_instant(text)
}

/// Reads an instant in the format that Prefect uses.
pub fn usual_instant(text: &str) -> Option<DateTime<Utc>> {
    value::usual_instant(text.as_bytes())
}
