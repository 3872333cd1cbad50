//! The digest of a history: its requests, responses and operations, without messages for people.
//!
//! Two builds whose digests of the same seeds are equal behave the same: they send the same requests, rows, deletes and
//! saved states. `SIM_DIGESTS=FILE` writes the digests to a file, one line a seed, which `diff` compares.

use std::{collections::BTreeMap, env, fs};

use twox_hash::XxHash3_64;

/// The length of the start of every log line: a time of 21 characters, and a space.
const TIME: usize = 22;

/// The digests by seed, if they are wanted.
pub(super) type Digests = BTreeMap<u64, u64>;

/// Returns the file that digests are written to.
pub(super) fn file() -> Option<String> {
    env::var("SIM_DIGESTS").ok()
}

/// Returns the digest of a history's log.
pub(super) fn compute(story: &[String]) -> u64 {
    let mut hasher = XxHash3_64::default();
    for line in story.iter().filter(|line| is_behaviour(line)) {
        std::hash::Hasher::write(&mut hasher, line.as_bytes());
    }
    std::hash::Hasher::finish(&hasher)
}

/// Returns true for a line with a request and its response, or with an operation.
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
