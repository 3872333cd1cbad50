//! Starts over: deletes the files of a local run.

use std::{
    fs,
    io::{ErrorKind, IsTerminal as _},
    path::{Path, PathBuf},
};

use super::{Error, REPORT_FILE, STATE_FILE, WAREHOUSE_FILE, database::DuckDb, html_report, state};

/// Deletes the warehouse, the state, the HTML reports and their temporary files in `dir`, and nothing else.
///
/// Deletes only with `yes`, or if `confirm` returns true. Returns the deleted files: none if there were none or
/// `confirm` returned false. `confirm` is not called when there is nothing to delete. Fails while another process
/// uses the warehouse.
pub fn reset(
    dir: &Path,
    yes: bool,
    confirm: impl FnOnce(&str) -> Result<bool, Error>,
) -> Result<Vec<PathBuf>, Error> {
    let present: Vec<_> = files(dir)
        .into_iter()
        .filter(|file| is_there(file))
        .collect();
    if present.is_empty() {
        return Ok(Vec::new());
    }
    let question = format!(
        "This deletes the state and the rows of the local run in {}. Continue?",
        dir.display()
    );
    if !yes && !confirm(&question)? {
        return Ok(Vec::new());
    }
    let warehouse = dir.join(WAREHOUSE_FILE);
    if warehouse.exists()
        && let Err(locked @ Error::Locked { .. }) = DuckDb::open_read_only(&warehouse)
    {
        return Err(locked);
    }
    for file in &present {
        match fs::remove_file(file) {
            // The file was closed or removed in between, which is just as good.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(|error| Error::io("delete", file, error))?,
        }
    }
    Ok(present)
}

/// Asks for confirmation on the terminal. Fails if there is none.
pub fn ask(question: &str) -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::NotInteractive);
    }
    dialoguer::Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
        .map_err(|_| Error::NotInteractive)
}

/// The files to delete, the state first: rows without a state are harmless, a state without rows is not.
fn files(dir: &Path) -> Vec<PathBuf> {
    let state = dir.join(STATE_FILE);
    let report = dir.join(REPORT_FILE);
    let mut files = vec![
        state::temporary(&state),
        state,
        dir.join(WAREHOUSE_FILE),
        dir.join(format!("{WAREHOUSE_FILE}.wal")),
        state::temporary(&report),
        report,
    ];
    files.extend(html_report::reports(dir));
    files
}

fn is_there(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok_and(|found| !found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_runs_own_files_go() {
        let dir = tempfile::tempdir().unwrap();
        drop(DuckDb::open(&dir.path().join("warehouse.db")).unwrap());
        for file in [
            "state.json",
            "state.json.tmp",
            "report.html",
            "report.html.tmp",
            "notes.txt",
            "warehouse.db.bak",
        ] {
            fs::write(dir.path().join(file), "{}").unwrap();
        }
        let reports = dir.path().join("reports");
        fs::create_dir(&reports).unwrap();
        for file in ["2026-11-29T05-32-10.123Z.html", "notes.html"] {
            fs::write(reports.join(file), "").unwrap();
        }
        let gone = reset(dir.path(), true, |_| {
            panic!("confirmation requested despite yes")
        })
        .unwrap();
        assert_eq!(gone.len(), 6);
        assert_eq!(names(&reports), ["notes.html"]);
        assert_eq!(
            names(dir.path()),
            ["notes.txt", "reports", "warehouse.db.bak"]
        );
        let gone = reset(dir.path(), false, |_| {
            panic!("confirmation requested without files")
        })
        .unwrap();
        assert!(gone.is_empty());
    }

    #[test]
    fn answering_no_deletes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.json"), "{}").unwrap();
        assert!(reset(dir.path(), false, |_| Ok(false)).unwrap().is_empty());
        assert_eq!(names(dir.path()), ["state.json"]);
        let asked = reset(dir.path(), false, |_| Err(Error::NotInteractive));
        assert!(asked.unwrap_err().to_string().contains("--yes"));
        assert_eq!(names(dir.path()), ["state.json"]);
    }

    #[test]
    fn a_damaged_warehouse_can_be_deleted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("warehouse.db"), "no database").unwrap();
        assert_eq!(reset(dir.path(), true, |_| Ok(false)).unwrap().len(), 1);
        assert!(names(dir.path()).is_empty());
    }
}
