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

/// The reason for which a folder cannot be locked.
#[derive(Debug, Error)]
pub(super) enum LockError {
    /// Another process has the lock.
    #[error("another sync is using {}; it was not disturbed, and nothing was changed", .0.display())]
    InUse(PathBuf),
    /// The file cannot be created or locked.
    #[error("cannot lock {}: {source}. Check that the directory can be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// A locked folder. It is unlocked when the value is dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder if it does not exist, and locks it.
    ///
    /// # Errors
    ///
    /// At once if another process has locked it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        let open = || {
            fs::create_dir_all(folder)?;
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
        };
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let file = open().map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
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
        assert!(matches!(second, Err(LockError::InUse(_))), "{second:?}");
        drop(lock);
        FolderLock::acquire(&folder).expect("a lock after the first one");
    }
}
