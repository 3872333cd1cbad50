//! Paths to values in an object, as the tables name them.

/// A possible path to a value; see [`Source::Json`](crate::tables::Source::Json).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FieldPath<'a> {
    Field(&'a str),
    Nested(&'a str, &'a str),
    /// A field of a list's first element, as a convenience beside the column that holds the whole list.
    FirstElement(&'a str, &'a str),
}

impl<'a> FieldPath<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        match text.split_once('.') {
            None => Self::Field(text),
            Some((field, rest)) => match rest.strip_prefix("0.") {
                Some(inner) => Self::FirstElement(field, inner),
                None => Self::Nested(field, rest),
            },
        }
    }
}
