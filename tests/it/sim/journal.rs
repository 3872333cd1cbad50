//! The history of the source: every version of every object with its time, as a warehouse would store it.

use std::collections::BTreeMap;

use fivetran_source::rows::{Context, PageReader, Row};
use prefect_fake::{Collection, Id, Store, model::Time, query};

/// An object: its table and its id.
pub(super) type Key = (&'static str, String);

/// Every object that ever existed at the source.
pub(super) struct Journal {
    pub(super) objects: BTreeMap<Key, Object>,
    /// The number of the last change. Changes are numbered because two of them may share a time; a request falls
    /// between two numbers.
    pub(super) clock: u64,
    readers: Vec<PageReader>,
}

/// The versions of an object, and its disappearance.
#[derive(Default)]
pub(super) struct Object {
    pub(super) versions: Vec<Version>,
    pub(super) gone: Option<Gone>,
    /// True if the engine does not promise any more to notice that the object disappeared.
    pub(super) forgotten: bool,
    /// The last change before a rewind of a run that had ended by then. The warehouse may show it open again, but the
    /// engine does not know it as open.
    pub(super) rewound: Option<u64>,
}

/// An object as it was between two changes.
pub(super) struct Version {
    /// The number of the change that made this version; `at` is the server's time when others could see it.
    pub(super) number: u64,
    pub(super) at: Time,
    pub(super) row: Row,
    /// Set for flow runs only.
    pub(super) run: Option<RunFacts>,
    /// The guarantee, decided at the first complete sync after the change.
    pub(super) fate: Option<Fate>,
}

/// The guarantee for a change: noticed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Tracked,
    /// An edit that no reader looks for.
    Untracked,
    /// The end, without an end time, of a run that was not known as open: no reader can find it.
    Slipped,
}

/// The facts about a run on which its guarantee depends.
#[derive(Clone, Copy)]
pub(super) struct RunFacts {
    pub(super) open: bool,
    /// True if the run had ended before, too: the change is an edit of an ended run.
    pub(super) edit: bool,
    pub(super) expected: Time,
    pub(super) end: Option<Time>,
}

/// The disappearance of an object.
#[derive(Clone, Copy)]
pub(super) struct Gone {
    pub(super) number: u64,
    pub(super) at: Time,
    /// True if retention removed the object, which is not a delete.
    pub(super) aged: bool,
}

/// Returns the table of a collection.
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

    /// Records that an object was created or changed; `at` is the time from which others see it.
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

    /// Returns true if an object of a table was created after the change with this number.
    pub(super) fn has_new(&self, table: &str, number: u64) -> bool {
        let mut objects = self.objects.iter().filter(|(key, _)| key.0 == table);
        objects.any(|(_, object)| object.versions[0].number > number)
    }

    /// Records the objects that disappeared, and returns their keys.
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

/// Returns true if the source has an object now.
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
