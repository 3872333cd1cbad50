//! Progress on a terminal: a line per table, and one for waits. Silent on a pipe.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use crate::telemetry::{Event, Observer};

/// How often a line is drawn anew at most, while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Draws what happens. Cheap to share; drop or [`Progress::finish`] it before the report.
#[derive(Debug)]
pub struct Progress {
    bars: MultiProgress,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    tables: HashMap<&'static str, Line>,
    waits: Option<ProgressBar>,
    retries: u64,
}

#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    read: u64,
    sent: u64,
    pages: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Draws on stderr if that is a terminal, and nowhere otherwise.
    pub fn new() -> Self {
        Self::on(if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        })
    }

    fn on(target: ProgressDrawTarget) -> Self {
        Self {
            bars: MultiProgress::with_draw_target(target),
            lines: Mutex::default(),
        }
    }

    /// Where log lines for people go, so that they do not tear the bars: stderr, with the bars out
    /// of the way while a line is written.
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
        if let Some(waits) = lines.waits.take() {
            waits.finish_and_clear();
        }
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
            // The template is a constant that indicatif accepts; its default would do as well.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<24} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(table);
            let (read, sent, pages) = (0, 0, 0);
            Line {
                bar,
                read,
                sent,
                pages,
            }
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Line {
    fn show(&self) {
        self.bar.set_message(format!(
            "{:>12} read {:>12} sent {:>8} pages",
            HumanCount(self.read).to_string(),
            HumanCount(self.sent).to_string(),
            HumanCount(self.pages).to_string(),
        ));
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TableStarted { table } => self.table(&mut lines, table).show(),
            Event::Page { table, read, sent } => {
                let line = self.table(&mut lines, table);
                line.read += read;
                line.sent += sent;
                line.pages += 1;
                line.show();
            }
            Event::TableDone { table } => {
                let line = self.table(&mut lines, table);
                line.show();
                line.bar.abandon();
            }
            Event::Wait { path, why, wait } => {
                lines.retries += 1;
                let retries = lines.retries;
                let bar = lines.waits.get_or_insert_with(|| self.spinner());
                bar.set_message(format!(
                    "{retries} retries; the last: {path} ({why}), after {:.1} s",
                    wait.as_secs_f64()
                ));
            }
            // Requests are counted as pages; warnings stand in the report; later kinds are no
            // progress until somebody says how they look.
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

/// One log line; written out in one piece when it is flushed or dropped.
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
        let progress = Progress::on(target);
        events(&progress);
        {
            let lines = progress.lines.lock().unwrap();
            let line = &lines.tables["flow_runs"];
            assert_eq!((line.read, line.sent, line.pages), (3_000, 1_200, 3));
            let waits = lines.waits.as_ref().unwrap().message();
            assert_eq!(
                waits,
                "1 retries; the last: /flow_runs/filter (429), after 1.5 s"
            );
        }
        drop(progress);
        let shown = paper.0.lock().unwrap();
        assert!(shown.contains("flow_runs"), "{shown}");
        assert!(shown.contains("3,000 read"), "{shown}");
    }

    #[test]
    fn a_pipe_shows_nothing() {
        let progress = Progress::on(ProgressDrawTarget::hidden());
        events(&progress);
        assert!(progress.bars.is_hidden());
    }
}
