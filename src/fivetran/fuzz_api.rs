//! Functions for the fuzz targets; see `src/fuzz_api.rs`.

use super::{proto, selection};
use crate::{sync::Selection, tables};

/// Reads a selection. Returns the selected tables and warnings for the user, or the reason for a rejection.
pub fn read_selection(selection: &proto::Selection) -> Result<(Selection, Vec<String>), String> {
    selection::read(Some(selection), tables::ALL).map_err(|error| error.to_string())
}
