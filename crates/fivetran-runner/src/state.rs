//! The state file, which the connector receives at the next sync.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use serde::de::IgnoredAny;

use super::Error;

/// The state of a connection that has never synced.
pub(super) const FRESH: &str = "{}";

/// Reads a state. Returns `None` if the file does not exist.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let damaged = |reason: String| Error::State {
        path: path.to_owned(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8 text".to_owned()))?;
    serde_json::from_str::<IgnoredAny>(&text).map_err(|error| damaged(error.to_string()))?;
    Ok(Some(text))
}

/// The file of checkpoints. At every moment it holds either the whole old state or the whole new one.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Replaces the state. After the return the new state survives a loss of power.
    pub(super) fn write(&self, state: &str) -> Result<(), Error> {
        let temporary = temporary(&self.path);
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(state.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            sync_folder(&self.path)
        };
        write().map_err(|error| Error::io("write", &self.path, error))
    }
}

/// The temporary file to which a new version is written before it replaces `path`.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Makes a rename in the file's folder durable, if the system supports that.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_state_reads_back_byte_for_byte_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(read(&path).unwrap(), None);
        let file = StateFile::new(path.clone());
        for state in ["{}", "{ \"b\": 1,\n \"a\": \"é\"}"] {
            file.write(state).unwrap();
            assert_eq!(read(&path).unwrap().as_deref(), Some(state));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_state_is_one_line_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for damaged in [&b"{\"a\":"[..], b"", b"\xff{}", b"{} {}"] {
            fs::write(&path, damaged).unwrap();
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains(&path.display().to_string()), "{text}");
            assert!(text.contains("fivetran_source reset"), "{text}");
            assert!(text.contains("--full-refresh"), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
