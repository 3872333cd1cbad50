//! For the fuzz targets; see `src/fuzzing.rs`.

use super::{proto, selection};
use crate::{sync::Selection, tables};

/// Reads a selection; gives what is to be synced and what the user should know, or why it is refused.
pub fn read_selection(selection: &proto::Selection) -> Result<(Selection, Vec<String>), String> {
    selection::read(Some(selection), tables::ALL).map_err(|error| error.to_string())
}
