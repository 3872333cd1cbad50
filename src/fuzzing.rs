//! Access to private code for the fuzz targets in `fuzz/`: thin functions that only their builds contain
//! (feature `fuzzing`).

pub use crate::{
    fivetran::fuzzing::read_selection,
    prefect::fuzzing::{Tokens, read_error, retry_after, server_time},
    rows::fuzzing::{both_passes_agree, instant, usual_instant},
    sync::fuzzing::bounded,
};
