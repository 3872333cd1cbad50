use crate::{
    id::{Id, Ids},
    table::{Nulls, Page, Row, SortKey, Table},
};

#[derive(Debug, Clone)]
struct Thing(Id, Option<i64>);

impl Row for Thing {
    type Column = ();
    fn id(&self) -> Id {
        self.0
    }
    fn key(&self, (): (), nulls: Nulls) -> SortKey {
        match (self.1, nulls) {
            (Some(n), _) => SortKey::Time(n),
            (None, Nulls::Lowest) => SortKey::Lowest,
            (None, Nulls::Highest) => SortKey::Highest,
        }
    }
}

fn page(descending: bool, offset: usize, limit: usize, tie_seed: Option<u64>) -> Page<()> {
    Page {
        column: (),
        descending,
        from: None,
        to: None,
        offset,
        limit,
        tie_seed,
    }
}

fn filled(nulls: Nulls) -> Table<Thing> {
    let mut ids = Ids::new(1, false);
    let mut table = Table::new(nulls);
    for n in 0..100 {
        table.insert(Thing(ids.random(), (n % 7 != 0).then_some(n % 10)));
    }
    table
}

fn keys(rows: &[&Thing]) -> Vec<Option<i64>> {
    rows.iter().map(|row| row.1).collect()
}

#[test]
fn pages_agree_with_sorting_everything_in_both_directions_and_null_places() {
    for nulls in [Nulls::Lowest, Nulls::Highest] {
        for descending in [false, true] {
            let mut table = filled(nulls);
            let mut all: Vec<SortKey> = table.iter().map(|row| row.key((), nulls)).collect();
            all.sort();
            if descending {
                all.reverse();
            }
            for offset in [0, 1, 9, 10, 50, 99, 100, 1000] {
                let got: Vec<SortKey> = table
                    .select(&page(descending, offset, 13, Some(5)), None)
                    .iter()
                    .map(|row| row.key((), nulls))
                    .collect();
                let expected: Vec<SortKey> = all.iter().skip(offset).take(13).cloned().collect();
                assert_eq!(got, expected, "{nulls:?} {descending} {offset}");
                let keep = |row: &Thing| row.1.is_none_or(|n| n > 3);
                let kept = table
                    .select(&page(descending, offset, 13, Some(5)), Some(&keep))
                    .len();
                assert_eq!(
                    kept,
                    table
                        .iter()
                        .filter(|r| keep(r))
                        .count()
                        .saturating_sub(offset)
                        .min(13)
                );
            }
        }
    }
}

#[test]
fn one_seed_pages_without_loss_and_two_seeds_order_ties_differently() {
    let mut table = filled(Nulls::Lowest);
    let read = |table: &mut Table<Thing>, seed| -> Vec<Id> {
        (0..10)
            .flat_map(|n| {
                table
                    .select(&page(false, n * 10, 10, Some(seed)), None)
                    .iter()
                    .map(|r| r.0)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let first = read(&mut table, 1);
    let mut unique = first.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 100);
    assert_ne!(first, read(&mut table, 2));
    let whole: Vec<Id> = table
        .select(&page(false, 0, 100, Some(1)), None)
        .iter()
        .map(|r| r.0)
        .collect();
    assert_eq!(first, whole);
}

#[test]
fn the_order_follows_inserts_updates_and_removals() {
    let mut table = filled(Nulls::Lowest);
    table.select(&page(false, 0, 1, None), None);
    let last = table.select(&page(true, 0, 1, None), None)[0].0;
    table.update(last, |row| row.1 = Some(-5));
    let absent = table.iter().find(|row| row.1.is_none()).unwrap().0;
    table.remove(absent);
    table.insert(Thing(Ids::new(99, false).random(), Some(1_000)));
    let got = keys(&table.select(&page(false, 0, 200, None), None));
    let mut expected: Vec<Option<i64>> = table.iter().map(|row| row.1).collect();
    expected.sort();
    assert_eq!(got, expected);
    assert_eq!(got.len(), 100);
    assert_eq!(got.last(), Some(&Some(1_000)));
}

#[test]
fn bounds_are_inclusive() {
    let mut table = filled(Nulls::Lowest);
    let mut page = page(false, 0, 200, None);
    (page.from, page.to) = (Some(SortKey::Time(3)), Some(SortKey::Time(5)));
    let got = keys(&table.select(&page, None));
    assert_eq!(
        got.len(),
        table
            .iter()
            .filter(|r| r.1.is_some_and(|n| (3..=5).contains(&n)))
            .count()
    );
    assert_eq!((got.first(), got.last()), (Some(&Some(3)), Some(&Some(5))));
}
