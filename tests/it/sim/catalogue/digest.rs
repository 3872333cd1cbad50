//! The digest of a history: its requests, responses and operations, without sentences for people.
//!
//! Two builds whose digests of the same seeds are equal behave the same: each request, row, delete and saved state of
//! one is that of the other. `SIM_DIGESTS=FILE` writes them to a file, one line a seed, which `diff` compares.

use std::{collections::BTreeMap, env, fs};

use twox_hash::XxHash3_64;

/// What every line of a story begins with: a time of 21 characters, and a space.
const TIME: usize = 22;

/// Digests by seed, where they are wanted.
pub(super) type Digests = BTreeMap<u64, u64>;

/// Returns the file that digests are written to.
pub(super) fn file() -> Option<String> {
    env::var("SIM_DIGESTS").ok()
}

/// Returns the digest of a story.
pub(super) fn of(story: &[String]) -> u64 {
    let mut hasher = XxHash3_64::default();
    for line in story.iter().filter(|line| is_behaviour(line)) {
        std::hash::Hasher::write(&mut hasher, line.as_bytes());
    }
    std::hash::Hasher::finish(&hasher)
}

/// Returns true for a request with its response, and for an operation.
fn is_behaviour(line: &str) -> bool {
    let text = line.get(TIME..).unwrap_or_default();
    let is_operation = ["upsert", "delete", "truncate", "checkpoint"]
        .iter()
        .any(|name| {
            text.strip_prefix("  > ")
                .is_some_and(|rest| rest.starts_with(name))
        });
    is_operation || text.starts_with("  /")
}

/// Writes digests, in the order of their seeds.
pub(super) fn write(file: &str, digests: &Digests) {
    let lines: Vec<String> = digests
        .iter()
        .map(|(seed, digest)| format!("{seed} {digest:016x}\n"))
        .collect();
    fs::write(file, lines.concat()).expect("digests are written");
}
