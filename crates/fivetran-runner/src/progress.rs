//! Progress on a terminal: a line for each table, and one for waits. Silent on a pipe.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    io::{self, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{
    HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use tracing_subscriber::fmt::MakeWriter;

use super::timeline::Route;
use sync_telemetry::{BUDGET, Event, Observer};

/// The interval at which a line is redrawn while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Draws the progress of a sync. Cheap to share. Drop it or call [`Progress::finish`] before the report.
#[derive(Debug)]
pub struct Progress {
    bars: MultiProgress,
    /// The listings' paths with their tables.
    routes: Vec<Route>,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    tables: HashMap<&'static str, Line>,
    /// The bars of a connector whose own events are not recorded, with the number of records received, by table.
    foreign: HashMap<String, (ProgressBar, u64)>,
    waits: Option<ProgressBar>,
    retries: u64,
}

#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    sent: u64,
    pages: u64,
    retries: u64,
}

impl Progress {
    /// Draws on stderr if that is a terminal, and nowhere otherwise.
    ///
    /// `routes` assign retried requests to tables.
    pub fn new(routes: Vec<Route>) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self::on(target, routes)
    }

    /// Draws nothing.
    pub fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden(), Vec::new())
    }

    fn on(target: ProgressDrawTarget, routes: Vec<Route>) -> Self {
        Self {
            bars: MultiProgress::with_draw_target(target),
            routes,
            lines: Mutex::default(),
        }
    }

    /// The writer for readable log lines. It writes to stderr and hides the bars while a line is written, so that
    /// both stay intact.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter {
            bars: self.bars.clone(),
        }
    }

    /// Leaves the lines as they are and stops drawing.
    pub fn finish(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.tables.values() {
            line.bar.abandon();
        }
        for (bar, _) in lines.foreign.values() {
            bar.abandon();
        }
        if let Some(waits) = lines.waits.take() {
            waits.finish_and_clear();
        }
    }

    /// Shows that a request waits: for its turn, or to be tried again.
    fn waits(&self, lines: &mut Lines, path: &str, why: &str, wait: Duration) {
        let is_turn = why == BUDGET;
        let route = self.routes.iter().filter(|route| route.is_for(path));
        let table = route
            .max_by_key(|route| route.path.len())
            .and_then(|route| route.tables.first());
        if !is_turn
            && let Some(table) = table
            && let Some(line) = lines.tables.get_mut(table)
        {
            line.retries += 1;
            line.show();
        }
        lines.retries += u64::from(!is_turn);
        let retries = HumanCount(lines.retries);
        let seconds = wait.as_secs_f64();
        let bar = lines.waits.get_or_insert_with(|| self.spinner());
        bar.set_message(if is_turn {
            format!("waiting {seconds:.0} s for requests_per_minute ({retries} retries)")
        } else {
            format!("{retries} retries; the last: {path} ({why}), after {seconds:.1} s")
        });
    }

    /// Shows that `records` more records of a table arrived, for a connector whose own events are not recorded.
    pub fn came(&self, table: &str, records: u64) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.foreign.entry(table.to_owned()).or_insert_with(|| {
            let bar = self.spinner();
            style(&bar);
            bar.set_prefix(table.to_owned());
            (bar, 0)
        });
        line.1 += records;
        line.0.set_position(line.1);
    }

    fn spinner(&self) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if !self.bars.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn table<'a>(&self, lines: &'a mut Lines, table: &'static str) -> &'a mut Line {
        lines.tables.entry(table).or_insert_with(|| {
            let bar = self.spinner();
            style(&bar);
            bar.set_prefix(table);
            let (sent, pages, retries) = (0, 0, 0);
            Line {
                bar,
                sent,
                pages,
                retries,
            }
        })
    }
}

/// Shows the rows read and their rate as the bar's own position, and the rest as its message.
fn style(bar: &ProgressBar) {
    let template = "{spinner} {prefix:<26} {human_pos:>9} rows {rate:>9} {msg}";
    // The template is a constant that indicatif accepts. Its default would do as well.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(
            style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            }),
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Line {
    fn show(&self) {
        let mut text = format!(
            "{:>9} sent {:>6} pages",
            HumanCount(self.sent).to_string(),
            HumanCount(self.pages).to_string(),
        );
        if self.retries > 0 {
            let _ = write!(text, " {} retries", HumanCount(self.retries));
        }
        self.bar.set_message(text);
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TableStarted { table } => self.table(&mut lines, table).show(),
            Event::Page { table, read, sent } => {
                let line = self.table(&mut lines, table);
                line.bar.inc(*read);
                line.sent += sent;
                line.pages += 1;
                line.show();
            }
            Event::TableDone { table } => {
                let line = self.table(&mut lines, table);
                line.show();
                line.bar.abandon();
            }
            Event::Wait { path, why, wait } => self.waits(&mut lines, path, why, *wait),
            // Requests are counted as pages, and warnings are in the report. Other events are not shown as progress.
            _ => {}
        }
    }
}

/// Writes log lines to stderr around the bars.
#[derive(Debug, Clone)]
pub struct LogWriter {
    bars: MultiProgress,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogLine;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine {
            bars: self.bars.clone(),
            text: Vec::new(),
        }
    }
}

/// One log line, written in one piece when flushed or dropped.
#[derive(Debug)]
pub struct LogLine {
    bars: MultiProgress,
    text: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        self.bars.suspend(|| io::stderr().write_all(&text))
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        // A log line that cannot be written has nowhere else to go.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps everything written to it.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn events(progress: &Progress) {
        let table = "flow_runs";
        progress.observe(&Event::TableStarted { table });
        for _ in 0..3 {
            let (read, sent) = (1_000, 400);
            progress.observe(&Event::Page { table, read, sent });
        }
        progress.observe(&Event::Wait {
            path: "/flow_runs/filter".into(),
            why: "429".into(),
            wait: Duration::from_millis(1_500),
        });
        progress.observe(&Event::TableDone { table });
    }

    #[test]
    fn a_terminal_shows_sums_per_table_and_the_last_wait() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let route = |path, table| Route {
            path,
            tables: vec![table],
        };
        let routes = vec![route("/flow_runs", "flow_runs"), route("/flows", "flows")];
        let progress = Progress::on(target, routes);
        events(&progress);
        {
            let lines = progress.lines.lock().unwrap();
            let line = &lines.tables["flow_runs"];
            let counts = (line.bar.position(), line.sent, line.pages, line.retries);
            assert_eq!(counts, (3_000, 1_200, 3, 1));
            let waits = lines.waits.as_ref().unwrap().message();
            assert_eq!(
                waits,
                "1 retries; the last: /flow_runs/filter (429), after 1.5 s"
            );
            drop(lines);
            progress.observe(&Event::Wait {
                path: "/flows/filter".into(),
                why: BUDGET.into(),
                wait: Duration::from_secs(7),
            });
            let lines = progress.lines.lock().unwrap();
            let waits = lines.waits.as_ref().unwrap().message();
            assert_eq!(waits, "waiting 7 s for requests_per_minute (1 retries)");
        }
        drop(progress);
        let shown = paper.0.lock().unwrap();
        assert!(shown.contains("flow_runs"), "{shown}");
        assert!(shown.contains("3,000 rows"), "{shown}");
    }

    #[test]
    fn records_of_other_connectors_are_counted_by_table() {
        let paper = Paper::default();
        let progress = Progress::on(
            ProgressDrawTarget::term_like(Box::new(paper.clone())),
            Vec::new(),
        );
        for records in [100, 100, 50] {
            progress.came("users", records);
        }
        progress.came("orders", 1_000);
        let lines = progress.lines.lock().unwrap();
        assert_eq!(lines.foreign["users"].0.position(), 250);
        assert_eq!(lines.foreign["orders"].0.position(), 1_000);
    }

    #[test]
    fn a_pipe_shows_nothing() {
        let progress = Progress::hidden();
        events(&progress);
        assert!(progress.bars.is_hidden());
    }
}
