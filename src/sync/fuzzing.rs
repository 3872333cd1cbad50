//! For the fuzz targets; see `src/fuzzing.rs`.

use super::State;

/// The state with at most so many bytes.
pub fn bounded(state: &mut State, most: usize) -> Result<String, serde_json::Error> {
    state.bounded_json(most)
}
