//! Questions to the user at the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use console::Term;
use dialoguer::{Confirm, Input, Password, Select, theme::SimpleTheme};
use fivetran_runner::terminal;

/// Asks the user questions.
pub(super) trait Prompter {
    /// Asks for one of the options and returns its index.
    fn choose(&mut self, question: &str, options: &[&str], default: usize) -> io::Result<usize>;
    /// Asks for a line of text. An empty line means `default`.
    fn text(&mut self, question: &str, default: &str) -> io::Result<String>;
    /// Asks for a line that is not shown and may be empty.
    fn secret(&mut self, question: &str) -> io::Result<String>;
    /// Asks for yes or no.
    fn confirm(&mut self, question: &str, default: bool) -> io::Result<bool>;
    /// Shows a text.
    fn print(&mut self, text: &str) -> io::Result<()>;
}

/// The terminal of the process.
pub(super) struct Terminal(());

impl Terminal {
    /// Returns the terminal if both stdin and stderr are connected to one.
    pub(super) fn new() -> io::Result<Self> {
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(Self(()));
        }
        Err(io::Error::other("stdin or stderr is not a terminal"))
    }
}

fn plain(error: dialoguer::Error) -> io::Error {
    let dialoguer::Error::IO(error) = error;
    error
}

impl Prompter for Terminal {
    fn choose(&mut self, question: &str, options: &[&str], default: usize) -> io::Result<usize> {
        let select = Select::with_theme(&SimpleTheme)
            .with_prompt(question)
            .items(options)
            .default(default);
        select.interact().map_err(plain)
    }

    fn text(&mut self, question: &str, default: &str) -> io::Result<String> {
        let width = terminal::error_width().unwrap_or(usize::MAX);
        let shown = format!("{question} [{default}]: ");
        let shows_default = !default.is_empty() && shown.chars().count() <= width / 2 + width / 4;
        let mut input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(question)
            .show_default(shows_default)
            .report(false);
        if !default.is_empty() {
            input = input.default(default.to_owned());
        }
        let answer = input.interact_text().map_err(plain)?;
        let prompt = if shows_default {
            shown
        } else {
            format!("{question}: ")
        };
        let typed = prompt.chars().count() + answer.chars().count();
        // An answer that was proposed was not typed, unless it is also what the user typed.
        let rows = if answer == default {
            0
        } else {
            typed.saturating_sub(1) / width
        };
        replace_rows(rows, &format!("{question}: {answer}"))?;
        Ok(answer)
    }

    fn secret(&mut self, question: &str) -> io::Result<String> {
        let password = Password::with_theme(&SimpleTheme)
            .with_prompt(question)
            .allow_empty_password(true);
        password.interact().map_err(plain)
    }

    fn confirm(&mut self, question: &str, default: bool) -> io::Result<bool> {
        let confirm = Confirm::with_theme(&SimpleTheme)
            .with_prompt(question)
            .default(default)
            // Otherwise `y` is an answer, and the Enter after it answers the next question.
            .wait_for_newline(true);
        confirm.interact().map_err(plain)
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        let text = terminal::wrapped(text, terminal::error_width());
        writeln!(io::stderr(), "{text}")
    }
}

/// Replaces the row of the cursor and the `rows` above it by a line.
fn replace_rows(rows: usize, line: &str) -> io::Result<()> {
    let terminal = Term::stderr();
    terminal.move_cursor_up(rows)?;
    terminal.clear_line()?;
    terminal.clear_to_end_of_screen()?;
    terminal.write_line(&terminal::shortened(line, terminal::error_width()))
}

/// Prepared answers. An empty answer means the default.
#[cfg(test)]
pub(super) struct Script {
    answers: std::collections::VecDeque<String>,
    prompts: String,
}

#[cfg(test)]
impl Script {
    pub(super) fn new(answers: &[&str]) -> Self {
        Self {
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
            prompts: String::new(),
        }
    }

    /// Returns all questions and texts that were shown.
    pub(super) fn prompts(&self) -> &str {
        &self.prompts
    }

    fn answer(&mut self, question: &str) -> String {
        self.prompts.push_str(question);
        self.prompts.push('\n');
        self.answers
            .pop_front()
            .expect("the script has an answer left")
    }
}

#[cfg(test)]
impl Prompter for Script {
    fn choose(&mut self, question: &str, _options: &[&str], default: usize) -> io::Result<usize> {
        Ok(self.answer(question).parse().unwrap_or(default))
    }

    fn text(&mut self, question: &str, default: &str) -> io::Result<String> {
        let answer = self.answer(question);
        Ok(if answer.is_empty() {
            default.to_owned()
        } else {
            answer
        })
    }

    fn secret(&mut self, question: &str) -> io::Result<String> {
        Ok(self.answer(question))
    }

    fn confirm(&mut self, question: &str, default: bool) -> io::Result<bool> {
        Ok(match self.answer(question).as_str() {
            "y" => true,
            "n" => false,
            _ => default,
        })
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        self.prompts.push_str(text);
        self.prompts.push('\n');
        Ok(())
    }
}
