//! Log lines for Fivetran: one JSON object per line on stdout.
//!
//! The format is that of the Partner SDK: `level` (INFO, WARNING or SEVERE), `message`, `message-origin`. Fivetran names
//! the account and the destination group of a connection in the environment; each line ends with them.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    registry::LookupSpan,
};

/// The environment variables that name the connection's account and group, and the fields of log lines for them
/// (Partner SDK, development guide).
const CONTEXT: [(&str, &str); 2] = [
    ("FIVETRAN_ACCOUNT_NAME", "account"),
    ("FIVETRAN_GROUP_NAME", "group"),
];

/// Starts logging in Fivetran's format on stdout. `RUST_LOG` selects the lines; the default is INFO and above.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let format = FivetranFormat::new(|name| std::env::var(name).ok());
    // Fails only if logging was started before.
    let _ = tracing::subscriber::set_global_default(subscriber(std::io::stdout, filter, format));
}

fn subscriber<W>(
    writer: W,
    filter: EnvFilter,
    format: FivetranFormat,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .event_format(format)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

/// Writes an event as Fivetran's JSON object.
struct FivetranFormat {
    /// The account and the group, as ` name=value`; empty outside of Fivetran.
    context: String,
}

impl FivetranFormat {
    /// Creates the format from the variables of the environment.
    fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let field = |(variable_name, field): (&str, &str)| {
            let value = variable(variable_name).filter(|value| !value.is_empty())?;
            Some(format!(" {field}={value}"))
        };
        Self {
            context: CONTEXT.into_iter().filter_map(field).collect(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for FivetranFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "SEVERE",
            Level::WARN => "WARNING",
            // The format has no level below INFO.
            Level::INFO | Level::DEBUG | Level::TRACE => "INFO",
        };
        let mut text = Text::default();
        event.record(&mut text);
        let line = serde_json::json!({
            "level": level,
            "message": text.message + &text.fields + &self.context,
            "message-origin": "sdk_connector",
        });
        writeln!(writer, "{line}")
    }
}

/// The message, and the other fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines that `log` writes with these variables in the environment.
    fn logged(
        variable: impl Fn(&str) -> Option<String>,
        log: impl FnOnce(),
    ) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let format = FivetranFormat::new(variable);
        let subscriber = subscriber(move || writer.clone(), EnvFilter::new("info"), format);
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(lines.0.lock().expect("lock").clone()).expect("UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    #[test]
    fn every_line_names_the_account_and_the_group_if_fivetran_does() {
        let variable = |name: &str| match name {
            "FIVETRAN_ACCOUNT_NAME" => Some("acme".to_owned()),
            "FIVETRAN_GROUP_NAME" => Some("production".to_owned()),
            _ => None,
        };
        let lines = logged(variable, || tracing::info!(rows = 3, "read"));
        assert_eq!(
            lines[0]["message"],
            "read rows=3 account=acme group=production"
        );
        let lines = logged(|_| Some(String::new()), || tracing::info!("read"));
        assert_eq!(lines[0]["message"], "read");
    }

    #[test]
    fn every_line_is_fivetrans_json() {
        let lines = logged(
            |_| None,
            || {
                tracing::info!(rows = 3, table = "flows", "read \"all\"\nof it");
                tracing::warn!("careful");
                tracing::error!("broken");
                tracing::debug!("not logged");
            },
        );
        let levels: Vec<&str> = lines
            .iter()
            .filter_map(|line| line["level"].as_str())
            .collect();
        assert_eq!(levels, ["INFO", "WARNING", "SEVERE"]);
        assert_eq!(
            lines[0]["message"],
            "read \"all\"\nof it rows=3 table=flows"
        );
        assert_eq!(lines[0]["message-origin"], "sdk_connector");
        assert_eq!(lines[0].as_object().map(serde_json::Map::len), Some(3));
    }
}
