//! The connector with its local run, built with full optimization.

use std::process::ExitCode;

fn main() -> ExitCode {
    fivetran_source::cli::main()
}
