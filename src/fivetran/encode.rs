//! Encoding of a row as the bytes of a `Record`, directly from the text of its page.
//!
//! The bytes are those of the generated messages, with the columns in the order of their names. A test compares
//! the two.

use chrono::{DateTime, Utc};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::{
    rows::{Row, ValueRef},
    sync::SelectedTable,
};

/// The field numbers of `Record.table_name`, of `Record.data`, and of the key and value of a map's entry.
const TABLE_NAME: u32 = 2;
const DATA: u32 = 4;
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// Writes upserts of one table.
#[derive(Debug)]
pub(super) struct RecordWriter {
    pub(super) table: &'static str,
    /// The first bytes of every record.
    head: Vec<u8>,
    /// The selected columns, in the order of their names.
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    position: usize,
    /// The first bytes of an entry. They are its tag, one byte for its length, its key, its value's tag, and one byte
    /// for the value's length.
    begin: Vec<u8>,
    /// The whole entry for the values null, false and true.
    null: Vec<u8>,
    no: Vec<u8>,
    yes: Vec<u8>,
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
            let short = |tag, number| {
                let mut entry = Vec::new();
                put_entry(&begin, &mut entry, |entry| put_varint(tag, number, entry));
                entry
            };
            Column {
                position,
                null: short(1, 1),
                no: short(2, 0),
                yes: short(2, 1),
                begin,
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
                ValueRef::Boolean(false) => buffer.extend_from_slice(&column.no),
                ValueRef::Boolean(true) => buffer.extend_from_slice(&column.yes),
                // Two's complement, as in protobuf.
                ValueRef::Long(number) => put_entry(&column.begin, buffer, |buffer| {
                    put_varint(5, number.cast_unsigned(), buffer);
                }),
                ValueRef::Double(number) => put_entry(&column.begin, buffer, |buffer| {
                    encode_key(7, WireType::SixtyFourBit, buffer);
                    buffer.extend_from_slice(&number.to_le_bytes());
                }),
                ValueRef::UtcDatetime(instant) => put_entry(&column.begin, buffer, |buffer| {
                    put_instant(instant, buffer);
                }),
                ValueRef::String(text) => put_text_entry(&column.begin, 13, text, buffer),
                ValueRef::Json(text) => put_text_entry(&column.begin, 14, text, buffer),
            }
        }
    }
}

/// Appends a tag, a length and bytes.
pub(super) fn put_bytes(tag: u32, bytes: &[u8], buffer: &mut Vec<u8>) {
    put_key(tag, buffer);
    put_len(bytes.len(), buffer);
    buffer.extend_from_slice(bytes);
}

/// Appends a tag, a length, and the bytes that `write` appends. The length is not known before, so two bytes are
/// reserved, which most records need.
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

/// Appends the key of a field with a length. The key is one byte, since every tag of these messages is below 16.
fn put_key(tag: u32, buffer: &mut Vec<u8>) {
    match u8::try_from(tag) {
        Ok(tag @ 1..16) => buffer.push(tag << 3 | WireType::LengthDelimited as u8),
        _ => encode_key(tag, WireType::LengthDelimited, buffer),
    }
}

/// Appends a length. Most lengths are one byte.
fn put_len(len: usize, buffer: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(len @ 0..128) => buffer.push(len),
        _ => encode_varint(len as u64, buffer),
    }
}

/// Appends a map entry whose value is the few bytes that `write` appends; see [`Column::begin`].
fn put_entry(begin: &[u8], buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(begin);
    let value = buffer.len();
    write(buffer);
    let end = buffer.len();
    let lengths = (
        // Without tag and length.
        u8::try_from(end - start - 2).unwrap_or(u8::MAX),
        u8::try_from(end - value).unwrap_or(u8::MAX),
    );
    if let (entry_len @ 0..128, value_len @ 0..128) = lengths {
        buffer[start + 1] = entry_len;
        buffer[value - 1] = value_len;
    } else {
        let bytes = buffer.split_off(value);
        buffer.truncate(start);
        put_long_entry(begin, bytes.len(), buffer);
        buffer.extend_from_slice(&bytes);
    }
}

/// Appends a map entry whose value is a text.
fn put_text_entry(begin: &[u8], tag: u32, text: &str, buffer: &mut Vec<u8>) {
    let value_len = key_len(tag) + encoded_len_varint(text.len() as u64) + text.len();
    let lengths = (
        u8::try_from(begin.len() - 2 + value_len).unwrap_or(u8::MAX),
        u8::try_from(value_len).unwrap_or(u8::MAX),
    );
    if let (entry_len @ 0..128, value_len @ 0..128) = lengths {
        let start = buffer.len();
        buffer.extend_from_slice(begin);
        buffer[start + 1] = entry_len;
        buffer[start + begin.len() - 1] = value_len;
    } else {
        put_long_entry(begin, value_len, buffer);
    }
    put_bytes(tag, text.as_bytes(), buffer);
}

/// Appends the first bytes of an entry whose value has `value_len` bytes, however long the value is.
fn put_long_entry(begin: &[u8], value_len: usize, buffer: &mut Vec<u8>) {
    // Without tag and length, and without the value's length.
    let key_len = begin.len() - 3;
    put_key(DATA, buffer);
    let len = encoded_len_varint(value_len as u64);
    put_len(key_len + len + value_len, buffer);
    buffer.extend_from_slice(&begin[2..2 + key_len]);
    put_len(value_len, buffer);
}

fn put_varint(tag: u32, number: u64, buffer: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, buffer);
    // Most seconds and fractions of a second have five bytes, which are written at once.
    if (1 << 28..1 << 35).contains(&number) {
        let part = |at: u32| (number >> (7 * at)).to_le_bytes()[0];
        let more = |at: u32| part(at) | 0x80;
        buffer.extend_from_slice(&[more(0), more(1), more(2), more(3), part(4)]);
        return;
    }
    encode_varint(number, buffer);
}

/// Appends a timestamp. Fields that are zero are omitted.
fn put_instant(instant: DateTime<Utc>, buffer: &mut Vec<u8>) {
    let seconds = instant.timestamp().cast_unsigned();
    let nanos = u64::from(instant.timestamp_subsec_nanos());
    let field = |number: u64| match number {
        0 => 0,
        number => 1 + encoded_len_varint(number),
    };
    put_key(10, buffer);
    put_len(field(seconds) + field(nanos), buffer);
    for (tag, number) in [(1, seconds), (2, nanos)] {
        if number != 0 {
            put_varint(tag, number, buffer);
        }
    }
}
