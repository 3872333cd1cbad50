//! A JSON object becomes a typed row: pure, and nothing is lost.

mod fingerprint;
mod flatten;
mod value;

pub use fingerprint::{fingerprint, hash_name};
pub use flatten::{BadRow, Context, Flattened, Flattener};
pub use value::{Misfit, Row, Value};
