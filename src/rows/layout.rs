//! The paths to the values of a table in its objects: computed once, used for every page.

use std::collections::HashMap;

use twox_hash::XxHash3_64;

use super::{context::Context, field_path::FieldPath};
use crate::tables::{ColumnType, Source, Table};

/// The numbered paths to a table's values. A number is a *slot*: each row stores one span of the page per slot,
/// in the order of the slots.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: &'static Table,
    pub(super) columns: Vec<ColumnPlan>,
    /// The number of slots.
    pub(super) slots: usize,
    /// The flattened object, if any, and the field name of each slot.
    names: Vec<(Option<&'static str>, &'static str)>,
    /// The slot of the key.
    pub(super) id: usize,
    fields: HashMap<&'static str, Field>,
    /// Fields that are flattened into columns of their own.
    pub(super) objects: Vec<ObjectPlan>,
    /// The value of the workspace column.
    pub(super) workspace_id: Option<String>,
}

/// The role of a field of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A value for this slot.
    Slot(usize),
    /// One of [`Layout::objects`].
    Object(usize),
    /// A field that is not kept.
    LeftOut,
}

/// A field that is flattened.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    pub(super) name: &'static str,
    slots: HashMap<&'static str, usize>,
}

/// The source of a column's value.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) kind: ColumnType,
    pub(super) from: ValueSource,
    /// The hash of the column's name in fingerprints; `None` if the column does not count.
    pub(super) hash: Option<u64>,
}

#[derive(Debug)]
pub(super) enum ValueSource {
    /// The first of these paths that has a value.
    Paths(Vec<JsonPath>),
    Workspace,
    Unmapped,
}

/// A possible path to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonPath {
    Slot(usize),
    /// A field of the first element of the list in a slot.
    FirstElement(usize, &'static str),
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
                    Source::Json(paths) => {
                        ValueSource::Paths(paths.iter().map(|path| slots.at(path)).collect())
                    }
                    Source::Workspace => ValueSource::Workspace,
                    Source::Unmapped => ValueSource::Unmapped,
                },
                hash: (!column.volatile).then(|| XxHash3_64::oneshot(column.name.as_bytes())),
            })
            .collect();
        for field in table.dropped_fields {
            slots.leave_out(field);
        }
        let id = match columns.first().map(|column| &column.from) {
            Some(ValueSource::Paths(paths)) => match paths.first() {
                Some(JsonPath::Slot(slot)) => *slot,
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

    /// Returns the flattened object, if any, and the field name of a slot.
    pub(super) fn name(&self, slot: usize) -> (Option<&'static str>, &'static str) {
        self.names[slot]
    }

    /// Returns the role of the field called `name`, or `None` if the table does not use the field.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        self.fields.get(name).copied()
    }
}

impl ObjectPlan {
    /// Returns the slot of a field, or `None` if no column uses the field.
    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        self.slots.get(name).copied()
    }

    /// The slots of all fields of the object.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.values().copied()
    }
}

/// Assigns numbers to paths.
#[derive(Default)]
struct Slots {
    names: Vec<(Option<&'static str>, &'static str)>,
    fields: HashMap<&'static str, Field>,
    objects: Vec<ObjectPlan>,
}

impl Slots {
    fn at(&mut self, path: &'static str) -> JsonPath {
        match FieldPath::parse(path) {
            FieldPath::Field(name) => JsonPath::Slot(self.field(name)),
            FieldPath::FirstElement(list, field) => JsonPath::FirstElement(self.field(list), field),
            FieldPath::Nested(object, field) => JsonPath::Slot(self.nested(object, field)),
        }
    }

    /// Returns the slot of a top-level field. The catalogue's checks ensure that no field is both a value and
    /// flattened.
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
