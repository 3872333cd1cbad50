//! The files of the last reports.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use crate::{error::Error, options::REPORT_FILE, state::temporary};

/// The folder of the last reports, in the folder of the run.
pub(super) const REPORTS: &str = "reports";
/// The number of reports that are kept.
pub(super) const KEPT: usize = 20;

/// Writes the report of the run that began at `began`, and a copy into [`REPORTS`]. Returns the path of the report.
pub(super) fn write(dir: &Path, began: DateTime<Utc>, html: &str) -> Result<PathBuf, Error> {
    let path = dir.join(REPORT_FILE);
    let kept = dir.join(REPORTS);
    // The name sorts by time, and is one that every file system accepts.
    let copy = kept.join(began.format("%Y-%m-%dT%H-%M-%S%.3fZ.html").to_string());
    replace(&path, html).map_err(|error| Error::io("write", &path, error))?;
    fs::create_dir_all(&kept)
        .and_then(|()| replace(&copy, html))
        .map_err(|error| Error::io("write", &copy, error))?;
    let reports = reports(dir);
    for old in reports.iter().take(reports.len().saturating_sub(KEPT)) {
        match fs::remove_file(old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("delete", old, error));
            }
            _ => {}
        }
    }
    Ok(path)
}

fn replace(path: &Path, html: &str) -> io::Result<()> {
    let temporary = temporary(path);
    fs::write(&temporary, html)?;
    fs::rename(&temporary, path)
}

/// Returns the reports of the last runs in a folder, the oldest first. Files with other names are not reports.
pub(crate) fn reports(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join(REPORTS)).into_iter().flatten();
    let files = files.filter_map(|file| Some(file.ok()?.path()));
    let mut reports: Vec<PathBuf> = files.filter(|path| is_report(path)).collect();
    reports.sort();
    reports
}

fn is_report(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let time = name.and_then(|name| name.strip_suffix("Z.html"));
    time.is_some_and(|time| {
        chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H-%M-%S%.3f").is_ok()
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_last_reports_are_kept_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let notes = dir.path().join(REPORTS).join("notes.html");
        fs::create_dir(dir.path().join(REPORTS)).unwrap();
        fs::write(&notes, "").unwrap();
        let mut began = DateTime::UNIX_EPOCH;
        for number in 0..KEPT + 3 {
            began += TimeDelta::milliseconds(700);
            let path = write(dir.path(), began, &number.to_string()).unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), number.to_string());
        }
        let kept = reports(dir.path());
        let texts = kept.iter().map(|path| fs::read_to_string(path).unwrap());
        let want: Vec<String> = (3..KEPT + 3).map(|number| number.to_string()).collect();
        assert_eq!(texts.collect::<Vec<_>>(), want);
        assert!(
            kept[0].ends_with("1970-01-01T00-00-02.800Z.html"),
            "{kept:?}"
        );
        // Other files stay.
        assert!(notes.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(
            fs::read_dir(dir.path().join(REPORTS)).unwrap().count(),
            KEPT + 1
        );

        let missing = dir.path().join("nowhere");
        let error = write(&missing, DateTime::UNIX_EPOCH, "").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }
}
