//! Tests of valid and invalid values of the form.

use super::*;

/// A self-signed certificate that no server uses.
const CERTIFICATE: &str = include_str!("../../tests/fixtures/ca.pem");

fn parse_pairs(pairs: &[(&str, &str)]) -> Result<Parsed, ConfigError> {
    let map: HashMap<String, String> = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    parse(&map)
}

fn url(text: &str) -> Result<Parsed, ConfigError> {
    parse_pairs(&[("api_url", text)])
}

#[test]
fn defaults_apply_to_what_is_empty() {
    let parsed = parse_pairs(&[
        ("api_url", " http://localhost:4200/api/ "),
        ("api_key", " "),
        ("batch_size", ""),
    ])
    .expect("valid");
    assert_eq!(
        parsed.settings.api_url.to_string(),
        "http://localhost:4200/api"
    );
    assert_eq!(parsed.settings.batch_size.get(), 200);
    assert_eq!(parsed.settings.concurrency.get(), 4);
    assert!(matches!(parsed.settings.credentials, Credentials::None));
    assert_eq!(parsed.warnings, Vec::<String>::new());
}

#[test]
fn every_field_of_the_form_can_be_filled_in() {
    let good = [
        ("api_url", "http://x/api"),
        ("api_key", "pnu_key"),
        ("auth_string", "admin:pass"),
        ("batch_size", "50"),
        ("concurrency", "2"),
        ("requests_per_minute", "600"),
        ("retention_days", "30"),
        ("ca_certificate", CERTIFICATE),
        ("extra_headers", r#"{"X-Gateway": "a b"}"#),
        ("hosting", "Self-hosted"),
        ("start_date", "2026-01-31"),
        ("include_scheduled_runs", "False"),
        ("advanced", "true"),
        ("look_back_days", "7"),
        ("checkpoint_interval_seconds", "600"),
        ("filter", r#"{"flow_runs": {"tags": {"all_": ["prod"]}}}"#),
    ];
    for field in FORM {
        let answer = good.iter().find(|(name, _)| *name == field.name);
        let answer = answer.expect("a value for each field");
        let parsed = parse_pairs(&[good[0], *answer]).expect(field.name);
        assert_eq!(parsed.warnings, Vec::<String>::new());
    }
    let parsed = parse_pairs(&[good[0], good[3], good[4]]).expect("valid");
    assert_eq!(parsed.settings.batch_size.get(), 50);
    assert_eq!(parsed.settings.concurrency.get(), 2);
}

#[test]
fn a_bad_value_is_named_with_its_field_and_what_is_allowed() {
    for size in ["0", "201", "1.5", "-1"] {
        let error =
            parse_pairs(&[("api_url", "http://x/api"), ("batch_size", size)]).expect_err("invalid");
        assert_eq!(
            error.to_string(),
            format!(
                "configuration field `batch_size`: must be a whole number from 1 to 200, not `{size}`"
            )
        );
    }
    let error = parse_pairs(&[("api_url", "http://x/api"), ("concurrency", "33")]);
    assert_eq!(
        error.expect_err("invalid").to_string(),
        "configuration field `concurrency`: must be a whole number from 1 to 32, not `33`"
    );
    assert_eq!(
        url("").expect_err("missing").to_string(),
        "configuration field `api_url` is missing: fill it in"
    );
}

#[test]
fn a_certificate_comes_as_pem_or_as_base64() {
    let packed = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        CERTIFICATE.as_bytes(),
    );
    let given = |text: &str| parse_pairs(&[("api_url", "http://x/api"), ("ca_certificate", text)]);
    for text in [CERTIFICATE, &packed] {
        let parsed = given(text).expect("valid");
        let found = parsed.settings.ca_certificates.expect("certificates");
        assert_eq!(found.iter().count(), 1);
    }
    for text in [
        "hunter2!",
        "aHVudGVyMg==",
        "-----BEGIN CERTIFICATE-----\nhunter2",
    ] {
        let error = given(text).expect_err(text).to_string();
        assert!(
            error.starts_with("configuration field `ca_certificate`: "),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn extra_headers_are_refused_without_repeating_them() {
    for (text, why) in [
        (
            "hunter2",
            "is not valid JSON: expected value at line 1 column 1; write a JSON object of strings such as {\"X-Gateway-Token\": \"...\"}",
        ),
        (
            "[\"hunter2\"]",
            "must be a JSON object of strings such as {\"X-Gateway-Token\": \"...\"}, not a list",
        ),
        (r#"{"a": 1}"#, "the value of a must be a text, not a number"),
        (r#"{"a b": "hunter2"}"#, "`a b` is not a valid header name"),
        (
            r#"{"Host": "hunter2"}"#,
            "Host is set by the connector itself; for a key or a password use the fields api_key and auth_string",
        ),
        (
            "{\"X-A\": \"hunter2\\n\"}",
            "the value of X-A contains characters that are not allowed in a header; copy it again",
        ),
    ] {
        let error = parse_pairs(&[("api_url", "http://x/api"), ("extra_headers", text)]);
        let error = error.expect_err(text).to_string();
        assert_eq!(error, format!("configuration field `extra_headers`: {why}"));
    }
}

#[test]
fn what_is_limited_together_is_an_account_or_a_server() {
    let account = |text: &str| url(text).expect("valid").settings.account();
    let cloud = "https://api.prefect.cloud/api/accounts/a/workspaces/";
    assert_eq!(account(&format!("{cloud}v")), account(&format!("{cloud}w")));
    assert_ne!(
        account(&format!("{cloud}v")),
        account("https://api.prefect.cloud/api/accounts/b/workspaces/v")
    );
    assert_ne!(account("http://h:4200/api"), account("http://h:4201/api"));
}

#[test]
fn a_host_is_this_machine_or_another_one() {
    for (host, here) in [
        ("localhost:4200", true),
        ("prefect.localhost", true),
        ("127.0.0.1:4200", true),
        ("[::1]", true),
        ("10.0.0.1", false),
        ("localhost.example.com", false),
    ] {
        let parsed = url(&format!("http://{host}/api")).expect("valid");
        assert_eq!(parsed.settings.api_url.is_on_this_machine(), here, "{host}");
    }
}

#[test]
fn a_url_is_normalised_or_refused_without_repeating_it() {
    assert_eq!(
        url("http://h:4200").expect("valid").warnings,
        ["the API URL had no path: /api was added, and the URL is now http://h:4200/api [W01]"]
    );
    assert_eq!(
        url("https://h/prefect/api//")
            .expect("valid")
            .settings
            .api_url
            .join("/flows/filter"),
        "https://h/prefect/api/flows/filter"
    );
    for bad in [
        "h:4200",
        "ftp://h/api",
        "https://u:hunter2@h/api",
        "https://h/api?token=hunter2",
        "https://api.prefect.cloud/api",
        "not a url",
    ] {
        let error = url(bad).expect_err(bad).to_string();
        assert!(
            error.starts_with("configuration field `api_url`: "),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn prefect_cloud_is_recognised() {
    let parsed = url("https://api.prefect.cloud/api/accounts/a-1/workspaces/w-2/").expect("valid");
    assert_eq!(parsed.settings.api_url.cloud_ids(), Some(("a-1", "w-2")));
    assert_eq!(parsed.settings.api_url.identity(), "cloud:a-1/w-2");
}

#[test]
fn the_address_of_a_web_page_becomes_that_of_the_api() {
    let cloud = "https://api.prefect.cloud/api/accounts/a-1/workspaces/w-2";
    for (page, api) in [
        (
            "https://app.prefect.cloud/account/a-1/workspace/w-2/dashboard?g_range=1",
            cloud,
        ),
        ("https://app.prefect.cloud/account/a-1/workspace/w-2", cloud),
        (
            "http://localhost:4200/dashboard",
            "http://localhost:4200/api",
        ),
        (
            "https://p.example.com/runs?state=Failed#top",
            "https://p.example.com/api",
        ),
        (
            "http://h:4200/runs/flow-run/0b222222?tab=logs",
            "http://h:4200/api",
        ),
    ] {
        let parsed = url(page).expect(page);
        assert_eq!(parsed.settings.api_url.to_string(), api, "{page}");
        assert_eq!(
            parsed.warnings,
            [format!(
                "the API URL was the address of a web page, and the URL is now {api} [W01]"
            )]
        );
    }
    for bad in [
        "https://app.prefect.cloud/account/a-1",
        "https://app.prefect.cloud/account/a-1/workspace/",
        "https://api.prefect.cloud/dashboard",
        "https://u:hunter2@h/dashboard",
    ] {
        let error = url(bad).expect_err(bad).to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    // A gateway may have the API below another path.
    let below = url("https://acme.io/tools/runs/api").expect("valid");
    assert_eq!(below.warnings, [] as [&str; 0]);
}

#[test]
fn unknown_keys_warn_and_secrets_stay_secret() {
    let parsed = parse_pairs(&[
        ("api_url", "http://h/api"),
        ("auth_string", "admin:hunter2"),
        ("colour", "red"),
    ])
    .expect("valid");
    assert_eq!(
        parsed.warnings,
        ["configuration field `colour` is not known and has no effect [W02]"]
    );
    assert!(!format!("{parsed:?}").contains("hunter2"));
    let error = parse_pairs(&[("api_url", "http://h/api"), ("api_key", "hun ter2")])
        .expect_err("invalid")
        .to_string();
    assert!(
        error.contains("api_key") && !error.contains("ter2"),
        "{error}"
    );
}

#[test]
fn a_value_that_is_not_in_the_list_is_reported_with_the_closest_one() {
    let reported = |field: &str, value: &str| {
        let error = parse_pairs(&[("api_url", "http://x/api"), (field, value)]);
        error.expect_err("invalid").to_string()
    };
    for (field, value, says) in [
        (
            "hosting",
            "selfhosted",
            "must be `Prefect Cloud` or `Self-hosted`; the closest value is `Self-hosted`",
        ),
        (
            "hosting",
            "hunter2",
            "must be `Prefect Cloud` or `Self-hosted`",
        ),
        (
            "include_scheduled_runs",
            "flase",
            "must be `true` or `false`; the closest value is `false`",
        ),
        (
            "advanced",
            "ture",
            "must be `true` or `false`; the closest value is `true`",
        ),
        ("sync_logs", "yes", "must be `true` or `false`"),
    ] {
        let error = reported(field, value);
        assert_eq!(error, format!("configuration field `{field}`: {says}"));
    }
    for good in ["prefect cloud", "SELF-HOSTED", ""] {
        assert!(parse_pairs(&[("api_url", "http://x/api"), ("hosting", good)]).is_ok());
    }
}

#[test]
fn every_field_of_the_form_is_read() {
    // A field that the parser does not know would be ignored silently.
    let source = include_str!("../config.rs");
    let answers = source
        .split("struct FormValues {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next());
    let is_condition = |name| {
        let mut conditions = FORM.iter().filter_map(|field| field.shown);
        conditions.any(|condition| condition.field == name)
    };
    for field in FORM.iter().filter(|field| !is_condition(field.name)) {
        assert!(
            answers.is_some_and(|answers| answers.contains(&format!("    {}:", field.name))),
            "{}",
            field.name
        );
    }
}

#[test]
fn a_key_in_the_place_of_a_number_is_not_repeated() {
    let reported = |answer: &str| {
        let error = parse_pairs(&[("api_url", "http://x/api"), ("retention_days", answer)]);
        error.expect_err("invalid").to_string()
    };
    assert!(reported("-7").ends_with("not `-7`"));
    for key in ["pnu_key", "012345678901234567890123456789"] {
        assert!(!reported(key).contains(key), "{}", reported(key));
    }
}

#[test]
fn hidden_fields_do_not_count() {
    let cloud = [
        ("api_url", "http://h/api"),
        ("hosting", "Prefect Cloud"),
        ("api_key", "pnu_key"),
        ("auth_string", "admin:left over"),
        ("advanced", "false"),
        ("batch_size", "left over"),
    ];
    let settings = parse_pairs(&cloud).expect("valid").settings;
    assert!(matches!(settings.credentials, Credentials::Bearer(_)));
    assert_eq!(settings.batch_size.get(), 200);
    let mut shown = cloud;
    shown[4].1 = "true";
    assert!(parse_pairs(&shown).is_err());
}

#[test]
fn tables_that_are_off_are_there_when_they_are_chosen() {
    let names = |pairs: &[(&str, &str)]| {
        let settings = parse_pairs(pairs).expect("valid").settings;
        let tables = settings
            .tables
            .iter()
            .filter(|table| table.choice.is_some());
        tables.map(|table| table.name).collect::<Vec<_>>()
    };
    let url = ("api_url", "http://h/api");
    assert_eq!(names(&[url]), Vec::<&str>::new());
    assert_eq!(
        names(&[url, ("sync_logs", "true"), ("sync_events", "false")]),
        ["logs"]
    );
    let error = parse_pairs(&[url, ("sync_logs", "maybe")]).expect_err("invalid");
    assert_eq!(
        error.to_string(),
        "configuration field `sync_logs`: must be `true` or `false`"
    );
}
