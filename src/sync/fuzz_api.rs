//! Functions for the fuzz targets; see `src/fuzz_api.rs`.

use super::State;

/// Returns the state as JSON with at most `most` bytes, if it can be reduced that far.
pub fn bounded(state: &mut State, most: usize) -> Result<String, serde_json::Error> {
    Ok(state.bounded_json(most)?.0)
}
