//! The width of a terminal, and texts that fit it.

use console::{Term, measure_text_width};

/// The spaces before the additional lines of a text without columns.
const INDENT: usize = 2;

/// Returns the number of columns of the terminal at stdout, or `None` if stdout is not a terminal.
pub fn width() -> Option<usize> {
    columns(&Term::stdout())
}

/// Returns the number of columns of the terminal at stderr, or `None` if stderr is not a terminal.
pub fn error_width() -> Option<usize> {
    columns(&Term::stderr())
}

fn columns(terminal: &Term) -> Option<usize> {
    let is_terminal = terminal.features().is_attended();
    let size = terminal.size_checked().filter(|_| is_terminal);
    size.map(|(_, columns)| columns.into())
}

/// Breaks the lines of a text between words, so that none is wider than `width`. The additional lines begin below the
/// last column of the text, if it has columns. A word that is wider than a line stays whole, so that an address can be
/// copied.
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let lines = text.split('\n').map(|line| wrapped_line(line, width));
    lines.collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    if measure_text_width(line) <= width {
        return line.to_owned();
    }
    let indent = hanging_indent(line, width);
    let mut text = String::new();
    let mut column = 0;
    // Spaces before a word are kept, except at the start of an additional line.
    for word in line.split_inclusive(' ') {
        let size = measure_text_width(word.trim_end());
        if column > indent && column + size > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
            if word == " " {
                continue;
            }
        }
        text.push_str(word);
        column += measure_text_width(word);
    }
    text.truncate(text.trim_end().len());
    text
}

/// Returns the number of spaces before the additional lines of a line: those before its last column, which follows two
/// spaces, or before its first word. A text without columns has [`INDENT`].
fn hanging_indent(line: &str, width: usize) -> usize {
    let first = line.len() - line.trim_start().len();
    let last = line
        .rmatch_indices("  ")
        .map(|(at, spaces)| at + spaces.len());
    let column = last
        .map(|at| measure_text_width(&line[..at]))
        .find(|column| *column <= width * 3 / 5);
    match column.unwrap_or(first) {
        0 => INDENT,
        column => column,
    }
}

/// Returns the start of a text that is wider than `width`, with `…` at its end.
pub fn shortened(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => console::truncate_str(text, width, "…").into_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = "Test FAILED: the server at http://127.0.0.1:4200/api refuses it\nnext\n";
        for (width, expected) in [
            (None, text),
            (Some(80), text),
            (
                Some(30),
                "Test FAILED: the server at\n  http://127.0.0.1:4200/api\n  refuses it\nnext\n",
            ),
            // A word is not broken.
            (
                Some(20),
                "Test FAILED: the\n  server at\n  http://127.0.0.1:4200/api\n  refuses it\nnext\n",
            ),
        ] {
            assert_eq!(wrapped(text, width), expected, "{width:?}");
        }
        assert_eq!(wrapped("", Some(6)), "");
    }

    #[test]
    fn additional_lines_begin_below_the_last_column() {
        for (width, text, expected) in [
            (
                40,
                "name   2 columns  a text of several words",
                "name   2 columns  a text of several\n                  words",
            ),
            (
                24,
                "  name  a text of several words",
                "  name  a text of\n        several words",
            ),
            (
                24,
                "    a text of several words",
                "    a text of several\n    words",
            ),
            // A column that is far on the right leaves too little room.
            (
                24,
                "a text of words and  a column",
                "a text of words and  a\n  column",
            ),
        ] {
            assert_eq!(wrapped(text, Some(width)), expected);
        }
    }

    #[test]
    fn a_text_that_is_too_wide_is_shortened() {
        assert_eq!(shortened("flow_runs", None), "flow_runs");
        assert_eq!(shortened("flow_runs", Some(9)), "flow_runs");
        assert_eq!(shortened("flow_runs", Some(5)), "flow…");
    }
}
