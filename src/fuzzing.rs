//! What the fuzz targets in `fuzz/` may see of what is private: thin functions, in no build but theirs
//! (feature `fuzzing`).

pub use crate::{
    fivetran::fuzzing::read_selection,
    prefect::fuzzing::{Tokens, read_error, retry_after, server_time},
    rows::fuzzing::{instant, usual_instant},
    sync::fuzzing::bounded,
};
