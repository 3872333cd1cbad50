//! The lock of a local run's folder: one sync at a time uses its warehouse and its state.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use fs4::{FileExt, TryLockError};
use thiserror::Error;

/// The name of the locked file. The lock ends with the process, so the file may stay.
const FILE: &str = ".lock";

/// The exit code of a command that found its folder in use: `EX_TEMPFAIL` of `sysexits.h`, which asks the caller to try
/// again later.
pub(super) const IN_USE: u8 = 75;

/// Another process has locked the folder.
#[derive(Debug, Error)]
#[error("another sync is using {}; it was not disturbed, and nothing was changed", .0.display())]
pub(super) struct FolderInUse(PathBuf);

/// A locked folder. It is unlocked when the value is dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// `None` if the folder cannot be written, which the sync itself reports.
    _file: Option<File>,
}

impl FolderLock {
    /// Creates the folder if it does not exist, and locks it.
    ///
    /// # Errors
    ///
    /// At once if another process has locked it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, FolderInUse> {
        let Ok(file) = open(folder) else {
            return Ok(Self { _file: None });
        };
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(FolderInUse(folder.to_owned())),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(Self { _file: None }),
        }
    }
}

fn open(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_until_the_lock_is_dropped() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join("files");
        let lock = FolderLock::acquire(&folder).expect("a lock");
        let second = FolderLock::acquire(&folder);
        assert!(second.is_err(), "{second:?}");
        drop(lock);
        FolderLock::acquire(&folder).expect("a lock after the first one");
    }
}
