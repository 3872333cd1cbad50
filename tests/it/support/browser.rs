//! Headless Chromium, driven by `tests/node/browser.mjs`.

use std::{
    fs::File,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::in_checkout;

/// The names of Chromium on different systems.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A browser; each call starts a new process.
pub(crate) struct Browser {
    program: PathBuf,
}

/// The result of opening a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Looked {
    /// The value of the expression.
    pub(crate) value: Value,
    /// All console messages, and the errors that the browser reported.
    pub(crate) trouble: Vec<String>,
    /// The requested addresses, including the page.
    pub(crate) requests: Vec<String>,
}

impl Browser {
    /// Finds the browser, or returns `None` if the machine has none: then the test is skipped with a message.
    /// (`$CHROMIUM` names one. In CI, where `$CI` is set, a missing browser is a failure.)
    pub(crate) fn find() -> Option<Self> {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        let chosen = std::env::var("CHROMIUM").ok();
        let mut names = chosen.iter().map(String::as_str).chain(NAMES);
        let found = names.find(|program| version_of(program).is_some());
        let missing = match (found, version_of("node")) {
            (Some(_), Some(_)) => None,
            (None, _) => Some("no Chromium (Debian: apt-get install chromium)"),
            (_, None) => Some("no Node"),
        };
        if let Some(missing) = missing {
            tally(&format!("SKIPPED {test}: {missing}"));
            // Writes past the test harness, which would capture the message.
            let _ = writeln!(stderr(), "SKIPPED {test}: there is {missing}");
            assert!(std::env::var_os("CI").is_none(), "{test}: {missing}");
            return None;
        }
        let program = found?;
        let version = version_of(program)?;
        tally(&format!("{version}: {test}"));
        Some(Self {
            program: program.into(),
        })
    }

    /// Opens a file and evaluates an expression in it.
    pub(crate) fn look(&self, page: &Path, evaluate: &str) -> Looked {
        let url = format!("file://{}", page.display());
        self.order(&json!({ "url": url, "evaluate": evaluate }))
    }

    /// Executes an order; `browser.mjs` defines its fields.
    pub(crate) fn order(&self, order: &Value) -> Looked {
        let output = Command::new("node")
            .arg(in_checkout("tests/node/browser.mjs"))
            .arg(&self.program)
            .arg(order.to_string())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{order}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    }
}

/// Returns a program's output for `--version`, if the program exists.
fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim().to_owned();
    output.status.success().then_some(line)
}

/// Records what was and was not tested in a browser, for the summary of `scripts/tests.sh`.
fn tally(line: &str) {
    if let Some(tally) = std::env::var_os("BROWSER_TALLY") {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(tally)
            .unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
