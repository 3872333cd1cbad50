//! State files, which are written atomically, and copied before they are replaced.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::Value;

pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Returns the version in a state.
pub(super) fn version_of(state: &str) -> Option<u64> {
    let state: Value = serde_json::from_str(state).ok()?;
    state.get("version")?.as_u64()
}

/// Copies a file into its folder, with the first free ending `.bak`, `.bak2`, and so on. Returns the copy's path.
pub(super) fn keep(file: &Path) -> anyhow::Result<PathBuf> {
    let beside = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut copy = beside(".bak");
    let mut number = 1;
    while copy.exists() {
        number += 1;
        copy = beside(&format!(".bak{number}"));
    }
    fs::copy(file, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// Writes a file atomically: at every moment either the old or the new file exists completely.
pub(super) fn write(path: &Path, state: &str) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let put = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(state.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}
