//! Where the values of a table's columns stand in its objects: computed once, read by every page.

use std::collections::HashMap;

use twox_hash::XxHash3_64;

use super::{Context, reference::Place};
use crate::tables::{Kind, Source, Table};

/// The table's places, numbered. A number is a *slot*: each row keeps where its value stands in the
/// page, one slot after the other.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: &'static Table,
    pub(super) columns: Vec<ColumnPlan>,
    /// How many slots there are.
    pub(super) slots: usize,
    /// For each slot the flattened object it belongs to, and the field's name.
    names: Vec<(Option<&'static str>, &'static str)>,
    /// The slot of the key.
    pub(super) id: usize,
    fields: HashMap<&'static str, Field>,
    /// Fields that are flattened into columns of their own.
    pub(super) objects: Vec<ObjectPlan>,
    /// What stands in the column of the workspace.
    pub(super) workspace_id: Option<String>,
}

/// What a field of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A value for this slot.
    Slot(usize),
    /// One of [`Layout::objects`].
    Object(usize),
    /// Not kept.
    LeftOut,
}

/// A field that is flattened.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    pub(super) name: &'static str,
    slots: HashMap<&'static str, usize>,
}

/// How a column gets its value.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) kind: Kind,
    pub(super) from: From,
    /// Stands for the column's name in fingerprints; `None` when the column does not count.
    pub(super) hash: Option<u64>,
}

#[derive(Debug)]
pub(super) enum From {
    /// The first of these that holds something.
    Places(Vec<At>),
    Workspace,
    Unmapped,
}

/// Where a value may stand.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Slot(usize),
    /// A field of the first element of the list in a slot.
    OfFirst(usize, &'static str),
}

impl Layout {
    pub(super) fn new(table: &'static Table, context: &Context) -> Self {
        let mut slots = Slots::default();
        let columns: Vec<ColumnPlan> = table
            .columns
            .iter()
            .map(|column| ColumnPlan {
                kind: column.kind,
                from: match column.source {
                    Source::Json(places) => {
                        From::Places(places.iter().map(|place| slots.at(place)).collect())
                    }
                    Source::Workspace => From::Workspace,
                    Source::Unmapped => From::Unmapped,
                },
                hash: (!column.volatile).then(|| XxHash3_64::oneshot(column.name.as_bytes())),
            })
            .collect();
        for field in table.left_out {
            slots.leave_out(field);
        }
        let id = match columns.first().map(|column| &column.from) {
            Some(From::Places(places)) => match places.first() {
                Some(At::Slot(slot)) => *slot,
                _ => usize::MAX,
            },
            _ => usize::MAX,
        };
        Self {
            table,
            columns,
            slots: slots.names.len(),
            names: slots.names,
            id,
            fields: slots.fields,
            objects: slots.objects,
            workspace_id: context.workspace_id.clone(),
        }
    }

    /// The flattened object that a slot belongs to, and the field's name.
    pub(super) fn name(&self, slot: usize) -> (Option<&'static str>, &'static str) {
        self.names[slot]
    }

    /// What the field called `name` is; `None` when no column knows it.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        self.fields.get(name).copied()
    }
}

impl ObjectPlan {
    /// The slot of a field; `None` when no column knows it.
    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        self.slots.get(name).copied()
    }

    /// All its slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.values().copied()
    }
}

/// Numbers places.
#[derive(Default)]
struct Slots {
    names: Vec<(Option<&'static str>, &'static str)>,
    fields: HashMap<&'static str, Field>,
    objects: Vec<ObjectPlan>,
}

impl Slots {
    fn at(&mut self, place: &'static str) -> At {
        match Place::parse(place) {
            Place::Field(name) => At::Slot(self.field(name)),
            Place::OfFirst(list, field) => At::OfFirst(self.field(list), field),
            Place::Nested(object, field) => At::Slot(self.nested(object, field)),
        }
    }

    /// No field is a value for one column and flattened for another (the catalogue's checks).
    fn field(&mut self, name: &'static str) -> usize {
        if let Some(Field::Slot(slot)) = self.fields.get(name) {
            return *slot;
        }
        let slot = self.next(None, name);
        self.fields.insert(name, Field::Slot(slot));
        slot
    }

    fn leave_out(&mut self, name: &'static str) {
        self.fields.insert(name, Field::LeftOut);
    }

    fn nested(&mut self, object: &'static str, field: &'static str) -> usize {
        let index = self.object(object);
        if let Some(slot) = self.objects[index].slots.get(field) {
            return *slot;
        }
        let slot = self.next(Some(object), field);
        self.objects[index].slots.insert(field, slot);
        slot
    }

    fn object(&mut self, name: &'static str) -> usize {
        if let Some(Field::Object(index)) = self.fields.get(name) {
            return *index;
        }
        let index = self.objects.len();
        self.objects.push(ObjectPlan {
            name,
            slots: HashMap::new(),
        });
        self.fields.insert(name, Field::Object(index));
        index
    }

    fn next(&mut self, object: Option<&'static str>, name: &'static str) -> usize {
        self.names.push((object, name));
        self.names.len() - 1
    }
}
