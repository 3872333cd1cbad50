//! Access to private code for the fuzz targets in `fuzz/`: thin functions that only their builds contain
//! (feature `fuzzing`).

pub use crate::{
    fivetran::fuzz_api::read_selection,
    prefect::fuzz_api::{Tokens, read_error, retry_after, server_time},
    rows::fuzz_api::{both_hashes_agree, both_passes_agree, instant, usual_instant},
    sync::fuzz_api::bounded,
};
