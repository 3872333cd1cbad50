//! Progress on a terminal: a line for each table, and one for waits. Silent on a pipe, and removed at the end.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    progress_lines::{ProgressLines, Size},
    terminal::{error_width, wrapped},
    timeline::Route,
};
use sync_telemetry::{BUDGET, Event, Observer};

/// The interval at which the lines are redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Draws the progress of syncs, one after another, each from [`Progress::start`] to [`Progress::finish`].
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// The listings' paths with their tables.
    routes: Vec<Route>,
    lines: Arc<Mutex<ProgressLines>>,
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
        let lines = Arc::new(Mutex::new(ProgressLines::default()));
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style(&lines));
        Self { bar, routes, lines }
    }

    /// The writer for readable log lines. It writes to stderr and hides the progress while a line is written, so that
    /// both stay intact.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter {
            bar: self.bar.clone(),
        }
    }

    /// Begins to draw the lines of a sync, until [`Self::finish`].
    pub fn start(&self) {
        *self.change() = ProgressLines::default();
        self.bar.reset();
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// Removes the lines from the terminal and stops drawing. The report has all of their numbers.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows that `records` more records of a table arrived. Truncates are not records.
    pub fn came(&self, table: &str, records: u64) {
        let now = self.bar.elapsed();
        self.change().records(table, records, now);
    }

    fn change(&self) -> MutexGuard<'_, ProgressLines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows that a request waits: for its turn, or to be tried again.
    fn waits(&self, path: &str, why: &str, wait: Duration) {
        if why == BUDGET {
            return self.change().budget(wait);
        }
        let route = self.routes.iter().filter(|route| route.is_for(path));
        let table = route
            .max_by_key(|route| route.path.len())
            .and_then(|route| route.tables.first());
        self.change().retry(table.copied(), path, why, wait);
    }
}

/// Draws a spinner and the lines. They are read at each redrawing, never while a change is made.
fn style(lines: &Arc<Mutex<ProgressLines>>) -> ProgressStyle {
    let lines = Arc::clone(lines);
    let draw = move |state: &ProgressState, out: &mut dyn fmt::Write| {
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (rows, columns) = Term::stderr().size();
        let size = Size {
            rows: rows.into(),
            columns: columns.into(),
        };
        let _ = out.write_str(&lines.text(state.elapsed(), size));
    };
    // The template is a constant that indicatif accepts.
    ProgressStyle::with_template("{spinner} {lines}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("lines", draw)
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        let now = self.bar.elapsed();
        match event {
            Event::TableStarted { table } => self.change().begin(table, now),
            Event::Page { table, read } => self.change().page(table, *read, now),
            Event::TableDone { table } => self.change().done(table, now),
            Event::Wait { path, why, wait } => self.waits(path, why, *wait),
            // Requests are counted as pages, and warnings are in the report. Other events are not shown as progress.
            _ => {}
        }
    }
}

/// Writes log lines to stderr around the progress.
#[derive(Debug, Clone)]
pub struct LogWriter {
    bar: ProgressBar,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogLine;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine {
            bar: self.bar.clone(),
            text: Vec::new(),
        }
    }
}

/// One log line, written in one piece when flushed or dropped.
#[derive(Debug)]
pub struct LogLine {
    bar: ProgressBar,
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
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        let text = wrapped(&text, error_width());
        self.bar.suspend(|| io::stderr().write_all(text.as_bytes()))
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
            progress.observe(&Event::Page { table, read: 1_000 });
            progress.came(table, 400);
        }
        progress.observe(&Event::Wait {
            path: "/flow_runs/filter".into(),
            why: "429".into(),
            wait: Duration::from_millis(1_500),
        });
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
        progress.bar.force_draw();
        let shown = paper.0.lock().unwrap().clone();
        for part in [
            "flow_runs                      3,000      1,200       3        1",
            "1 retry; the last: /flow_runs/filter (429), after 1.5 s",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_pipe_shows_nothing() {
        let progress = Progress::hidden();
        events(&progress);
        assert!(progress.bar.is_hidden());
    }
}
