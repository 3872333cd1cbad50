//! The text of `docs/CONFORMANCE.md`, which is generated from the rules.

use std::fmt::Write as _;

use super::rules::ALL;

/// The text of `docs/CONFORMANCE.md`: all rules in Markdown, and the usage.
pub fn markdown() -> String {
    let mut text = include_str!("guide.md").to_owned();
    text.push_str("\n| rule | severity | in one sentence |\n|---|---|---|\n");
    for rule in ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [{0}](#{0}) | {1} | {2} |",
            rule.id, rule.severity, rule.title
        );
    }
    for rule in ALL {
        let _ = write!(
            text,
            "\n### {}\n\n{}: **{}** {} (Source: {}.)\n",
            rule.id, rule.severity, rule.title, rule.text, rule.source
        );
    }
    text.push('\n');
    text.push_str(include_str!("measured.md"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let written = include_str!("../../../../docs/CONFORMANCE.md");
        assert_eq!(written, markdown(), "regenerate it: make generated");
    }
}
