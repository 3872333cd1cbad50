//! Parses any configuration; no error, warning or setting may repeat a secret.
#![no_main]

use std::{collections::HashMap, str::FromStr};

use arbitrary::{Result, Unstructured};
use fivetran_source::config::{self, ApiUrl, CaCertificates, ExtraHeaders, FORM};
use libfuzzer_sys::fuzz_target;

/// A text that every secret contains.
const CANARY: &str = "c4n4ry";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let _ = ApiUrl::from_str(&text).map(|url| {
        assert!(!url.to_string().ends_with('/'));
        assert!(!url.to_string().contains('?'));
        let _ = (url.identity(), url.host(), url.is_on_this_machine());
        let again = ApiUrl::from_str(&url.to_string()).expect("a URL");
        assert_eq!(again.to_string(), url.to_string());
    });
    let _ = CaCertificates::from_str(&text);
    let _ = ExtraHeaders::from_str(&text);
    let _ = run(&mut Unstructured::new(data));
});

fn run(u: &mut Unstructured) -> Result<()> {
    let mut answers = HashMap::new();
    for field in FORM {
        let answer = match u.int_in_range(0..=3)? {
            0 => continue,
            1 => usual(field.name).to_owned(),
            2 => secret(u, field.name)?,
            _ => odd(u, field.name)?,
        };
        answers.insert(field.name.to_owned(), answer);
    }
    if u.ratio(1, 8)? {
        answers.insert(plain(u)?, CANARY.to_owned());
    }
    match config::parse(&answers) {
        Err(error) => {
            assert!(!error.to_string().contains(CANARY), "{error}");
            assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
        }
        Ok(parsed) => {
            let warnings = parsed.warnings.join(" ");
            assert!(!warnings.contains(CANARY), "{warnings}");
            let debugged = format!("{:?}", parsed.settings);
            assert!(!debugged.contains(CANARY), "{debugged}");
            let _ = (
                parsed.settings.account(),
                parsed.settings.api_url.identity(),
            );
        }
    }
    Ok(())
}

fn usual(field: &str) -> &'static str {
    match field {
        "api_url" => "http://localhost:4200/api",
        "extra_headers" => "{\"X-A\": \"b\"}",
        "ca_certificate" => include_str!("../../tests/fixtures/ca.pem"),
        "auth_string" => "user:password",
        "api_key" => "pnu_key",
        _ => "7",
    }
}

/// Returns a form value that contains a secret, valid or invalid.
fn secret(u: &mut Unstructured, field: &str) -> Result<String> {
    let (a, b) = (part(u)?, part(u)?);
    Ok(match field {
        "api_url" => match u.int_in_range(0..=2)? {
            0 => format!("https://{a}:{CANARY}{b}@h/api"),
            1 => format!("https://h/api?{a}={CANARY}{b}"),
            _ => format!("http://{CANARY}{b}@h/{a}"),
        },
        "extra_headers" => format!("{{{}:{}}}", json(&a), json(&format!("{b}{CANARY}"))),
        "api_key" | "auth_string" | "ca_certificate" => format!("{a}{CANARY}{b}"),
        _ => odd(u, field)?,
    })
}

fn odd(u: &mut Unstructured, field: &str) -> Result<String> {
    let text = plain(u)?;
    Ok(match field {
        // The text is never JSON, because in JSON the secret could be a header's name.
        "extra_headers" => format!("{CANARY}{}", text.replace('"', "")),
        // A host is not a secret, and may be spelled in several equivalent ways.
        "api_url" if ApiUrl::from_str(&text).is_ok_and(|url| url.to_string().contains(CANARY)) => {
            String::new()
        }
        _ => text,
    })
}

/// Returns a short text without the characters that would end its place in a URL.
fn part(u: &mut Unstructured) -> Result<String> {
    let text = plain(u)?;
    Ok(text
        .chars()
        .filter(|c| !"/\\?#@".contains(*c))
        .take(20)
        .collect())
}

/// Returns any text that does not contain the secret.
fn plain(u: &mut Unstructured) -> Result<String> {
    let text: String = u.arbitrary()?;
    Ok(text.replace(CANARY, ""))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
