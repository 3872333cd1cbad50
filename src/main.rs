//! The executable; see [`fivetran_source`] for its modules.

use std::process::ExitCode;

fn main() -> ExitCode {
    fivetran_source::cli::main()
}
