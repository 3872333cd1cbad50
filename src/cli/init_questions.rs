//! The questions of `init`. Earlier answers are proposed. The address and the credentials are tested at once.

use std::{collections::BTreeMap, io};

use clap::Args;

use super::{
    prefect_address::{CloudIds, cloud_ids, self_hosted},
    prompter::Prompter,
};
use crate::tables;

/// The values of the setup form.
pub(super) type FormValues = BTreeMap<String, String>;

/// The environment variables of Prefect's own command line tools.
#[derive(Debug, Default, Args)]
pub(super) struct PrefectVariables {
    /// The API URL, which is proposed.
    #[arg(long, env = "PREFECT_API_URL", hide = true)]
    api_url: Option<String>,
    /// The API key.
    #[arg(long, env = "PREFECT_API_KEY", hide = true, hide_env_values = true)]
    api_key: Option<String>,
    /// The user and password.
    #[arg(
        long,
        env = "PREFECT_API_AUTH_STRING",
        hide = true,
        hide_env_values = true
    )]
    auth_string: Option<String>,
}

/// The kinds of Prefect: the values of the field `hosting`.
const KINDS: [&str; 2] = ["Prefect Cloud", "Self-hosted"];

/// The answers that a test is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tested {
    /// The address alone, without credentials.
    Address,
    /// The address with the credentials.
    Credentials,
}

/// Asks all questions once. The earlier answers `before` are proposed, and fields without a question are kept.
///
/// `test` returns the reason why the answers cannot be used.
pub(super) async fn questions(
    ask: &mut impl Prompter,
    known: &PrefectVariables,
    before: &FormValues,
    test: impl AsyncFn(Tested, &FormValues) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<FormValues> {
    let mut answers = before.clone();
    let kind = kind(ask, known, before)?;
    let hosting = KINDS.get(kind).copied().unwrap_or_default().to_owned();
    if before
        .get("hosting")
        .is_some_and(|before| *before != hosting)
    {
        for field in ["api_url", "api_key", "auth_string"] {
            answers.remove(field);
        }
    }
    answers.insert("hosting".to_owned(), hosting);
    connection(ask, known, kind == 0, &mut answers, &test).await?;
    for choice in tables::ALL.iter().filter_map(|table| table.choice) {
        // Shown separately, because a question that is longer than a line is shown twice.
        ask.print(choice.cost)?;
        let before = before.get(choice.field).is_some_and(|it| it == "true");
        let wanted = ask.confirm(&format!("{}?", choice.label), before)?;
        answers.insert(choice.field.to_owned(), wanted.to_string());
    }
    Ok(answers)
}

/// Asks for the address and the credentials until their tests pass, or until the user keeps them in spite of a test.
async fn connection(
    ask: &mut impl Prompter,
    known: &PrefectVariables,
    is_cloud: bool,
    answers: &mut FormValues,
    test: &impl AsyncFn(Tested, &FormValues) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<()> {
    let mut is_tested = address(ask, known, is_cloud, answers, test).await?;
    loop {
        credentials(ask, known, is_cloud, answers)?;
        if !is_tested {
            // The test of the address failed, and that of the credentials would report the same.
            return Ok(());
        }
        ask.print("Testing the credentials …")?;
        let Some(why) = test(Tested::Credentials, &for_the_credentials(answers)).await? else {
            return Ok(());
        };
        ask.print(&format!("Test FAILED: {why}"))?;
        let ways = [
            "Enter the credentials again",
            "Enter the address again",
            "Keep these answers",
        ];
        match ask.choose("What do you want to do?", &ways, 0)? {
            0 => {}
            1 => is_tested = address(ask, known, is_cloud, answers, test).await?,
            _ => return Ok(()),
        }
    }
}

/// Asks for the credentials of one kind, and removes those of the other kind.
fn credentials(
    ask: &mut impl Prompter,
    known: &PrefectVariables,
    is_cloud: bool,
    answers: &mut FormValues,
) -> io::Result<()> {
    if is_cloud {
        let key = Secret {
            field: "api_key",
            question: "API key",
            hint: "",
            variable: "PREFECT_API_KEY",
            known: known.api_key.as_deref(),
        };
        key.ask(ask, answers)?;
        answers.remove("auth_string");
        return Ok(());
    }
    let pass = Secret {
        field: "auth_string",
        question: "User and password, as user:password",
        hint: "If the server requires no password, press Enter.",
        variable: "PREFECT_API_AUTH_STRING",
        known: known.auth_string.as_deref(),
    };
    pass.ask(ask, answers)?;
    if answers.contains_key("auth_string") {
        answers.remove("api_key");
    }
    Ok(())
}

/// Asks for the kind of Prefect and returns its position in [`KINDS`].
fn kind(
    ask: &mut impl Prompter,
    known: &PrefectVariables,
    before: &FormValues,
) -> io::Result<usize> {
    let earlier = before.get("hosting");
    let earlier = earlier.and_then(|earlier| KINDS.iter().position(|kind| kind == earlier));
    let url = before.get("api_url").or(known.api_url.as_ref());
    let is_server = url.is_some_and(|url| !url.is_empty() && !is_of_cloud(url));
    let proposed = earlier.unwrap_or(usize::from(is_server));
    ask.choose("Where does Prefect run?", &KINDS, proposed)
}

fn is_of_cloud(url: &str) -> bool {
    url.contains("prefect.cloud")
}

/// Asks for the address until its test passes, or until the user keeps it in spite of the test. Returns true if the
/// test passed.
async fn address(
    ask: &mut impl Prompter,
    known: &PrefectVariables,
    is_cloud: bool,
    answers: &mut FormValues,
    test: &impl AsyncFn(Tested, &FormValues) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<bool> {
    let earlier = answers.get("api_url").or(known.api_url.as_ref());
    let mut proposed = earlier.cloned().unwrap_or_default();
    loop {
        let url = if is_cloud {
            cloud(ask, &proposed)?
        } else {
            server(ask, &proposed)?
        };
        ask.print("Testing the address …")?;
        let failure = test(Tested::Address, &for_the_address(answers, &url)).await?;
        let ways = ["Enter the address again", "Keep this address"];
        let has_passed = failure.is_none();
        let is_final = match failure {
            None => true,
            Some(why) => {
                ask.print(&format!("Test FAILED: {why}"))?;
                ask.choose("What do you want to do?", &ways, 0)? == 1
            }
        };
        if is_final {
            answers.insert("api_url".to_owned(), url);
            return Ok(has_passed);
        }
        proposed = url;
    }
}

/// Returns the values for a test of the address alone. Secrets of another address are left out.
fn for_the_address(answers: &FormValues, url: &str) -> FormValues {
    let is_same = answers.get("api_url").is_some_and(|before| before == url);
    let mut fields = vec!["hosting", "advanced", "ca_certificate"];
    if is_same {
        fields.push("extra_headers");
    }
    let mut values = only(answers, &fields);
    values.insert("api_url".to_owned(), url.to_owned());
    values
}

/// Returns the values for a test of the credentials. An invalid value of another field is reported at the end.
fn for_the_credentials(answers: &FormValues) -> FormValues {
    let address = ["hosting", "api_url", "advanced", "ca_certificate"];
    let credentials = ["api_key", "auth_string", "extra_headers"];
    only(answers, &[&address[..], &credentials].concat())
}

fn only(answers: &FormValues, fields: &[&str]) -> FormValues {
    let found = fields
        .iter()
        .filter_map(|&field| Some((field.to_owned(), answers.get(field)?.clone())));
    found.collect()
}

/// Asks for a workspace of Prefect Cloud until the user enters a valid one. Returns the API URL.
fn cloud(ask: &mut impl Prompter, proposed: &str) -> anyhow::Result<String> {
    let proposed = if is_of_cloud(proposed) { proposed } else { "" };
    let question = "Workspace: its address in the browser or its API URL";
    if let CloudIds::Both { account, workspace } = cloud_ids(proposed) {
        // The address itself is longer than a line.
        ask.print(&format!(
            "Enter means account {account}, workspace {workspace}."
        ))?;
    }
    loop {
        let text = ask.text(question, proposed)?;
        match cloud_ids(&text) {
            CloudIds::Both { account, workspace } => {
                return Ok(format!(
                    "https://api.prefect.cloud/api/accounts/{account}/workspaces/{workspace}"
                ));
            }
            CloudIds::Incomplete => ask.print(
                "This address has no account and no workspace. Open the workspace in the browser and copy its address: \
                 https://app.prefect.cloud/account/…/workspace/…",
            )?,
        }
    }
}

/// Asks for a server's address until the user enters a valid one.
fn server(ask: &mut impl Prompter, proposed: &str) -> anyhow::Result<String> {
    let proposed = if proposed.is_empty() || is_of_cloud(proposed) {
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

/// A question for a secret.
struct Secret<'a> {
    field: &'static str,
    question: &'static str,
    /// The text before the question, unless it has an earlier answer.
    hint: &'static str,
    /// The environment variable that may have the secret, and its value.
    variable: &'static str,
    known: Option<&'a str>,
}

impl Secret<'_> {
    /// Asks for the secret, or for permission to use the one in the environment. Enter keeps an earlier answer.
    fn ask(&self, ask: &mut impl Prompter, answers: &mut FormValues) -> io::Result<()> {
        let earlier = answers.remove(self.field).filter(|it| !it.is_empty());
        let known = self.known.filter(|known| !known.is_empty());
        if let Some(known) = known.filter(|known| earlier.as_deref() != Some(known)) {
            let question = format!("Use {} from the environment?", self.variable);
            if ask.confirm(&question, earlier.is_none())? {
                answers.insert(self.field.to_owned(), known.to_owned());
                return Ok(());
            }
        }
        let hint = match &earlier {
            Some(_) => "Enter keeps the current value, - removes it.",
            None => self.hint,
        };
        // Shown separately, because a question that is longer than a line is shown twice.
        if !hint.is_empty() {
            ask.print(hint)?;
        }
        let given = ask.secret(self.question)?;
        let secret = match (given.as_str(), earlier) {
            ("", Some(earlier)) => earlier,
            ("-", Some(_)) => String::new(),
            _ => given,
        };
        if !secret.is_empty() {
            answers.insert(self.field.to_owned(), secret);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::prompter::Script, *};

    const ACCOUNT: &str = "0a111111-1111-4111-8111-111111111111";
    const WORKSPACE: &str = "0b222222-2222-4222-8222-222222222222";

    /// Asks with these answers, if every address passes its test.
    async fn asked(ask: &mut Script, known: &PrefectVariables, before: &FormValues) -> FormValues {
        questions(ask, known, before, async |_, _| Ok(None))
            .await
            .expect("answers")
    }

    #[tokio::test]
    async fn a_workspace_is_taken_from_the_browsers_address() {
        let address =
            format!("https://app.prefect.cloud/account/{ACCOUNT}/workspace/{WORKSPACE}/runs");
        let mut ask = Script::new(&["0", "nonsense", &address, "pnu_secret", "y", "n", "n"]);
        let known = PrefectVariables::default();
        let answers = asked(&mut ask, &known, &FormValues::new()).await;
        let url =
            format!("https://api.prefect.cloud/api/accounts/{ACCOUNT}/workspaces/{WORKSPACE}");
        assert_eq!(answers["api_url"], url);
        assert_eq!(answers["api_key"], "pnu_secret");
        assert_eq!(answers["hosting"], "Prefect Cloud");
        assert_eq!(answers["sync_flow_run_state_history"], "true");
        assert_eq!(answers["sync_logs"], "false");
        assert!(
            ask.prompts().contains("This address has no account"),
            "{}",
            ask.prompts()
        );
        assert!(!ask.prompts().contains("pnu_secret"));
    }

    #[tokio::test]
    async fn settings_of_prefects_own_tools_are_proposed() {
        let known = PrefectVariables {
            api_url: Some("http://prefect.internal:4200/api".into()),
            api_key: None,
            auth_string: Some("admin:pass".into()),
        };
        // Empty answers mean the proposed values.
        let mut ask = Script::new(&["", "", "", "", "", ""]);
        let answers = asked(&mut ask, &known, &FormValues::new()).await;
        assert_eq!(answers["api_url"], "http://prefect.internal:4200/api");
        assert_eq!(answers["auth_string"], "admin:pass");
        assert!(!answers.contains_key("api_key"));
    }

    fn before() -> FormValues {
        let fields = [
            ("hosting", "Self-hosted"),
            ("api_url", "http://h:4200/api"),
            ("auth_string", "admin:pass"),
            ("batch_size", "50"),
            ("sync_logs", "true"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fields.into_iter().collect()
    }

    #[tokio::test]
    async fn earlier_answers_are_proposed_and_other_fields_are_kept() {
        let known = PrefectVariables::default();
        let mut ask = Script::new(&["", "", "", "", "", ""]);
        let answers = asked(&mut ask, &known, &before()).await;
        let mut same = before();
        for field in ["sync_flow_run_state_history", "sync_events"] {
            same.insert(field.to_owned(), "false".to_owned());
        }
        assert_eq!(answers, same);
        assert!(!ask.prompts().contains("admin:pass"), "{}", ask.prompts());
        // A secret can be removed, and a new address entered.
        let mut ask = Script::new(&["", "h:4300", "-", "", "", ""]);
        let answers = asked(&mut ask, &known, &before()).await;
        assert!(!answers.contains_key("auth_string"));
        assert_eq!(answers["api_url"], "http://h:4300/api");
        // Another kind of Prefect takes neither the address nor the secret.
        let mut ask = Script::new(&["0", &format!("{ACCOUNT} {WORKSPACE}"), "", "", "", ""]);
        let answers = asked(&mut ask, &known, &before()).await;
        assert!(!answers.contains_key("auth_string"));
        assert!(!answers.contains_key("api_key"));
        assert_eq!(answers["batch_size"], "50");
    }

    #[tokio::test]
    async fn an_address_that_fails_its_test_is_asked_for_again_without_secrets() {
        let known = PrefectVariables::default();
        let test = async |tested, values: &FormValues| {
            assert!(tested == Tested::Credentials || !values.contains_key("auth_string"));
            let is_good = values["api_url"].contains("good");
            Ok((!is_good).then(|| "connection refused".to_owned()))
        };
        let ask = |answers: &[&str]| Script::new(answers);
        let mut again = ask(&["1", "bad:1", "0", "good:1", "", "", "", ""]);
        let answers = questions(&mut again, &known, &before(), test).await;
        assert_eq!(answers.expect("answers")["api_url"], "http://good:1/api");
        assert!(again.prompts().contains("Test FAILED: connection refused"));
        let mut kept = ask(&["1", "bad:1", "1", "", "", "", ""]);
        let answers = questions(&mut kept, &known, &before(), test).await;
        assert_eq!(answers.expect("answers")["api_url"], "http://bad:1/api");
    }

    #[tokio::test]
    async fn credentials_are_tested_at_once() {
        let known = PrefectVariables::default();
        let test = async |tested, values: &FormValues| {
            let is_wrong = tested == Tested::Credentials && values["auth_string"] != "admin:right";
            Ok(is_wrong.then(|| "the credentials are rejected".to_owned()))
        };
        // Wrong credentials are asked for again, then the address, and then everything is right.
        let mut ask = Script::new(&[
            "1",
            "h:1",
            "admin:wrong",
            "0",
            "admin:bad",
            "1",
            "h:2",
            "admin:right",
            "",
            "",
            "",
        ]);
        let answers = questions(&mut ask, &known, &FormValues::new(), test).await;
        let answers = answers.expect("answers");
        assert_eq!(answers["auth_string"], "admin:right");
        assert_eq!(answers["api_url"], "http://h:2/api");
        let prompts = ask.prompts();
        assert_eq!(prompts.matches("Test FAILED: the credentials").count(), 2);
        assert!(!prompts.contains("admin:"), "{prompts}");
        let mut kept = Script::new(&["1", "h:1", "admin:wrong", "2", "", "", ""]);
        let answers = questions(&mut kept, &known, &FormValues::new(), test).await;
        assert_eq!(answers.expect("answers")["auth_string"], "admin:wrong");
    }
}
