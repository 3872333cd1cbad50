//! The fields of a list's first element.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use super::json_cursor::Cursor;

/// The fields of a list's first element, with the JSON of their values, in the order of the text.
#[derive(Default)]
pub(super) struct FirstElement<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> FirstElement<'a> {
    /// Reads the first element of a JSON value. Finds nothing if the value is not a list that begins with an object.
    pub(super) fn read(list: &'a str) -> Self {
        let fields = fast(list).or_else(|| any(list));
        Self(fields.unwrap_or_default())
    }

    /// Returns the JSON of a field, or `None` if the field is missing or null. The last of several fields counts.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        let mut fields = self.0.iter().rev();
        let (_, value) = fields.find(|(own, _)| own == name)?;
        (*value != "null").then_some(*value)
    }
}

/// The number of fields for which memory is reserved.
const USUAL_FIELDS: usize = 16;

/// Reads the first element of a list, which must be an object, and no other. Returns `None` if a name has an escape.
/// (The list is known to be JSON.)
fn fast(list: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut cursor = Cursor::new(list);
    cursor.expect(b'[')?;
    cursor.skip_whitespace();
    cursor.expect(b'{')?;
    cursor.skip_whitespace();
    let mut fields = Vec::with_capacity(USUAL_FIELDS);
    let mut is_over = cursor.accept(b'}');
    while !is_over {
        let name = cursor.plain_name()?;
        let name = list.get(name.start as usize..name.end as usize)?;
        let start = cursor.at();
        cursor.value()?;
        fields.push((Cow::Borrowed(name), list.get(start..cursor.at())?));
        is_over = cursor.is_object_over()?;
    }
    Some(fields)
}

/// Reads the first element of a list of any kind.
fn any(list: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let list: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    let fields: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(list.first()?.get()).ok()?;
    let fields = fields.into_iter();
    Some(fields.map(|(name, value)| (name, value.get())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_alike_in_both_ways() {
        for (list, is_fast) in [
            (r#"[{"a":1,"b":[{"a":2}],"c":null}, 7]"#, true),
            (r#"[ { "a" : {"b":"}"} , "a" : "\\" } ]"#, true),
            ("[{}]", true),
            (r#"[{"\u0061":1}]"#, false),
            ("[]", false),
            ("[7]", false),
            ("{}", false),
            ("7", false),
        ] {
            let both = [fast(list), any(list)].map(Option::unwrap_or_default);
            for name in ["a", "b", "c", "d"] {
                let [fast, any] = both.each_ref();
                let value = FirstElement(any.clone()).field(name);
                assert!(!is_fast || FirstElement(fast.clone()).field(name) == value);
                assert_eq!(FirstElement::read(list).field(name), value, "{list} {name}");
            }
            assert_eq!(fast(list).is_some(), is_fast, "{list}");
        }
        let first = FirstElement::read(r#"[{"a":null,"b":1}]"#);
        assert_eq!((first.field("a"), first.field("b")), (None, Some("1")));
    }
}
