//! The paths to the values of a table in its objects: computed once, used for every page.

use std::collections::HashMap;

use twox_hash::XxHash3_64;

use super::{context::Context, field_path::FieldPath};
use crate::tables::{Column, ColumnType, Source, Table};

/// The numbered paths to a table's values. A number is a *slot*: each row stores one span of the page per slot,
/// in the order of the slots.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: &'static Table,
    pub(super) columns: Vec<ColumnPlan>,
    /// The number of slots.
    pub(super) slots: usize,
    /// The number of slots that hold an instant.
    pub(super) instants: usize,
    /// True if each slot belongs to one column alone, so that a row can be known to be usual.
    is_simple: bool,
    /// The slots of each column that has several.
    alternatives: Vec<Vec<usize>>,
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
    Slot(Slot),
    /// One of [`Layout::objects`].
    Object(u16),
    /// A field that is not kept.
    LeftOut,
}

/// A slot and the type of its value, which is that of its column. (Its numbers are small, so that a field's role fits
/// into a register.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    number: u16,
    /// The number among the row's instants, if the value is one.
    instant: u16,
    pub(super) kind: ColumnType,
}

impl Slot {
    /// The number of the slot.
    #[inline]
    pub(super) fn number(self) -> usize {
        self.number.into()
    }

    /// Returns the number among the row's instants, if the value is one.
    #[inline]
    pub(super) fn instant(self) -> Option<u16> {
        (self.kind == ColumnType::UtcDatetime).then_some(self.instant)
    }
}

/// A field that is flattened.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    pub(super) name: &'static str,
    slots: HashMap<&'static str, Slot>,
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
    /// The value of a slot.
    Slot(Slot),
    /// The first of these paths that has a value.
    Paths(Vec<JsonPath>),
    Workspace,
    Unmapped,
}

/// A possible path to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonPath {
    Slot(Slot),
    /// A field of the first element of the list in a slot.
    FirstElement(usize, &'static str),
}

impl Layout {
    pub(super) fn new(table: &'static Table, context: &Context) -> Self {
        let mut slots = Slots {
            are_shared: table.columns.iter().any(has_elements),
            ..Slots::default()
        };
        let columns: Vec<ColumnPlan> = table
            .columns
            .iter()
            .map(|column| ColumnPlan {
                kind: column.kind,
                from: match column.source {
                    Source::Json(paths) => {
                        let paths: Vec<_> = paths
                            .iter()
                            .map(|path| slots.at(path, column.kind))
                            .collect();
                        match paths[..] {
                            [JsonPath::Slot(slot)] => ValueSource::Slot(slot),
                            _ => ValueSource::Paths(paths),
                        }
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
            Some(ValueSource::Slot(slot)) => slot.number(),
            _ => usize::MAX,
        };
        Self {
            table,
            slots: slots.names.len(),
            instants: slots.instants,
            is_simple: !slots.are_shared,
            alternatives: columns.iter().filter_map(alternatives).collect(),
            columns,
            names: slots.names,
            id,
            fields: slots.fields,
            objects: slots.objects,
            workspace_id: context.workspace_id.clone(),
        }
    }

    /// Returns true if no value of a row is left for `unmapped`, given that each value has its column's type and a
    /// column: the values that one column can have are equal.
    pub(super) fn takes_all<'a>(&self, value: impl Fn(usize) -> &'a [u8]) -> bool {
        let are_equal = |slots: &Vec<usize>| {
            let values = slots.iter().map(|slot| value(*slot));
            let mut values = values.filter(|value| !value.is_empty());
            let first = values.next();
            values.all(|value| Some(value) == first)
        };
        self.is_simple && self.alternatives.iter().all(are_equal)
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
    pub(super) fn slot(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied()
    }

    /// The slots of all fields of the object.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.values().copied()
    }
}

/// Returns true if a column can have a value of a list's first element.
fn has_elements(column: &Column) -> bool {
    let is_element = |path: &&str| matches!(FieldPath::parse(path), FieldPath::FirstElement(..));
    matches!(column.source, Source::Json(paths) if paths.iter().any(is_element))
}

/// Returns the slots of a column that has several.
fn alternatives(column: &ColumnPlan) -> Option<Vec<usize>> {
    let ValueSource::Paths(paths) = &column.from else {
        return None;
    };
    let slots = paths.iter().filter_map(|path| match path {
        JsonPath::Slot(slot) => Some(slot.number()),
        JsonPath::FirstElement(..) => None,
    });
    Some(slots.collect())
}

/// Assigns numbers to paths.
#[derive(Default)]
struct Slots {
    names: Vec<(Option<&'static str>, &'static str)>,
    fields: HashMap<&'static str, Field>,
    objects: Vec<ObjectPlan>,
    /// The number of slots that hold an instant.
    instants: usize,
    /// True if a slot belongs to several columns, or to the elements of a list.
    are_shared: bool,
}

impl Slots {
    /// Returns the path to a value of a column of type `kind`.
    fn at(&mut self, path: &'static str, kind: ColumnType) -> JsonPath {
        match FieldPath::parse(path) {
            FieldPath::Field(name) => JsonPath::Slot(self.field(name, kind)),
            FieldPath::FirstElement(list, field) => {
                let list = self.field(list, ColumnType::Json);
                JsonPath::FirstElement(list.number(), field)
            }
            FieldPath::Nested(object, field) => JsonPath::Slot(self.nested(object, field, kind)),
        }
    }

    /// Returns the slot of a top-level field. The catalogue's checks ensure that no field is both a value and
    /// flattened.
    fn field(&mut self, name: &'static str, kind: ColumnType) -> Slot {
        if let Some(Field::Slot(slot)) = self.fields.get(name) {
            self.are_shared = true;
            return *slot;
        }
        let slot = self.next((None, name), kind);
        self.fields.insert(name, Field::Slot(slot));
        slot
    }

    fn leave_out(&mut self, name: &'static str) {
        self.fields.insert(name, Field::LeftOut);
    }

    fn nested(&mut self, object: &'static str, field: &'static str, kind: ColumnType) -> Slot {
        let index = self.object(object);
        if let Some(slot) = self.objects[index].slots.get(field) {
            self.are_shared = true;
            return *slot;
        }
        let slot = self.next((Some(object), field), kind);
        self.objects[index].slots.insert(field, slot);
        slot
    }

    fn object(&mut self, name: &'static str) -> usize {
        if let Some(Field::Object(index)) = self.fields.get(name) {
            return (*index).into();
        }
        let index = self.objects.len();
        self.objects.push(ObjectPlan {
            name,
            slots: HashMap::new(),
        });
        self.fields.insert(name, Field::Object(small(index)));
        index
    }

    fn next(&mut self, name: (Option<&'static str>, &'static str), kind: ColumnType) -> Slot {
        self.names.push(name);
        let number = small(self.names.len() - 1);
        let instant = small(self.instants);
        let kind = match kind {
            ColumnType::UtcDatetime => {
                self.instants += 1;
                kind
            }
            // The types of the other values are not needed.
            _ if self.are_shared => ColumnType::Json,
            _ => kind,
        };
        Slot {
            number,
            instant,
            kind,
        }
    }
}

/// Returns a number of a slot, an instant or an object, of which a table has fewer than a hundred.
fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
