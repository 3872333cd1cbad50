//! Entry points for the fuzz targets; see `src/fuzz_api.rs`.

use chrono::{DateTime, Utc};

use super::{
    context::Context,
    fast_json_hash, fast_scan, json_hash,
    layout::Layout,
    scan::{self, Pass},
    value,
};
use crate::tables::Table;

/// Returns true if the pass for usual pages accepts no text that the other pass refuses, and finds the same values.
pub fn both_passes_agree(table: &'static Table, context: &Context, text: &str) -> bool {
    let layout = Layout::new(table, context);
    let Some(usual) = fast_scan::page(Pass::new(&layout, text, true)) else {
        return true;
    };
    scan::page(&layout, text).is_ok_and(|any| any == usual)
}

/// Returns true if the fast hash of a JSON text, if there is one, is the hash by the parser.
pub fn both_hashes_agree(text: &str) -> bool {
    let Some(fast) = fast_json_hash::hash(text) else {
        return true;
    };
    json_hash::hash_any(text).is_ok_and(|any| any == fast)
}

/// Reads an instant in any format.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    value::parse_instant(text)
}

/// Reads an instant in the format that Prefect uses.
pub fn usual_instant(text: &str) -> Option<DateTime<Utc>> {
    value::usual_instant(text.as_bytes())
}
