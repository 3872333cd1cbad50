//! `init`: asks for Prefect's address and credentials, tests them, and writes the configuration.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use fivetran_runner::TestOutcome;

use super::{
    check, configuration_file,
    init_questions::{FormValues, PrefectVariables, Tested, questions},
    prompter::{Prompter, Terminal},
};

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file to write.
    #[arg(long, default_value = "configuration.json")]
    configuration: PathBuf,
    #[command(flatten)]
    prefect: PrefectVariables,
}

/// Asks the questions on the terminal, and writes the file.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = &arguments.configuration;
    let mut ask = Terminal::new().with_context(|| {
        format!(
            "init asks questions and needs a terminal; copy configuration.example.json to {} instead",
            file.display()
        )
    })?;
    let is_there = file.exists();
    if is_there
        && !ask.confirm(
            &format!("{} already exists. Replace it?", file.display()),
            false,
        )?
    {
        ask.print(&format!("{} was not changed.", file.display()))?;
        return Ok(ExitCode::FAILURE);
    }
    let mut answers = if is_there {
        existing(&mut ask, file)?
    } else {
        FormValues::new()
    };
    loop {
        let test = async |tested, answers: &FormValues| match tested {
            Tested::Address => check::address(answers).await,
            Tested::Credentials => check::connection(answers).await,
        };
        answers = questions(&mut ask, &arguments.prefect, &answers, test).await?;
        ask.print("Testing the connection …")?;
        let outcomes = check::tests(&answers).await?;
        match after(&mut ask, &outcomes)? {
            After::Save => break,
            After::Again => {}
            After::GiveUp => {
                ask.print("Nothing was written.")?;
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    write(file, &answers, is_there)?;
    ask.print(&format!("Wrote {} (only you can read it).", file.display()))?;
    if let Some(ignored) = ignore(file)? {
        ask.print(&format!("Added it to {}.", ignored.display()))?;
    }
    ask.print("Next: fivetran_source debug, or make debug")?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the values of the existing file, which are proposed; none if the file cannot be read.
fn existing(ask: &mut impl Prompter, file: &Path) -> io::Result<FormValues> {
    match configuration_file::read(file) {
        Ok(values) => {
            ask.print("Its values are proposed. Fields without a question are kept.")?;
            Ok(values)
        }
        Err(error) => {
            ask.print(&format!("Its values cannot be proposed: {error}"))?;
            Ok(FormValues::new())
        }
    }
}

/// The next step after the tests.
#[derive(Debug, PartialEq, Eq)]
enum After {
    Save,
    Again,
    GiveUp,
}

/// Shows the outcomes of the tests. If a test failed, asks the user for the next step.
fn after(ask: &mut impl Prompter, outcomes: &[TestOutcome]) -> io::Result<After> {
    for line in check::in_words(outcomes) {
        ask.print(&line)?;
    }
    if outcomes.iter().all(|outcome| outcome.failure.is_none()) {
        return Ok(After::Save);
    }
    let ways = ["Enter the answers again", "Save it anyway", "Cancel"];
    Ok(match ask.choose("What do you want to do?", &ways, 0)? {
        0 => After::Again,
        1 => After::Save,
        _ => After::GiveUp,
    })
}

/// Writes the file, readable by its owner only. An existing file is replaced only if `replace` is true.
fn write(file: &Path, answers: &FormValues, replace: bool) -> anyhow::Result<()> {
    let text = format!("{}\n", serde_json::to_string_pretty(answers)?);
    let cannot = || format!("cannot write {}", file.display());
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&temporary).with_context(cannot)?;
    out.write_all(text.as_bytes()).with_context(cannot)?;
    out.sync_all().with_context(cannot)?;
    if !replace && file.exists() {
        let _ = fs::remove_file(&temporary);
        bail!(
            "{} was created in the meantime: nothing was written",
            file.display()
        );
    }
    fs::rename(&temporary, file).with_context(cannot)
}

/// Keeps the file out of git. If its folder is in a repository, adds the file to the folder's `.gitignore`.
fn ignore(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    let absolute = std::path::absolute(file)?;
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(None);
    };
    if !folder
        .ancestors()
        .any(|folder| folder.join(".git").exists())
    {
        return Ok(None);
    }
    let list = folder.join(".gitignore");
    let before = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", list.display())),
    };
    let Some(after) = with_line(&before, &format!("/{}", name.to_string_lossy())) else {
        return Ok(None);
    };
    fs::write(&list, after).with_context(|| format!("cannot write {}", list.display()))?;
    Ok(Some(list))
}

/// Returns the text with the line appended; `None` if the text already contains the line.
fn with_line(text: &str, line: &str) -> Option<String> {
    let is_it = |found: &str| found.trim().trim_start_matches('/') == line.trim_start_matches('/');
    if text.lines().any(is_it) {
        return None;
    }
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Some(format!("{text}{gap}{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::{super::prompter::Script, *};

    #[test]
    fn failed_setup_tests_are_reported_and_the_file_is_written_only_on_request() {
        let bad = [TestOutcome {
            label: "Connecting".into(),
            failure: Some("connection refused".into()),
        }];
        for (answer, then) in [
            ("0", After::Again),
            ("1", After::Save),
            ("2", After::GiveUp),
        ] {
            let mut ask = Script::new(&[answer]);
            assert_eq!(after(&mut ask, &bad).unwrap(), then);
            assert!(ask.prompts().contains("connection refused"));
        }
    }

    #[test]
    fn values_of_an_existing_file_are_proposed_if_it_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("configuration.json");
        for (text, values, says) in [
            (
                r#"{"batch_size": 50}"#,
                1,
                "Fields without a question are kept",
            ),
            ("{", 0, "Its values cannot be proposed"),
        ] {
            fs::write(&file, text).unwrap();
            let mut ask = Script::new(&[]);
            assert_eq!(existing(&mut ask, &file).unwrap().len(), values);
            assert!(ask.prompts().contains(says), "{}", ask.prompts());
        }
    }

    #[test]
    fn the_file_is_private_and_ignored_by_git() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        let file = dir.path().join("configuration.json");
        let answers = FormValues::from([("api_url".into(), "http://h/api".into())]);
        write(&file, &answers, false).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = write(&file, &answers, false).unwrap_err();
        assert!(again.to_string().contains("created in the meantime"));
        let list = dir.path().join(".gitignore");
        assert_eq!(ignore(&file).unwrap(), Some(list.clone()));
        assert_eq!(ignore(&file).unwrap(), None);
        assert_eq!(fs::read_to_string(list).unwrap(), "/configuration.json\n");
        assert_eq!(with_line("a", "/b").unwrap(), "a\n/b\n");
    }
}
