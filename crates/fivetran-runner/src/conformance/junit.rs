//! The report as JUnit XML, which CI servers show: a test case for each rule.

use std::io::{self, Write};

use quick_xml::{
    Writer,
    events::{BytesText, Event},
};

use super::{
    Report,
    render::finding_text,
    test_cases::{CaseOutcome, TestCase, count, test_cases},
};

/// The name of the suite, and the class of its test cases.
const SUITE: &str = "conformance";

/// Writes the report as JUnit XML. Warnings count as failures if `strict`.
pub fn write(report: &Report, strict: bool, out: &mut impl Write) -> io::Result<()> {
    let cases = test_cases(report, strict);
    let counts = count(&cases);
    let errors = usize::from(report.incomplete.is_some());
    let totals = [
        ("name", SUITE.to_owned()),
        ("tests", (counts.all + 1).to_string()),
        ("failures", counts.failed.to_string()),
        ("errors", errors.to_string()),
        (
            "skipped",
            (counts.skipped + counts.known_failing).to_string(),
        ),
    ];
    let mut writer = Writer::new_with_indent(&mut *out, b' ', 2);
    writer.write_event(Event::Decl(quick_xml::events::BytesDecl::new(
        "1.0",
        Some("UTF-8"),
        None,
    )))?;
    let attributes = || totals.iter().map(|(name, value)| (*name, value.as_str()));
    writer
        .create_element("testsuites")
        .with_attributes(attributes())
        .write_inner_content(|writer| {
            writer
                .create_element("testsuite")
                .with_attributes(attributes())
                .write_inner_content(|writer| {
                    whole_run(report, writer)?;
                    cases.iter().try_for_each(|case| test_case(case, writer))
                })?;
            Ok(())
        })?;
    writeln!(out)
}

/// Writes the test case that fails if the run stopped early.
fn whole_run(report: &Report, writer: &mut Writer<impl Write>) -> io::Result<()> {
    let element = writer
        .create_element("testcase")
        .with_attributes([("classname", SUITE), ("name", "complete-run")]);
    let Some(why) = &report.incomplete else {
        element.write_empty()?;
        return Ok(());
    };
    let text = format!("The test run stopped early: {why}");
    element.write_inner_content(|writer| described(writer, "error", "incomplete", &text, &text))?;
    Ok(())
}

fn test_case(case: &TestCase<'_>, writer: &mut Writer<impl Write>) -> io::Result<()> {
    let element = writer
        .create_element("testcase")
        .with_attributes([("classname", SUITE), ("name", case.rule.id)]);
    let text: String = case.findings.iter().map(|it| finding_text(it)).collect();
    if case.outcome == CaseOutcome::Passed && text.is_empty() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|writer| match case.outcome {
        CaseOutcome::Failed => {
            let severity = case.rule.severity.to_string();
            described(writer, "failure", &severity, case.rule.title, &text)
        }
        CaseOutcome::KnownFailing => {
            described(writer, "skipped", "known failing", &known(case), &text)
        }
        CaseOutcome::Skipped => {
            let why = case.why.unwrap_or_default();
            described(writer, "skipped", "not checked", why, &text)
        }
        CaseOutcome::Passed => {
            let output = writer.create_element("system-out");
            output.write_text_content(BytesText::new(&allowed(&text)))?;
            Ok(())
        }
    })?;
    Ok(())
}

/// The reasons of the waivers.
fn known(case: &TestCase<'_>) -> String {
    let mut reasons: Vec<&str> = case
        .findings
        .iter()
        .filter_map(|it| it.waived.as_deref())
        .collect();
    reasons.dedup();
    format!("known failing: {}", reasons.join("; "))
}

fn described(
    writer: &mut Writer<impl Write>,
    element: &str,
    kind: &str,
    message: &str,
    text: &str,
) -> io::Result<()> {
    let message = allowed(message);
    let element = writer
        .create_element(element)
        .with_attributes([("type", kind), ("message", &message)]);
    if text.is_empty() {
        element.write_empty()?;
    } else {
        element.write_text_content(BytesText::new(&allowed(text)))?;
    }
    Ok(())
}

/// Returns the text without characters that XML does not allow.
fn allowed(text: &str) -> String {
    let is_allowed = |char: char| {
        matches!(char, '\t' | '\n' | '\r')
            || (char >= ' ' && !matches!(char, '\u{fffe}' | '\u{ffff}'))
    };
    let replaced = text
        .chars()
        .map(|char| if is_allowed(char) { char } else { '\u{fffd}' });
    replaced.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use quick_xml::Reader;
    use secret_redactor::Redactor;

    use crate::conformance::{
        Waivers,
        finding_log::{FindingLocation, FindingLog},
        rules,
    };

    /// A report with an error, a waived warning and a note, whose run stopped early.
    fn report() -> Report {
        let mut finding_log = FindingLog::default();
        let place = |table: &str| FindingLocation::call("sync").table(&table);
        finding_log.add(&rules::TYPE_MISMATCH, place("a"), "a <b> & \"c\" \u{1b}");
        finding_log.add(&rules::TABLE_WITHOUT_KEY, place("b"), "no key");
        finding_log.add(&rules::FULL_REFRESH, place("c"), "all rows");
        let mut report = Report {
            connector: String::new(),
            against: None,
            incomplete: Some("it was <interrupted>".to_owned()),
            findings: finding_log.list(),
            unused_waivers: Vec::new(),
            unchecked: Vec::new(),
            syncs: Vec::new(),
            changed: Vec::new(),
            checkpoints: (0, 0),
            finding_log,
            redactor: Redactor::default(),
        };
        report.waive(&Waivers::parse("table-without-key b: a view").unwrap());
        report
    }

    #[test]
    fn the_elements_are_those_that_the_totals_count() {
        let mut xml = Vec::new();
        write(&report(), true, &mut xml).unwrap();
        let text = String::from_utf8(xml).unwrap();
        let mut reader = Reader::from_str(&text);
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        let mut totals = Vec::new();
        loop {
            let event = reader.read_event().unwrap();
            if event == Event::Eof {
                break;
            }
            if let Event::Start(element) | Event::Empty(element) = event {
                let name = element.name().as_ref().to_owned();
                if name == "testsuite" {
                    let attributes = element.attributes().map(Result::unwrap);
                    totals.extend(attributes.map(|it| it.value.into_owned()));
                }
                *found.entry(name).or_default() += 1;
            }
        }
        let of = |name: &str| found.get(name).copied().unwrap_or(0).to_string();
        let counted = ["testcase", "failure", "error", "skipped"].map(of);
        assert_eq!(totals[1..], counted, "{text}");
        assert_eq!(counted[1..3], ["1", "1"]);
        // The note is in a test case that the early end leaves unchecked.
        assert!(text.contains("note: full-refresh c: all rows"), "{text}");
        assert!(text.contains("a &lt;b&gt; &amp; "), "{text}");
        assert!(text.contains("message=\"known failing: a view\""), "{text}");
    }

    #[test]
    fn characters_that_xml_does_not_allow_are_replaced() {
        assert_eq!(
            allowed("a\tb\nc\u{1b}[0m\u{0}\u{ffff}é"),
            "a\tb\nc\u{fffd}[0m\u{fffd}\u{fffd}é"
        );
    }
}
