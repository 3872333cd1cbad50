//! The executable; see [`fivetran_source`] for what it is made of.

use std::process::ExitCode;

fn main() -> ExitCode {
    fivetran_source::cli::main()
}
