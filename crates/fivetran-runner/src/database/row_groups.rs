//! The row groups of a table, and the ones of them that can be merged.
//!
//! DuckDB stores a table in row groups of at most [`FULL`] rows. The rows after a checkpoint begin a new row group, which
//! takes at least 256 KiB of the file.

use std::ops::Range;

/// The number of rows of a full row group.
const FULL: u64 = 122_880;
/// The largest number of row groups that one of DuckDB's merges makes.
const MERGED: u64 = 3;

/// The smallest number of row groups that [`next_merge`] merges.
const MANY: usize = 8;
/// The largest number of rows that [`next_merge`] merges.
const MERGE_ROWS: u64 = FULL / 2;
/// The largest size of the rows that [`next_merge`] merges, in bytes.
const MERGE_BYTES: u64 = 64 << 20;
/// The estimated size of a value that is not a long text, in bytes.
const VALUE_BYTES: u64 = 16;

/// One row group of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowGroup {
    /// The number of rows, including deleted ones.
    pub(super) rows: u64,
    /// The size of its long texts, in bytes.
    pub(super) long_bytes: u64,
}

impl RowGroup {
    /// The approximate memory of its rows, in bytes.
    fn size(self, columns: u64) -> u64 {
        self.long_bytes + self.rows * columns * VALUE_BYTES
    }
}

/// The size of the long texts that one of DuckDB's own merges may read, in bytes.
///
/// DuckDB merges adjacent row groups if they fit into fewer ones.
pub(super) fn largest_own_merge(groups: &[RowGroup]) -> u64 {
    let windows = windows(groups, MERGED * FULL, u64::MAX, |group| group.long_bytes);
    let merged = windows.iter().filter(|window| {
        let fewer = window.range.len().saturating_sub(1) as u64;
        window.rows <= fewer * FULL
    });
    merged.map(|window| window.size).max().unwrap_or_default()
}

/// Returns the first adjacent row groups that are worth a merge: many small ones, of which the first is not larger than
/// the others together. So each row is merged only a few times.
pub(super) fn next_merge(groups: &[RowGroup], columns: u64) -> Option<Range<usize>> {
    let size = |group: RowGroup| group.size(columns);
    let windows = windows(groups, MERGE_ROWS, MERGE_BYTES, size);
    let worth = windows.into_iter().find(|window| {
        let first = groups.get(window.range.start).copied().map_or(0, size);
        window.range.len() >= MANY && first <= window.size - first
    });
    worth.map(|window| window.range)
}

/// Adjacent row groups.
#[derive(Debug, Clone)]
struct Window {
    range: Range<usize>,
    rows: u64,
    size: u64,
}

/// Returns for each row group the longest window that begins with it and has at most these rows and this size. The
/// window is empty if the row group itself has more.
fn windows(
    groups: &[RowGroup],
    max_rows: u64,
    max_size: u64,
    size: impl Fn(RowGroup) -> u64,
) -> Vec<Window> {
    let mut windows = Vec::with_capacity(groups.len());
    let (mut end, mut rows, mut bytes) = (0, 0, 0);
    for (start, first) in groups.iter().enumerate() {
        while let Some(next) = groups.get(end) {
            if rows + next.rows > max_rows || bytes + size(*next) > max_size {
                break;
            }
            (end, rows, bytes) = (end + 1, rows + next.rows, bytes + size(*next));
        }
        windows.push(Window {
            range: start..end,
            rows,
            size: bytes,
        });
        if end == start {
            end += 1;
        } else {
            (rows, bytes) = (rows - first.rows, bytes - size(*first));
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn groups(list: &[(u64, u64)]) -> Vec<RowGroup> {
        let group = |&(rows, long_bytes): &(u64, u64)| RowGroup { rows, long_bytes };
        list.iter().map(group).collect()
    }

    #[test]
    fn a_merge_by_duckdb_reads_the_long_texts_of_row_groups_that_fit_into_fewer() {
        assert_eq!(largest_own_merge(&[]), 0);
        // A single row group is not merged, and full ones are not either.
        assert_eq!(largest_own_merge(&groups(&[(2_000, 2_000 * MIB)])), 0);
        assert_eq!(largest_own_merge(&groups(&[(FULL, MIB), (FULL, MIB)])), 0);
        let small = groups(&[(64, 64 * MIB), (FULL, 0), (64, 64 * MIB), (FULL, MIB)]);
        assert_eq!(largest_own_merge(&small), 129 * MIB);
        // Rows far from each other are not merged at once.
        let part = (64, 64 * MIB);
        let far = groups(&[part, part, (FULL, 0), (FULL, 0), (FULL, 0), part]);
        assert_eq!(largest_own_merge(&far), 128 * MIB);
    }

    #[test]
    fn many_small_row_groups_are_merged() {
        assert_eq!(next_merge(&groups(&[(10, 0); 7]), 20), None);
        assert_eq!(next_merge(&groups(&[(10, 0); 8]), 20), Some(0..8));
        // A larger one joins when the others have grown to its size.
        let mut list = vec![(80, 0)];
        list.extend([(10, 0); 7]);
        assert_eq!(next_merge(&groups(&list), 20), None);
        list.push((10, 0));
        assert_eq!(next_merge(&groups(&list), 20), Some(0..9));
        list.insert(0, (FULL, 0));
        assert_eq!(next_merge(&groups(&list), 20), Some(1..10));
    }

    #[test]
    fn a_merge_is_limited_in_rows_and_in_bytes() {
        assert_eq!(next_merge(&groups(&[(64, 64 * MIB); 100]), 2), None);
        assert_eq!(next_merge(&groups(&[(5, 6 * MIB); 12]), 2), Some(0..10));
        assert_eq!(next_merge(&groups(&[(6_000, 0); 12]), 2), Some(0..10));
        // A row of 1,000 columns is larger.
        assert_eq!(next_merge(&groups(&[(400, 0); 12]), 1_000), Some(0..10));
    }
}
