//! `init`: asks for Prefect's address and credentials, tests them, and writes the configuration.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use fivetran_runner::TestOutcome;

use super::{
    check,
    prefect_address::{CloudIds, cloud_ids, self_hosted},
    prompter::{Prompter, Terminal},
};
use crate::tables;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file to write.
    #[arg(long, default_value = "configuration.json")]
    configuration: PathBuf,
    /// The API URL of Prefect's own command line tools, which is proposed.
    #[arg(long, env = "PREFECT_API_URL", hide = true)]
    api_url: Option<String>,
    /// The API key of Prefect's own command line tools.
    #[arg(long, env = "PREFECT_API_KEY", hide = true, hide_env_values = true)]
    api_key: Option<String>,
    /// The user and password of Prefect's own command line tools.
    #[arg(
        long,
        env = "PREFECT_API_AUTH_STRING",
        hide = true,
        hide_env_values = true
    )]
    auth_string: Option<String>,
}

/// The values of the setup form.
type FormValues = BTreeMap<String, String>;

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
    let answers = loop {
        let answers = questions(&mut ask, &arguments)?;
        ask.print("Testing the connection …")?;
        let outcomes = check::tests(&answers).await?;
        match after(&mut ask, &outcomes)? {
            After::Save => break answers,
            After::Again => {}
            After::GiveUp => {
                ask.print("Nothing was written.")?;
                return Ok(ExitCode::FAILURE);
            }
        }
    };
    write(file, &answers, is_there)?;
    ask.print(&format!("Wrote {} (only you can read it).", file.display()))?;
    if let Some(ignored) = ignore(file)? {
        ask.print(&format!("Added it to {}.", ignored.display()))?;
    }
    ask.print("Next: fivetran_source debug, or make debug")?;
    Ok(ExitCode::SUCCESS)
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

/// Asks all questions once.
fn questions(ask: &mut impl Prompter, known: &Arguments) -> anyhow::Result<FormValues> {
    let proposed = known.api_url.as_deref().unwrap_or_default();
    let is_cloud = proposed.is_empty() || proposed.contains("prefect.cloud");
    let kinds = ["Prefect Cloud", "Self-hosted"];
    let kind = ask.choose("Where does Prefect run?", &kinds, usize::from(!is_cloud))?;
    let mut answers = FormValues::from([("hosting".to_owned(), kinds[kind].to_owned())]);
    if kind == 0 {
        answers.insert("api_url".to_owned(), cloud(ask, proposed)?);
        let key = secret(ask, "API key", "PREFECT_API_KEY", known.api_key.as_deref())?;
        answers.insert("api_key".to_owned(), key);
    } else {
        answers.insert("api_url".to_owned(), server(ask, proposed)?);
        let pass = "User and password, as user:password (empty if the server requires none)";
        let known = known.auth_string.as_deref();
        let given = secret(ask, pass, "PREFECT_API_AUTH_STRING", known)?;
        if !given.is_empty() {
            answers.insert("auth_string".to_owned(), given);
        }
    }
    for choice in tables::ALL.iter().filter_map(|table| table.choice) {
        // Shown separately, because a question that is longer than a line is shown twice.
        ask.print(choice.cost)?;
        let wanted = ask.confirm(&format!("{}?", choice.label), false)?;
        answers.insert(choice.field.to_owned(), wanted.to_string());
    }
    Ok(answers)
}

/// Asks for a workspace of Prefect Cloud until the user enters a valid one. Returns the API URL.
fn cloud(ask: &mut impl Prompter, proposed: &str) -> anyhow::Result<String> {
    let proposed = if proposed.contains("prefect.cloud") {
        proposed
    } else {
        ""
    };
    let question = "Workspace: its address in the browser or its API URL";
    loop {
        let text = ask.text(question, proposed)?;
        match cloud_ids(&text) {
            CloudIds::Both { account, workspace } => {
                return Ok(format!(
                    "https://api.prefect.cloud/api/accounts/{account}/workspaces/{workspace}"
                ));
            }
            CloudIds::Incomplete => ask.print(
                "No account and workspace in this address. Open the workspace in the browser and copy its address: \
                 https://app.prefect.cloud/account/…/workspace/…",
            )?,
        }
    }
}

/// Asks for a server's address until the user enters a valid one.
fn server(ask: &mut impl Prompter, proposed: &str) -> anyhow::Result<String> {
    let proposed = if proposed.is_empty() || proposed.contains("prefect.cloud") {
        "http://127.0.0.1:4200/api"
    } else {
        proposed
    };
    loop {
        let text = ask.text("API URL of the server", proposed)?;
        match self_hosted(&text) {
            Ok(url) => return Ok(url),
            Err(why) => ask.print(&format!("Invalid address: {why}"))?,
        }
    }
}

/// Asks for a secret, or for permission to use the one in the environment.
fn secret(
    ask: &mut impl Prompter,
    question: &str,
    variable: &str,
    known: Option<&str>,
) -> io::Result<String> {
    if let Some(known) = known.filter(|known| !known.is_empty())
        && ask.confirm(&format!("Use {variable} from the environment?"), true)?
    {
        return Ok(known.to_owned());
    }
    ask.secret(question)
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

    const ACCOUNT: &str = "0a111111-1111-4111-8111-111111111111";
    const WORKSPACE: &str = "0b222222-2222-4222-8222-222222222222";

    fn known() -> Arguments {
        Arguments {
            configuration: "configuration.json".into(),
            api_url: None,
            api_key: None,
            auth_string: None,
        }
    }

    #[test]
    fn a_workspace_is_taken_from_the_browsers_address() {
        let address =
            format!("https://app.prefect.cloud/account/{ACCOUNT}/workspace/{WORKSPACE}/runs");
        let mut ask = Script::new(&["0", "nonsense", &address, "pnu_secret", "y", "n", "n"]);
        let answers = questions(&mut ask, &known()).unwrap();
        let url =
            format!("https://api.prefect.cloud/api/accounts/{ACCOUNT}/workspaces/{WORKSPACE}");
        assert_eq!(answers["api_url"], url);
        assert_eq!(answers["api_key"], "pnu_secret");
        assert_eq!(answers["hosting"], "Prefect Cloud");
        assert_eq!(answers["sync_flow_run_state_history"], "true");
        assert_eq!(answers["sync_logs"], "false");
        assert!(
            ask.prompts().contains("No account and workspace"),
            "{}",
            ask.prompts()
        );
        assert!(!ask.prompts().contains("pnu_secret"));
    }

    #[test]
    fn settings_of_prefects_own_tools_are_proposed() {
        let mut known = known();
        known.api_url = Some("http://prefect.internal:4200/api".into());
        known.auth_string = Some("admin:pass".into());
        // Empty answers mean the proposed values.
        let mut ask = Script::new(&["", "", "", "", "", ""]);
        let answers = questions(&mut ask, &known).unwrap();
        assert_eq!(answers["api_url"], "http://prefect.internal:4200/api");
        assert_eq!(answers["auth_string"], "admin:pass");
        assert!(!answers.contains_key("api_key"));
    }

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
