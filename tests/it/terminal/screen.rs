//! The lines that a user sees after a session, with those that have scrolled off the screen.

use std::num::NonZeroU16;

use vt100::Parser;

/// The most lines of a session.
const LINES: usize = 10_000;

/// A line of a terminal.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) text: String,
    /// True if the terminal continued the text in the next line because it was too wide.
    pub(super) is_wrapped: bool,
}

/// Returns the lines that remain of an output on a terminal of this size.
pub(super) fn lines(output: &str, (rows, columns): (u16, u16)) -> Vec<Line> {
    let size = |number| NonZeroU16::new(number).expect("a terminal has lines and columns");
    let mut parser = Parser::new(size(rows), size(columns), LINES);
    parser.process(output.as_bytes());
    let line = |parser: &Parser, row: u16| Line {
        text: parser
            .screen()
            .rows(0, columns)
            .nth(usize::from(row))
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        is_wrapped: parser.screen().row_wrapped(row),
    };
    let mut lines = Vec::new();
    for offset in (1..=parser.screen().scrollback_len()).rev() {
        parser.screen_mut().set_scrollback(offset);
        lines.push(line(&parser, 0));
    }
    parser.screen_mut().set_scrollback(0);
    lines.extend((0..rows).map(|row| line(&parser, row)));
    while lines.last().is_some_and(|line| line.text.is_empty()) {
        lines.pop();
    }
    lines
}

#[test]
fn lines_are_those_that_remain() {
    let output = "one\r\ngone\r\x1b[2Ktwo\r\n0123456789a\r\nlast\r\nend";
    let lines = lines(output, (3, 10));
    let lines: Vec<_> = lines.iter().map(|it| (&*it.text, it.is_wrapped)).collect();
    assert_eq!(
        lines,
        [
            ("one", false),
            ("two", false),
            ("0123456789", true),
            ("a", false),
            ("last", false),
            ("end", false)
        ]
    );
}
