//! The saved progress of one table.

use std::{fmt, sync::OnceLock};

use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::value::{RawValue, to_raw_value};

use crate::sync::strategies::ReaderState;

/// The progress of a table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::sync) struct TableState {
    /// The columns that were sent, six characters each.
    columns: String,
    reader: ReaderState,
    #[serde(skip)]
    json: CachedJson,
}

impl TableState {
    pub(super) fn new(columns: String, reader: ReaderState) -> Self {
        Self {
            columns,
            reader,
            json: CachedJson::default(),
        }
    }

    /// The columns that were sent, six characters each.
    pub(in crate::sync) fn columns(&self) -> &str {
        &self.columns
    }

    pub(in crate::sync) fn reader(&self) -> &ReaderState {
        &self.reader
    }

    /// Returns the reader's state for a change.
    pub(in crate::sync) fn reader_mut(&mut self) -> &mut ReaderState {
        self.json = CachedJson::default();
        &mut self.reader
    }
}

/// Every checkpoint contains all tables, of which most have not changed: their JSON is kept.
impl Serialize for TableState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            columns: &'a str,
            reader: &'a ReaderState,
        }
        if let Some(json) = self.json.0.get() {
            return json.serialize(serializer);
        }
        let fields = Fields {
            columns: &self.columns,
            reader: &self.reader,
        };
        let json = to_raw_value(&fields).map_err(S::Error::custom)?;
        self.json.0.get_or_init(|| json).serialize(serializer)
    }
}

/// The JSON of a table's progress, once it was written. Not a part of the progress.
#[derive(Clone, Default)]
struct CachedJson(OnceLock<Box<RawValue>>);

impl PartialEq for CachedJson {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for CachedJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
