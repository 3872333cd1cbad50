//! A row becomes the bytes of a `Record`, straight from its page's text.
//!
//! The same as the generated messages would give, with the columns in the order of their names; a test
//! holds the one against the other.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::{
    rows::{Row, ValueRef},
    sync::SelectedTable,
};

/// `Record.table_name`, `Record.data`; and what a map's entry has.
const TABLE_NAME: u32 = 2;
const DATA: u32 = 4;
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// Writes upserts of one table.
#[derive(Debug)]
pub(super) struct RecordWriter {
    pub(super) table: &'static str,
    /// What every record begins with.
    head: Vec<u8>,
    /// By name.
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    position: usize,
    /// What an entry begins with: tag, room for its length, its key, its value's tag, room for that one's
    /// length.
    begin: Vec<u8>,
    /// The entry when the value is null.
    null: Vec<u8>,
}

impl RecordWriter {
    pub(super) fn new(selected: &SelectedTable) -> Self {
        let table = selected.table;
        let mut head = Vec::new();
        put_bytes(TABLE_NAME, table.name.as_bytes(), &mut head);
        let mut positions: Vec<usize> = (0..table.columns.len())
            .filter(|position| selected.columns.get(*position) == Some(&true))
            .collect();
        positions.sort_unstable_by_key(|position| table.columns[*position].name);
        let columns = positions.into_iter().map(|position| {
            let mut begin = Vec::new();
            put_key(DATA, &mut begin);
            begin.push(0);
            put_bytes(KEY, table.columns[position].name.as_bytes(), &mut begin);
            put_key(VALUE, &mut begin);
            begin.push(0);
            let mut null = Vec::new();
            put_entry(&begin, &Inner::of(ValueRef::Null), &mut null);
            Column {
                position,
                begin,
                null,
            }
        });
        Self {
            table: table.name,
            head,
            columns: columns.collect(),
        }
    }

    /// Appends the record for a row, without tag and length.
    pub(super) fn write(&self, row: &Row, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.head);
        let values = row.by_position();
        for column in &self.columns {
            match values(column.position) {
                ValueRef::Null => buffer.extend_from_slice(&column.null),
                value => put_entry(&column.begin, &Inner::of(value), buffer),
            }
        }
    }
}

/// Tag, length, bytes.
pub(super) fn put_bytes(tag: u32, bytes: &[u8], buffer: &mut Vec<u8>) {
    put_key(tag, buffer);
    put_len(bytes.len(), buffer);
    buffer.extend_from_slice(bytes);
}

/// Tag, length, and what `write` appends. The length is not known before: room is left for two bytes,
/// which most records need.
pub(super) fn put_with(tag: u32, buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    const ROOM: usize = 2;
    put_key(tag, buffer);
    let at = buffer.len();
    buffer.extend_from_slice(&[0; ROOM]);
    write(buffer);
    let len = (buffer.len() - at - ROOM) as u64;
    if encoded_len_varint(len) == ROOM {
        encode_varint(len, &mut &mut buffer[at..at + ROOM]);
    } else {
        let mut prefix = Vec::with_capacity(10);
        encode_varint(len, &mut prefix);
        buffer.splice(at..at + ROOM, prefix);
    }
}

/// The key of a field with a length; every tag of these messages is below 16, which makes it one byte.
fn put_key(tag: u32, buffer: &mut Vec<u8>) {
    match u8::try_from(tag) {
        Ok(tag @ 1..16) => buffer.push(tag << 3 | WireType::LengthDelimited as u8),
        _ => encode_key(tag, WireType::LengthDelimited, buffer),
    }
}

/// Most lengths are one byte.
fn put_len(len: usize, buffer: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(len @ 0..128) => buffer.push(len),
        _ => encode_varint(len as u64, buffer),
    }
}

/// An entry of the map; see [`Column::begin`].
fn put_entry(begin: &[u8], value: &Inner<'_>, buffer: &mut Vec<u8>) {
    let value_len = value.len();
    // Without tag and length, and without the value's length.
    let key_len = begin.len() - 3;
    let short_len = u8::try_from(key_len + 1 + value_len).unwrap_or(u8::MAX);
    if short_len < 128 {
        // Both lengths are one byte.
        let start = buffer.len();
        buffer.extend_from_slice(begin);
        buffer[start + 1] = short_len;
        if let (Some(last), Ok(len)) = (buffer.last_mut(), u8::try_from(value_len)) {
            *last = len;
        }
    } else {
        put_key(DATA, buffer);
        let len = encoded_len_varint(value_len as u64);
        put_len(key_len + len + value_len, buffer);
        buffer.extend_from_slice(&begin[2..2 + key_len]);
        put_len(value_len, buffer);
    }
    value.put(buffer);
}

/// `ValueType.inner`: a few bytes, or a text behind its tag.
enum Inner<'a> {
    Short([u8; SHORT], usize),
    Text(u32, &'a str),
}

/// The longest of the short ones is an instant: tag, length, seconds and nanoseconds with their tags.
const SHORT: usize = 24;

impl<'a> Inner<'a> {
    fn of(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Self::varint(1, 1),
            ValueRef::Boolean(yes) => Self::varint(2, u64::from(yes)),
            // Two's complement, as protobuf has it.
            ValueRef::Long(number) => Self::varint(5, number.cast_unsigned()),
            ValueRef::Double(number) => Self::short(|mut buffer| {
                encode_key(7, WireType::SixtyFourBit, &mut buffer);
                let free = buffer.len();
                buffer[..8].copy_from_slice(&number.to_le_bytes());
                free - 8
            }),
            ValueRef::UtcDatetime(instant) => {
                Self::instant(instant.timestamp(), instant.timestamp_subsec_nanos())
            }
            ValueRef::String(text) => Self::Text(13, text),
            ValueRef::Json(text) => Self::Text(14, text),
        }
    }

    /// `write` fills the buffer from its beginning and says how much is free then.
    fn short(write: impl FnOnce(&mut [u8]) -> usize) -> Self {
        let mut bytes = [0; SHORT];
        let free = write(&mut bytes);
        Self::Short(bytes, SHORT - free)
    }

    fn varint(tag: u32, number: u64) -> Self {
        Self::short(|mut buffer| {
            encode_key(tag, WireType::Varint, &mut buffer);
            encode_varint(number, &mut buffer);
            buffer.len()
        })
    }

    /// A timestamp, whose fields are left out when they are zero.
    fn instant(seconds: i64, nanos: u32) -> Self {
        let seconds = seconds.cast_unsigned();
        let field = |number: u64| match number {
            0 => 0,
            number => 1 + encoded_len_varint(number),
        };
        Self::short(|mut buffer| {
            encode_key(10, WireType::LengthDelimited, &mut buffer);
            encode_varint((field(seconds) + field(nanos.into())) as u64, &mut buffer);
            for (tag, number) in [(1, seconds), (2, u64::from(nanos))] {
                if number != 0 {
                    encode_key(tag, WireType::Varint, &mut buffer);
                    encode_varint(number, &mut buffer);
                }
            }
            buffer.len()
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Short(_, len) => *len,
            Self::Text(tag, text) => {
                key_len(*tag) + encoded_len_varint(text.len() as u64) + text.len()
            }
        }
    }

    fn put(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Short(bytes, len) => buffer.extend_from_slice(&bytes[..*len]),
            Self::Text(tag, text) => put_bytes(*tag, text.as_bytes(), buffer),
        }
    }
}
