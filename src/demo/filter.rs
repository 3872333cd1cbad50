//! Filters: a schema as data, and a tree of tests, which any row can be put to.

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
    /// The value at this place, its keys joined by slashes.
    Value(&'static str),
}

/// What a row has there.
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
    /// Its value in a column; a column it does not have reads as null.
    fn cell(&self, field: Field) -> Cell<'_>;
}

/// What a filter key takes.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// `any_`: ids.
    AnyIds,
    /// `not_any_`: ids.
    NotIds,
    /// `any_`: texts; for tags, one of them.
    AnyTexts,
    /// `not_any_`: texts.
    NotTexts,
    /// `all_`: tags.
    AllTexts,
    /// `any_`: state types.
    AnyStates,
    /// `not_any_`: state types.
    NotStates,
    /// `like_`: a part of the text, in any case.
    Like,
    /// `after_`: from this time on.
    After,
    /// `before_`: up to this time.
    Before,
    /// `is_null_`.
    IsNull,
    /// `exists_`: the opposite of `is_null_`.
    Exists,
    /// `eq_`.
    Eq,
    /// `ge_`: from this number on.
    AtLeast,
    /// `le_`: up to this number.
    AtMost,
    /// `startswith_`: one of these beginnings, in any case.
    StartsWith,
    /// `prefix`: one of these beginnings.
    Prefixes,
    /// `exclude_prefix`: none of these beginnings.
    NotPrefixes,
    /// `any_`: some of these words.
    AnyWords(&'static [&'static str]),
    /// `not_any_`: some of these words.
    NotWords(&'static [&'static str]),
    /// One of these words, which tests nothing.
    Word(&'static [&'static str]),
    /// `operator`.
    Operator,
    /// An object of more keys.
    Group(&'static [Key]),
}

/// A filter key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The column it is about, for the keys inside it.
    pub field: Option<Field>,
    /// What it takes.
    pub arg: Arg,
}

/// A filter that was read.
#[derive(Debug, Clone)]
pub enum Clause {
    /// Every one must hold.
    All(Vec<Clause>),
    /// One must hold.
    Any(Vec<Clause>),
    /// The column must pass.
    Test(Field, Test),
}

/// A test of one column. Null passes none but `IsNull`.
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
    /// Already in lower case.
    StartsWith(Vec<String>),
    Prefixes(Vec<String>),
    NotPrefixes(Vec<String>),
}

impl Clause {
    /// Whether `row` passes.
    pub fn holds<R: Filtered>(&self, row: &R) -> bool {
        match self {
            Self::All(clauses) => clauses.iter().all(|clause| clause.holds(row)),
            // No condition at all is no restriction, whatever joins them.
            Self::Any(clauses) => {
                clauses.is_empty() || clauses.iter().any(|clause| clause.holds(row))
            }
            Self::Test(field, test) => test.passes(row.cell(*field)),
        }
    }

    /// The inclusive bounds that this filter certainly sets on a column of times.
    pub fn bounds(&self, wanted: Field) -> (Option<Time>, Option<Time>) {
        match self {
            Self::All(clauses) => clauses.iter().fold((None, None), |(low, high), clause| {
                let (from, to) = clause.bounds(wanted);
                // None is less than any time, so `max` is right for the lower bound only.
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

    /// Whether it lets everything pass.
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

    /// The same for a value whose column has no type: it is read as what the test is about.
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
