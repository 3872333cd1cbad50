//! The lines that a connector writes to stdout: log lines, one JSON object each.

use serde_json::Value;

/// The levels of the Partner SDK.
const LEVELS: [&str; 3] = ["INFO", "WARNING", "SEVERE"];
/// The further levels of the Python SDK.
const MORE_LEVELS: [&str; 4] = ["DEBUG", "FINE", "ERROR", "CRITICAL"];

/// Returns why a line is not a log line, or `None` if it is one. The reason never quotes the line.
pub(super) fn fault(line: &str) -> Option<String> {
    if line.trim().is_empty() {
        return None;
    }
    let Ok(Value::Object(object)) = serde_json::from_str(line) else {
        return Some("it is not a JSON object".to_owned());
    };
    let Some(level) = object.get("level").and_then(Value::as_str) else {
        return Some("it has no `level`".to_owned());
    };
    let Some(message) = object.get("message") else {
        return Some("it has no `message`".to_owned());
    };
    let partner = object.get("message-origin").and_then(Value::as_str);
    let python = object.get("message_origin").and_then(Value::as_str);
    let is_known = |levels: &[&str]| levels.contains(&level);
    match (partner, python) {
        (None, None) => Some("it has no `message-origin`".to_owned()),
        (None, Some(_)) if is_known(&LEVELS) || is_known(&MORE_LEVELS) => None,
        (Some(_), _) if !message.is_string() => Some("its `message` is not a string".to_owned()),
        (Some(_), _) if is_known(&LEVELS) => None,
        _ => Some("its `level` is not INFO, WARNING or SEVERE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sdks_lines_are_log_lines_and_nothing_else_is() {
        let good = [
            r#"{"level":"INFO","message":"read","message-origin":"sdk_connector"}"#,
            r#"{"level":"SEVERE","message":"a \"quote\"","message-origin":"sdk_connector"}"#,
            r#"{"level":"FINE", "message": "read", "message_origin": "connector_sdk"}"#,
            "",
        ];
        for line in good {
            assert_eq!(fault(line), None, "{line}");
        }
        let bad = [
            "read 5 rows",
            r#"["INFO"]"#,
            r#"{"level":"INFO","message":"a "quote"","message-origin":"sdk_connector"}"#,
            r#"{"message":"read","message-origin":"sdk_connector"}"#,
            r#"{"level":"INFO","message-origin":"sdk_connector"}"#,
            r#"{"level":"INFO","message":"read"}"#,
            r#"{"level":"FINE","message":"read","message-origin":"sdk_connector"}"#,
            r#"{"level":"INFO","message":{"rows":5},"message-origin":"sdk_connector"}"#,
        ];
        for line in bad {
            assert!(fault(line).is_some(), "{line}");
        }
    }
}
