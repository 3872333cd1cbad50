//! `conformance` in CI: waivers and JUnit XML.

use std::{fs, path::Path};

use super::{
    conformance,
    fault::Fault,
    scripted::{SECRET, Scripted},
};

/// Examines the connector with the fault, strictly, in a folder that has the files of the arguments. Returns the exit
/// code and both outputs.
async fn strict(fault: Fault, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let connector = Scripted::start(fault).await;
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let configuration = path("c.json");
    fs::write(&configuration, format!(r#"{{"api_key": "{SECRET}"}}"#)).unwrap();
    let mut all = vec!["--strict", "--cuts", "1", "--connect"];
    let address = connector.endpoint.trim_start_matches("http://");
    all.extend([address, "--configuration", &configuration]);
    let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    for pair in arguments.chunks(2) {
        all.extend([pair[0].to_owned(), path(pair[1])]);
    }
    let (output, code) = conformance(all).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waived_findings_do_not_fail_the_run_and_unused_waivers_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--waivers", "w", "--junit", "j.xml"];
    let waivers = "# Names\nname-rewritten payments.userName: ticket 5\nkey-missing users: fixed";
    fs::write(folder.path().join("w"), waivers).unwrap();
    let (code, said, _) = strict(Fault::CamelCase, folder.path(), &arguments).await;
    // The other table has the same column.
    assert_eq!(code, Some(1), "{said}");
    let waivers = waivers.replace(" payments.userName", "");
    fs::write(folder.path().join("w"), waivers).unwrap();
    let (code, said, _) = strict(Fault::CamelCase, folder.path(), &arguments).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("known failing, warning: name-rewritten payments.userName: ")
            && said.contains("\n  reason of the waiver: ticket 5\n")
            && said.contains("Unused waiver: line 3, `key-missing users`, ")
            && said.contains(" 0 failed, 1 known failing, ")
            && said.ends_with("0 errors, 0 warnings, 0 notes, 2 known failing\n"),
        "{said}"
    );
    let xml = fs::read_to_string(folder.path().join("j.xml")).unwrap();
    assert!(
        xml.contains(r#"<skipped type="known failing" message="known failing: ticket 5">"#),
        "{xml}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiver_without_a_reason_is_an_error_that_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w"), "\nname-rewritten:\n").unwrap();
    let (code, _, said) = strict(Fault::CamelCase, folder.path(), &["--waivers", "w"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("w: line 2: the waiver `name-rewritten` has no reason; write RULE"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junit_has_a_test_case_for_each_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said, _) = strict(Fault::CamelCase, folder.path(), &["--junit", "j.xml"]).await;
    assert_eq!(code, Some(1), "{said}");
    let xml = fs::read_to_string(folder.path().join("j.xml")).unwrap();
    let failed = r#"<testcase classname="conformance" name="name-rewritten">
      <failure type="warning" message="Names are lower-case"#;
    assert!(xml.contains(failed), "{xml}");
    assert!(
        xml.contains("payments.userName: `userName` is renamed to `user_name`"),
        "{xml}"
    );
    assert!(
        xml.contains(r#"failures="1" errors="0" skipped="1">"#),
        "{xml}"
    );
    let passed = r#"<testcase classname="conformance" name="batch-size"/>"#;
    assert!(xml.contains(passed) && !xml.contains("upgrade-"), "{xml}");
}
