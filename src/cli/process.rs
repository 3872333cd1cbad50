//! The process: its output, and the signals that end it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Writes a text to the standard output.
pub(super) fn print(text: &str) -> ExitCode {
    match write!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Returns a text for people. On a terminal, its lines are as wide as the terminal at most.
pub(super) fn for_people(text: &str) -> String {
    #[cfg(feature = "local")]
    let text = &fivetran_runner::terminal::wrapped(text, fivetran_runner::terminal::width());
    text.to_owned()
}

/// Completes when the process receives SIGTERM or SIGINT.
pub(super) async fn end_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => {
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupt.await;
    }
    tracing::info!("shutdown requested: running syncs finish their current page");
}
