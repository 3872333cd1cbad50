//! The lines that show the progress of a sync: pure text, without a terminal.

use std::{fmt::Write as _, time::Duration};

use sync_telemetry::{counted, format_count};

use super::terminal::shortened;

/// The columns for the name of a table, after two for a spinner.
const NAME: usize = 25;
/// The lines that do not show a table: the headings, the number of hidden tables, and the last wait.
const OTHER_LINES: usize = 3;

/// The progress of a sync.
#[derive(Debug, Default)]
pub(super) struct ProgressLines {
    tables: Vec<TableProgress>,
    wait: Option<String>,
    retries: u64,
}

/// The progress of a table.
#[derive(Debug, Default)]
struct TableProgress {
    name: String,
    /// The number of rows on the pages that were read.
    read: u64,
    /// The number of records that arrived, without truncates.
    sent: u64,
    pages: u64,
    retries: u64,
    /// The time of the first event.
    began: Duration,
    is_read: bool,
    is_done: bool,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl ProgressLines {
    pub(super) fn begin(&mut self, table: &str, now: Duration) {
        self.table(table, now).is_read = true;
    }

    pub(super) fn page(&mut self, table: &str, read: u64, now: Duration) {
        let table = self.table(table, now);
        table.is_read = true;
        table.read += read;
        table.pages += 1;
    }

    pub(super) fn records(&mut self, table: &str, records: u64, now: Duration) {
        self.table(table, now).sent += records;
    }

    pub(super) fn done(&mut self, table: &str, now: Duration) {
        self.table(table, now).is_done = true;
    }

    /// Counts a retry, of a request for `table` if that is known.
    pub(super) fn retry(&mut self, table: Option<&str>, path: &str, why: &str, wait: Duration) {
        let known = self.tables.iter_mut();
        if let Some(table) = known.into_iter().find(|it| Some(&*it.name) == table) {
            table.retries += 1;
        }
        self.retries += 1;
        let retries = counted(self.retries, "retry", "retries");
        let seconds = wait.as_secs_f64();
        self.wait = Some(format!(
            "{retries}; the last: {path} ({why}), after {seconds:.1} s"
        ));
    }

    /// Shows a wait for the requests per minute.
    pub(super) fn budget(&mut self, wait: Duration) {
        let retries = counted(self.retries, "retry", "retries");
        let seconds = wait.as_secs_f64();
        self.wait = Some(format!(
            "waiting {seconds:.0} s for requests_per_minute ({retries})"
        ));
    }

    fn table(&mut self, name: &str, now: Duration) -> &mut TableProgress {
        let known = self.tables.iter().position(|table| table.name == name);
        let at = known.unwrap_or_else(|| {
            self.tables.push(TableProgress {
                name: name.to_owned(),
                began: now,
                ..TableProgress::default()
            });
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    /// Returns the lines that fit the terminal. If there are too many, tables that are complete are left out first.
    pub(super) fn text(&self, now: Duration, size: Size) -> String {
        if self.tables.is_empty() {
            return "waiting for the first table".to_owned();
        }
        let is_read = self.tables.iter().any(|table| table.is_read);
        let mut lines = vec![headings(is_read)];
        let room = size.rows.saturating_sub(OTHER_LINES + 1).max(1);
        let (shown, hidden) = self.choose(room);
        lines.extend(shown.into_iter().map(|table| table.line(is_read, now)));
        if let Some(hidden) = hidden {
            lines.push(hidden);
        }
        lines.extend(self.wait.as_ref().map(|wait| format!("  {wait}")));
        // The terminal wraps a line that reaches its last column, if the cursor moves on.
        let width = size.columns.saturating_sub(1);
        let lines: Vec<String> = lines
            .iter()
            .map(|line| shortened(line, Some(width)))
            .collect();
        lines.join("\n")
    }

    /// Returns the tables for `room` lines, in the order of their start, and a line about the others.
    fn choose(&self, room: usize) -> (Vec<&TableProgress>, Option<String>) {
        let mut shown: Vec<&TableProgress> = self.tables.iter().collect();
        let mut done = 0;
        while shown.len() > room {
            match shown.iter().position(|table| table.is_done) {
                Some(at) => {
                    shown.remove(at);
                    done += 1;
                }
                None => shown.truncate(room),
            }
        }
        let hidden = self.tables.len() - shown.len();
        let line = (hidden > 0).then(|| {
            let tables = counted(hidden as u64, "more table", "more tables");
            format!("  {tables}, {done} of them done")
        });
        (shown, line)
    }
}

/// Returns the headings, to be shown after a spinner. A connector elsewhere reports neither pages nor retries.
fn headings(is_read: bool) -> String {
    if is_read {
        format!(
            "{:<NAME$} {:>10} {:>10} {:>7} {:>8} {:>9}",
            "Table", "Read", "Sent", "Pages", "Retries", "Rows/s"
        )
    } else {
        format!("{:<NAME$} {:>10} {:>9}", "Table", "Sent", "Rows/s")
    }
}

impl TableProgress {
    fn line(&self, has_pages: bool, now: Duration) -> String {
        let name = shortened(&self.name, Some(NAME));
        let mut line = format!("  {name:<NAME$}");
        let sent = format_count(self.sent);
        if !has_pages {
            let _ = write!(line, " {sent:>10} {:>9}", self.rate(self.sent, now));
        } else if self.is_read {
            let [read, pages, retries] = [self.read, self.pages, self.retries].map(format_count);
            let rate = self.rate(self.read, now);
            let _ = write!(
                line,
                " {read:>10} {sent:>10} {pages:>7} {retries:>8} {rate:>9}"
            );
        } else {
            // The rows are in the responses of another table.
            let _ = write!(line, " {:>10} {sent:>10}", "");
        }
        line
    }

    fn rate(&self, rows: u64, now: Duration) -> String {
        if self.is_done {
            return "done".to_owned();
        }
        #[expect(clippy::cast_precision_loss, reason = "only displayed")]
        let rows = rows as f64;
        let seconds = now.saturating_sub(self.began).as_secs_f64().max(0.1);
        format!("{:.0}", rows / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(2);
    const SIZE: Size = Size {
        rows: 24,
        columns: 80,
    };

    fn words(text: &str, name: &str) -> Vec<String> {
        let line = text.lines().find(|line| line.contains(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_shows_the_sums_of_a_table() {
        let mut lines = ProgressLines::default();
        assert_eq!(lines.text(NOW, SIZE), "waiting for the first table");
        lines.begin("flow_runs", Duration::ZERO);
        for _ in 0..3 {
            lines.page("flow_runs", 1_000, NOW);
            lines.records("flow_runs", 400, NOW);
        }
        // The rows of this table are in the responses of another one.
        lines.records("flow_run_tags", 7, NOW);
        let wait = Duration::from_millis(1_500);
        lines.retry(Some("flow_runs"), "/flow_runs/filter", "429", wait);
        let text = lines.text(NOW, SIZE);
        assert_eq!(
            words(&text, "flow_runs "),
            ["flow_runs", "3,000", "1,200", "3", "1", "1500"]
        );
        assert_eq!(words(&text, "flow_run_tags"), ["flow_run_tags", "7"]);
        assert!(
            text.ends_with("  1 retry; the last: /flow_runs/filter (429), after 1.5 s"),
            "{text}"
        );
        lines.retry(None, "/other", "503", wait);
        lines.budget(Duration::from_secs(7));
        lines.done("flow_runs", NOW);
        let text = lines.text(NOW, SIZE);
        assert!(
            text.ends_with("  waiting 7 s for requests_per_minute (2 retries)"),
            "{text}"
        );
        assert_eq!(words(&text, "flow_runs ").last().unwrap(), "done");
    }

    #[test]
    fn another_connector_has_neither_pages_nor_retries() {
        let mut lines = ProgressLines::default();
        lines.records("users", 100, Duration::ZERO);
        lines.records("users", 50, NOW);
        let text = lines.text(NOW, SIZE);
        assert_eq!(words(&text, "Table"), ["Table", "Sent", "Rows/s"]);
        assert_eq!(words(&text, "users"), ["users", "150", "75"]);
    }

    #[test]
    fn the_lines_fit_the_terminal() {
        let mut lines = ProgressLines::default();
        for number in 0..30 {
            let name = format!("{number:02}_is_a_table_with_a_long_name");
            lines.begin(&name, Duration::ZERO);
            lines.page(&name, u64::from(u32::MAX), NOW);
            lines.records(&name, u64::from(u32::MAX), NOW);
            if number < 4 {
                lines.done(&name, NOW);
            }
        }
        let path = "/collections/with/a/long/path".repeat(4);
        lines.retry(None, &path, "no connection", NOW);
        let text = lines.text(NOW, SIZE);
        assert!(text.lines().count() < SIZE.rows, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() < SIZE.columns, "{line}");
        }
        // Tables that are complete are left out first.
        assert!(!text.contains("  03_is"), "{text}");
        assert!(text.contains("  04_is"), "{text}");
        assert!(text.contains("  10 more tables, 4 of them done"), "{text}");
        let tall = Size { rows: 60, ..SIZE };
        assert!(!lines.text(NOW, tall).contains("more table"));
    }
}
