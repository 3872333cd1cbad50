//! Rows by id and in the order of any column, kept sorted while rows change.

use std::collections::HashMap;

use super::id::Id;

/// The value that rows are sorted by. `Lowest` and `Highest` represent null, which databases place differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// A null below every value.
    Lowest,
    /// Microseconds since 1970.
    Time(i64),
    /// Text, by its bytes.
    Text(String),
    /// An id.
    Id(Id),
    /// A null above every value.
    Highest,
}

/// The place of nulls in a database's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Below every value (`SQLite`).
    Lowest,
    /// Above every value (PostgreSQL).
    Highest,
}

impl Nulls {
    /// Returns the key of a time that may be null.
    pub fn time(self, time: Option<super::model::Time>) -> SortKey {
        time.map_or(self.null(), |time| SortKey::Time(time.timestamp_micros()))
    }

    /// Returns the key of a text that may be null.
    pub fn text(self, text: Option<String>) -> SortKey {
        text.map_or(self.null(), SortKey::Text)
    }

    const fn null(self) -> SortKey {
        match self {
            Self::Lowest => SortKey::Lowest,
            Self::Highest => SortKey::Highest,
        }
    }
}

/// An object in a [`Table`].
pub trait Row {
    /// The columns by which the row can be sorted.
    type Column: Copy + PartialEq + std::fmt::Debug;
    /// Returns the id.
    fn id(&self) -> Id;
    /// Returns the row's key in the order of `column`.
    fn key(&self, column: Self::Column, nulls: Nulls) -> SortKey;
}

/// A section of a sorted table.
#[derive(Debug, Clone)]
pub struct Page<C> {
    /// The column to sort by.
    pub column: C,
    /// True if the largest key comes first.
    pub descending: bool,
    /// The lowest key; rows outside the bounds are not read.
    pub from: Option<SortKey>,
    /// The highest key.
    pub to: Option<SortKey>,
    /// The number of rows to skip.
    pub offset: usize,
    /// The maximum number of rows.
    pub limit: usize,
    /// The seed that shuffles rows with equal keys; `None` leaves them in the order of their slots.
    pub tie_seed: Option<u64>,
}

/// The sorted row positions of one column.
#[derive(Debug, Clone)]
struct Index<C> {
    column: C,
    entries: Vec<(SortKey, usize)>,
}

/// Rows by id and in the order of any column.
#[derive(Debug, Clone)]
pub struct Table<R: Row> {
    rows: Vec<Option<R>>,
    free: Vec<usize>,
    slots: HashMap<Id, usize>,
    /// The indexes of the columns that were used for sorting so far.
    indexes: Vec<Index<R::Column>>,
    nulls: Nulls,
}

impl<R: Row> Table<R> {
    /// Creates an empty table.
    pub fn new(nulls: Nulls) -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            indexes: Vec::new(),
            nulls,
        }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns true if the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the row with this id.
    pub fn get(&self, id: Id) -> Option<&R> {
        self.rows.get(*self.slots.get(&id)?)?.as_ref()
    }

    /// Returns all rows, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.rows.iter().flatten()
    }

    /// Inserts a row, or replaces the one with its id.
    pub fn insert(&mut self, row: R) {
        self.remove(row.id());
        let slot = self.free.pop().unwrap_or(self.rows.len());
        for index in &mut self.indexes {
            let entry = (row.key(index.column, self.nulls), slot);
            let at = index.entries.partition_point(|other| *other < entry);
            index.entries.insert(at, entry);
        }
        self.slots.insert(row.id(), slot);
        if slot == self.rows.len() {
            self.rows.push(Some(row));
        } else if let Some(place) = self.rows.get_mut(slot) {
            *place = Some(row);
        }
    }

    /// Removes a row and returns it.
    pub fn remove(&mut self, id: Id) -> Option<R> {
        let slot = self.slots.remove(&id)?;
        let row = self.rows.get_mut(slot)?.take()?;
        for index in &mut self.indexes {
            let entry = (row.key(index.column, self.nulls), slot);
            if let Ok(at) = index.entries.binary_search(&entry) {
                index.entries.remove(at);
            }
        }
        self.free.push(slot);
        Some(row)
    }

    /// Changes a row in place; returns `None` if no row has this id. The change must keep the id.
    pub fn update<T>(&mut self, id: Id, change: impl FnOnce(&mut R) -> T) -> Option<T> {
        let slot = *self.slots.get(&id)?;
        let row = self.rows.get_mut(slot)?.as_mut()?;
        let before: Vec<SortKey> = self
            .indexes
            .iter()
            .map(|i| row.key(i.column, self.nulls))
            .collect();
        let result = change(row);
        for (index, before) in self.indexes.iter_mut().zip(before) {
            let after = row.key(index.column, self.nulls);
            if after == before {
                continue;
            }
            if let Ok(at) = index.entries.binary_search(&(before, slot)) {
                index.entries.remove(at);
            }
            let entry = (after, slot);
            let at = index.entries.partition_point(|other| *other < entry);
            index.entries.insert(at, entry);
        }
        Some(result)
    }

    fn ensure_index(&mut self, column: R::Column) -> usize {
        if let Some(at) = self.indexes.iter().position(|index| index.column == column) {
            return at;
        }
        let mut entries: Vec<(SortKey, usize)> = self
            .rows
            .iter()
            .enumerate()
            .filter_map(|(slot, row)| Some((row.as_ref()?.key(column, self.nulls), slot)))
            .collect();
        entries.sort_unstable();
        self.indexes.push(Index { column, entries });
        self.indexes.len() - 1
    }

    /// Returns the rows of a page for which `keep` is true, or all rows without `keep`.
    pub fn select(&mut self, page: &Page<R::Column>, keep: Option<&dyn Fn(&R) -> bool>) -> Vec<&R> {
        let at = self.ensure_index(page.column);
        let Some(index) = self.indexes.get(at) else {
            return Vec::new();
        };
        let low = page
            .from
            .as_ref()
            .map_or(0, |key| index.entries.partition_point(|e| e.0 < *key));
        let high = page.to.as_ref().map_or(index.entries.len(), |key| {
            index.entries.partition_point(|e| e.0 <= *key)
        });
        let entries = index.entries.get(low..high).unwrap_or_default();
        let mut picked = Picked {
            page,
            taken: Vec::new(),
            seen: 0,
        };
        let mut position = 0;
        if keep.is_none() {
            // No row is filtered out, so the group at the offset is found by a search instead of a scan.
            position = group_start(entries, page.offset, page.descending);
            picked.seen = position;
        }
        let mut group: Vec<usize> = Vec::new();
        let mut current: Option<&SortKey> = None;
        while let Some((key, slot)) = nth(entries, position, page.descending) {
            if current != Some(key) {
                picked.close(&mut group);
                if picked.full() {
                    break;
                }
                current = Some(key);
            }
            let wanted = keep.is_none_or(|keep| {
                self.rows
                    .get(*slot)
                    .and_then(Option::as_ref)
                    .is_some_and(keep)
            });
            if wanted {
                group.push(*slot);
            }
            position += 1;
        }
        picked.close(&mut group);
        picked
            .taken
            .iter()
            .filter_map(|slot| self.rows.get(*slot)?.as_ref())
            .collect()
    }
}

/// Returns the entry at `position`, in the page's direction.
fn nth(
    entries: &[(SortKey, usize)],
    position: usize,
    descending: bool,
) -> Option<&(SortKey, usize)> {
    if descending {
        entries
            .len()
            .checked_sub(position + 1)
            .and_then(|at| entries.get(at))
    } else {
        entries.get(position)
    }
}

/// Returns the position, in the page's direction, of the first entry with the same key as the one at `offset`.
fn group_start(entries: &[(SortKey, usize)], offset: usize, descending: bool) -> usize {
    let Some((key, _)) = nth(entries, offset, descending) else {
        return entries.len();
    };
    if descending {
        entries.len() - entries.partition_point(|other| other.0 <= *key)
    } else {
        entries.partition_point(|other| other.0 < *key)
    }
}

/// The rows taken for a page so far.
struct Picked<'a, C> {
    page: &'a Page<C>,
    taken: Vec<usize>,
    /// The number of wanted rows in the closed groups.
    seen: usize,
}

impl<C> Picked<'_, C> {
    fn full(&self) -> bool {
        self.seen >= self.page.offset.saturating_add(self.page.limit)
    }

    /// Closes a group of equal keys: orders its rows for the request and takes those that belong to the page.
    fn close(&mut self, group: &mut Vec<usize>) {
        let start = self.seen;
        self.seen += group.len();
        let skip = self.page.offset.saturating_sub(start);
        let take = self.page.limit - self.taken.len();
        if skip < group.len() && take > 0 {
            if let Some(seed) = self.page.tie_seed {
                shuffle(group, seed, skip.saturating_add(take));
            }
            self.taken.extend(group.iter().skip(skip).take(take));
        }
        group.clear();
    }
}

/// Puts the first `wanted` places of `group` in the order of a hash; the rest stays in any order.
fn shuffle(group: &mut [usize], seed: u64, wanted: usize) {
    let key = |slot: &usize| mix(seed ^ u64::try_from(*slot).unwrap_or(u64::MAX));
    if wanted < group.len() {
        group.select_nth_unstable_by_key(wanted, key);
    }
    let end = wanted.min(group.len());
    if let Some(first) = group.get_mut(..end) {
        first.sort_unstable_by_key(key);
    }
}

/// Returns a well-mixed number for any number (splitmix64).
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
