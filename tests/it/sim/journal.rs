//! What the source held and when: every version of every object, as a warehouse would hold it.

use std::collections::BTreeMap;

use fivetran_source::{
    demo::{Collection, Id, Store, model::Time, query},
    rows::{Context, PageReader, Row},
};

/// An object: its table and its id.
pub(super) type Key = (&'static str, String);

/// Everything that ever was at the source.
pub(super) struct Journal {
    pub(super) objects: BTreeMap<Key, Object>,
    /// Counts changes: two of them may share a moment, and a request stands between two of them.
    pub(super) clock: u64,
    readers: Vec<PageReader>,
}

/// An object's life.
#[derive(Default)]
pub(super) struct Object {
    pub(super) versions: Vec<Version>,
    pub(super) gone: Option<Gone>,
    /// Its disappearance is not promised to be noticed any more.
    pub(super) forgotten: bool,
}

/// An object between two changes.
pub(super) struct Version {
    /// The change that made it, by number and by the server's clock when others could see it.
    pub(super) number: u64,
    pub(super) at: Time,
    pub(super) row: Row,
    /// Of runs.
    pub(super) run: Option<RunFacts>,
    /// Decided at the first complete sync after it.
    pub(super) fate: Option<Fate>,
}

/// Whether a change is promised to be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Tracked,
    /// An edit that nobody looks for.
    Untracked,
    /// An end without any time, of a run that was not known as open: nobody can find it.
    Slipped,
}

/// What a run's promise depends on.
#[derive(Clone, Copy)]
pub(super) struct RunFacts {
    pub(super) open: bool,
    /// It had ended before, too: the change is an edit of an ended run.
    pub(super) edit: bool,
    pub(super) expected: Time,
    pub(super) end: Option<Time>,
}

/// An object's end.
#[derive(Clone, Copy)]
pub(super) struct Gone {
    pub(super) number: u64,
    pub(super) at: Time,
    /// By retention, which is no delete.
    pub(super) aged: bool,
}

/// The table of a collection.
pub(super) fn table_of(collection: Collection) -> &'static str {
    collection.name()
}

fn collection_of(table: &str) -> Collection {
    Collection::named(table).expect("a collection of the demo")
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            clock: 0,
            readers: crate::support::core_tables()
                .into_iter()
                .map(|table| PageReader::new(table, &Context::default()))
                .collect(),
        }
    }

    /// Notes that an object was created or changed; `at` is when others see it.
    pub(super) fn changed(&mut self, store: &Store, collection: Collection, id: Id, at: Time) {
        self.clock += 1;
        let table = table_of(collection);
        let Ok(text) = query::get(store, collection, id) else {
            panic!("{table} {id} was changed and is not there");
        };
        let reader = self
            .readers
            .iter()
            .find(|reader| reader.table().name == table)
            .expect("a table of the catalogue");
        let page = reader.read(format!("[{text}]"));
        let mut rows = page.expect("the demo speaks JSON").rows;
        let row = rows.pop().expect("the demo's objects become rows");
        let object = self.objects.entry((table, id.to_string())).or_default();
        let before = object.versions.last().and_then(|version| version.run);
        let run = (collection == Collection::FlowRuns).then(|| {
            let run = store.run(id).expect("just asked for");
            let open = !run.state.kind.is_terminal();
            RunFacts {
                open,
                edit: !open && before.is_some_and(|before| !before.open),
                expected: run.expected_start_time,
                end: run.end_time,
            }
        });
        object.versions.push(Version {
            number: self.clock,
            at,
            row,
            run,
            fate: None,
        });
    }

    /// Whether an object of a table was created after a change.
    pub(super) fn has_new(&self, table: &str, number: u64) -> bool {
        let mut objects = self.objects.iter().filter(|(key, _)| key.0 == table);
        objects.any(|(_, object)| object.versions[0].number > number)
    }

    /// Finds out which objects went away.
    pub(super) fn bury(&mut self, store: &Store, at: Time, aged: bool) -> Vec<Key> {
        self.clock += 1;
        let mut buried = Vec::new();
        for (key, object) in &mut self.objects {
            if object.gone.is_none() && !exists(store, key) {
                object.gone = Some(Gone {
                    number: self.clock,
                    at,
                    aged,
                });
                buried.push(key.clone());
            }
        }
        buried
    }
}

/// Whether the source has an object now.
pub(super) fn exists(store: &Store, (table, id): &Key) -> bool {
    let Some(id) = Id::parse(id) else {
        return false;
    };
    match collection_of(table) {
        Collection::Flows => store.flow(id).is_some(),
        Collection::FlowRuns => store.run(id).is_some(),
        Collection::Deployments => store.deployment(id).is_some(),
    }
}
