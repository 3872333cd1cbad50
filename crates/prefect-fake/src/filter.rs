//! Filters: a schema as data, and a tree of tests that applies to any row.

use std::collections::HashSet;

use serde_json::Value;

use super::{id::Id, model::Time, times};

/// A column that can be filtered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is Prefect's column of that name")]
pub enum Field {
    Id,
    Name,
    Tags,
    DeploymentId,
    FlowVersion,
    IdempotencyKey,
    WorkQueueName,
    StateType,
    StateName,
    StartTime,
    StartOrExpected,
    EndTime,
    ExpectedStartTime,
    NextScheduledStartTime,
    ParentTaskRunId,
    ParentFlowRunId,
    CreatedById,
    CreatedByType,
    Paused,
    ScheduleActive,
    /// The value at this path, whose keys are joined by slashes.
    Value(&'static str),
}

/// The value of a row in a column.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the kinds of value a column can have")]
pub enum Cell<'a> {
    Id(Option<Id>),
    Text(Option<&'a str>),
    Tags(&'a [String]),
    Time(Option<Time>),
    Flag(bool),
    Json(&'a Value),
}

/// A row that can be filtered.
pub trait Filtered {
    /// The value in a column; a column that the row does not have reads as null.
    fn cell(&self, field: Field) -> Cell<'_>;
}

/// The argument that a filter key takes.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// `any_`: ids.
    AnyIds,
    /// `not_any_`: ids.
    NotIds,
    /// `any_`: texts. A column of tags must contain at least one of them.
    AnyTexts,
    /// `not_any_`: texts.
    NotTexts,
    /// `all_`: tags.
    AllTexts,
    /// `any_`: state types.
    AnyStates,
    /// `not_any_`: state types.
    NotStates,
    /// `like_`: a part of the text, ignoring case.
    Like,
    /// `after_`: this time or later.
    After,
    /// `before_`: this time or earlier.
    Before,
    /// `is_null_`.
    IsNull,
    /// `exists_`: the opposite of `is_null_`.
    Exists,
    /// `eq_`.
    Eq,
    /// `ge_`: this number or more.
    AtLeast,
    /// `le_`: this number or less.
    AtMost,
    /// `startswith_`: one of these prefixes, ignoring case.
    StartsWith,
    /// `prefix`: one of these prefixes.
    Prefixes,
    /// `exclude_prefix`: none of these prefixes.
    NotPrefixes,
    /// `any_`: words from this list.
    AnyWords(&'static [&'static str]),
    /// `not_any_`: words from this list.
    NotWords(&'static [&'static str]),
    /// One word from this list. The key is accepted but tests nothing.
    Word(&'static [&'static str]),
    /// `operator`.
    Operator,
    /// An object with further keys.
    Group(&'static [Key]),
}

/// A filter key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name of the key.
    pub name: &'static str,
    /// The column that the key and the keys inside it test.
    pub field: Option<Field>,
    /// The argument that the key takes.
    pub arg: Arg,
}

/// A filter as parsed from a request.
#[derive(Debug, Clone)]
pub enum Clause {
    /// Every clause must hold.
    All(Vec<Clause>),
    /// At least one clause must hold; an empty list restricts nothing.
    Any(Vec<Clause>),
    /// The column must pass the test.
    Test(Field, Test),
}

/// A test of one column. Null passes only `IsNull`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named like the filter keys")]
pub enum Test {
    AnyIds(HashSet<Id>),
    NotIds(HashSet<Id>),
    AnyTexts(Vec<String>),
    NotTexts(Vec<String>),
    AllTexts(Vec<String>),
    Like(String),
    After(Time),
    Before(Time),
    IsNull(bool),
    Eq(bool),
    AtLeast(i64),
    AtMost(i64),
    /// The prefixes are in lower case.
    StartsWith(Vec<String>),
    Prefixes(Vec<String>),
    NotPrefixes(Vec<String>),
}

impl Clause {
    /// Returns true if `row` passes.
    pub fn holds<R: Filtered>(&self, row: &R) -> bool {
        match self {
            Self::All(clauses) => clauses.iter().all(|clause| clause.holds(row)),
            // A group without conditions restricts nothing, whichever operator joins them.
            Self::Any(clauses) => {
                clauses.is_empty() || clauses.iter().any(|clause| clause.holds(row))
            }
            Self::Test(field, test) => test.passes(row.cell(*field)),
        }
    }

    /// Returns the inclusive bounds that this filter is certain to set on a column of times.
    pub fn bounds(&self, wanted: Field) -> (Option<Time>, Option<Time>) {
        match self {
            Self::All(clauses) => clauses.iter().fold((None, None), |(low, high), clause| {
                let (from, to) = clause.bounds(wanted);
                // `None` compares less than any time, so `max` is right for the lower bound only.
                (low.max(from), [high, to].into_iter().flatten().min())
            }),
            Self::Any(clauses) => match clauses.as_slice() {
                [only] => only.bounds(wanted),
                _ => (None, None),
            },
            Self::Test(field, Test::After(time)) if *field == wanted => (Some(*time), None),
            Self::Test(field, Test::Before(time)) if *field == wanted => (None, Some(*time)),
            Self::Test(..) => (None, None),
        }
    }

    /// Returns true if every row passes.
    pub fn is_open(&self) -> bool {
        match self {
            Self::All(clauses) | Self::Any(clauses) => clauses.iter().all(Self::is_open),
            Self::Test(..) => false,
        }
    }
}

impl Test {
    fn passes(&self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::AnyIds(ids), Cell::Id(id)) => id.is_some_and(|id| ids.contains(&id)),
            (Self::NotIds(ids), Cell::Id(id)) => id.is_some_and(|id| !ids.contains(&id)),
            (Self::AnyTexts(texts), Cell::Text(text)) => {
                text.is_some_and(|text| texts.iter().any(|t| t == text))
            }
            (Self::NotTexts(texts), Cell::Text(text)) => {
                text.is_some_and(|text| texts.iter().all(|t| t != text))
            }
            (Self::AnyTexts(texts), Cell::Tags(tags)) => {
                texts.iter().any(|text| tags.contains(text))
            }
            (Self::AllTexts(texts), Cell::Tags(tags)) => {
                texts.iter().all(|text| tags.contains(text))
            }
            (Self::Like(part), Cell::Text(text)) => {
                text.is_some_and(|text| text.to_lowercase().contains(part))
            }
            (Self::After(bound), Cell::Time(time)) => time.is_some_and(|time| time >= *bound),
            (Self::Before(bound), Cell::Time(time)) => time.is_some_and(|time| time <= *bound),
            (Self::IsNull(null), Cell::Time(time)) => time.is_none() == *null,
            (Self::IsNull(null), Cell::Id(id)) => id.is_none() == *null,
            (Self::IsNull(null), Cell::Text(text)) => text.is_none() == *null,
            (Self::IsNull(null), Cell::Tags(tags)) => tags.is_empty() == *null,
            (Self::Eq(wanted), Cell::Flag(flag)) => *wanted == flag,
            (_, Cell::Json(value)) => self.passes_json(value),
            _ => false,
        }
    }

    /// Does the same for an untyped value, which is read as the type that the test expects.
    fn passes_json(&self, value: &Value) -> bool {
        let time = || Cell::Time(times::parse(value, false));
        match (self, value) {
            (Self::AnyIds(_) | Self::NotIds(_), _) => {
                self.passes(Cell::Id(value.as_str().and_then(Id::parse)))
            }
            (Self::After(_) | Self::Before(_), _) => self.passes(time()),
            (Self::IsNull(null), Value::Array(items)) => items.is_empty() == *null,
            (Self::IsNull(null), _) => value.is_null() == *null,
            (Self::Eq(wanted), Value::Bool(flag)) => wanted == flag,
            (Self::AtLeast(least), _) => value.as_i64().is_some_and(|n| n >= *least),
            (Self::AtMost(most), _) => value.as_i64().is_some_and(|n| n <= *most),
            (Self::AnyTexts(_) | Self::AllTexts(_), Value::Array(items)) => {
                let tags: Vec<String> = items.iter().filter_map(owned).collect();
                self.passes(Cell::Tags(&tags))
            }
            (Self::StartsWith(starts), Value::String(text)) => {
                let text = text.to_lowercase();
                starts.iter().any(|start| text.starts_with(start))
            }
            (Self::Prefixes(starts), Value::String(text)) => {
                starts.iter().any(|start| text.starts_with(start))
            }
            (Self::NotPrefixes(starts), Value::String(text)) => {
                !starts.iter().any(|start| text.starts_with(start))
            }
            (Self::AnyTexts(_) | Self::NotTexts(_) | Self::Like(_), Value::String(text)) => {
                self.passes(Cell::Text(Some(text)))
            }
            _ => false,
        }
    }
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
