//! Error responses, worded as in each generation of Prefect.

use serde_json::{Value, json};

use super::versions::Dialect;

/// One step of the path to an invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathSegment {
    /// A key of an object.
    Key(String),
    /// An index in a list.
    At(usize),
}

/// The error in a part of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// An unknown key.
    Extra,
    /// A missing key.
    Missing,
    /// Text that is not an integer.
    NotInteger,
    /// A number with a fraction.
    Fraction,
    /// A value that is neither text nor a number.
    NotNumber,
    /// A number below zero.
    Negative,
    /// A number above this maximum.
    Above(i64),
    /// A value other than these.
    NotOneOf(Vec<&'static str>),
    /// Text that is not a UUID.
    NotId,
    /// A value that is not a list.
    NotList,
    /// A value that is not an object.
    NotObject,
    /// A value that is not text.
    NotText,
    /// A value that is not a boolean.
    NotFlag,
    /// A value that is not a time.
    NotTime,
}

/// An error and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// The error.
    pub problem: Problem,
    /// The path to the value, starting with `body`, `path` or `query`.
    pub place: Vec<PathSegment>,
    /// The invalid value.
    pub input: Value,
}

/// An error response.
#[derive(Debug, Clone, PartialEq)]
pub enum ErrorResponse {
    /// `{"detail": …}`.
    Detail(u16, String),
    /// `{"exception_message": …}`.
    Exception(u16, String),
    /// 422 with the errors and the request's body.
    Invalid(Vec<Issue>, Value),
    /// A body that is not JSON.
    Malformed(String),
}

impl ErrorResponse {
    /// 404 for an object that does not exist.
    pub fn not_found(noun: &str) -> Self {
        Self::Detail(404, format!("{noun} not found"))
    }

    /// 409 for a reference to an object that does not exist.
    pub fn conflict() -> Self {
        let text = "Data integrity conflict. This usually means a unique or foreign key constraint was violated. \
                    See server logs for details.";
        Self::Detail(409, text.to_owned())
    }

    /// 422 for one error.
    pub fn one(problem: Problem, place: Vec<PathSegment>, input: Value, body: Value) -> Self {
        Self::Invalid(
            vec![Issue {
                problem,
                place,
                input,
            }],
            body,
        )
    }

    /// Returns the status and the body.
    pub fn status_and_body(&self, dialect: Dialect) -> (u16, Value) {
        match self {
            Self::Detail(status, text) => (*status, json!({ "detail": text })),
            Self::Exception(status, text) => (*status, json!({ "exception_message": text })),
            Self::Invalid(issues, body) => {
                let details: Vec<Value> = issues.iter().map(|issue| issue.json(dialect)).collect();
                (422, invalid(&details, body))
            }
            Self::Malformed(text) => {
                let detail = match dialect {
                    Dialect::New => json!({
                        "type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error", "input": {},
                        "ctx": {"error": "Expecting value"},
                    }),
                    Dialect::Old => json!({
                        "loc": ["body", 1], "msg": "Expecting value: line 1 column 1 (char 0)",
                        "type": "value_error.jsondecode",
                        "ctx": {"msg": "Expecting value", "doc": text, "pos": 1, "lineno": 1, "colno": 2},
                    }),
                };
                (422, invalid(&[detail], &Value::from(text.as_str())))
            }
        }
    }
}

/// Returns the complete body of the response to an invalid request, which contains the request's body.
fn invalid(details: &[Value], body: &Value) -> Value {
    json!({ "exception_message": "Invalid request received.", "exception_detail": details, "request_body": body })
}

impl Issue {
    fn json(&self, dialect: Dialect) -> Value {
        let place: Vec<Value> = self
            .place
            .iter()
            .map(|step| match step {
                PathSegment::Key(key) => Value::from(key.as_str()),
                PathSegment::At(at) => Value::from(*at),
            })
            .collect();
        let (kind, message, context) = match dialect {
            Dialect::New => self.problem.new_words(&self.input),
            Dialect::Old => self.problem.old_words(&self.input),
        };
        let mut issue = json!({ "type": kind, "loc": place, "msg": message });
        if dialect == Dialect::New {
            issue["input"] = self.input.clone();
        }
        if let Some(context) = context {
            issue["ctx"] = context;
        }
        issue
    }
}

/// The type, the message and the context of an error.
type Words = (&'static str, String, Option<Value>);

impl Problem {
    fn new_words(&self, input: &Value) -> Words {
        let text_only = |kind, text: &str| (kind, text.to_owned(), None);
        match self {
            Self::Extra => text_only("extra_forbidden", "Extra inputs are not permitted"),
            Self::Missing => text_only("missing", "Field required"),
            Self::NotInteger => text_only(
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
            ),
            Self::Fraction => text_only(
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
            ),
            Self::NotNumber => text_only("int_type", "Input should be a valid integer"),
            Self::Negative => (
                "greater_than_equal",
                "Input should be greater than or equal to 0".to_owned(),
                Some(json!({ "ge": 0 })),
            ),
            Self::Above(most) => (
                "less_than_equal",
                format!("Input should be less than or equal to {most}"),
                Some(json!({ "le": most })),
            ),
            Self::NotOneOf(allowed) => {
                let expected = one_of(allowed);
                (
                    "enum",
                    format!("Input should be {expected}"),
                    Some(json!({ "expected": expected })),
                )
            }
            Self::NotId => {
                let error = id_error(input);
                (
                    "uuid_parsing",
                    format!("Input should be a valid UUID, {error}"),
                    Some(json!({ "error": error })),
                )
            }
            Self::NotList => text_only("list_type", "Input should be a valid list"),
            Self::NotObject => text_only(
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from",
            ),
            Self::NotText => text_only("string_type", "Input should be a valid string"),
            Self::NotFlag => text_only(
                "bool_parsing",
                "Input should be a valid boolean, unable to interpret input",
            ),
            Self::NotTime => (
                "value_error",
                format!("Value error, Unable to parse string [{}]", bare(input)),
                Some(json!({ "error": {} })),
            ),
        }
    }

    fn old_words(&self, input: &Value) -> Words {
        let text_only = |kind, text: &str| (kind, text.to_owned(), None);
        match self {
            Self::Extra => text_only("value_error.extra", "extra fields not permitted"),
            Self::Missing => text_only("value_error.missing", "field required"),
            Self::NotInteger | Self::Fraction | Self::NotNumber => {
                text_only("type_error.integer", "value is not a valid integer")
            }
            Self::Negative => (
                "value_error.number.not_ge",
                "ensure this value is greater than or equal to 0".to_owned(),
                Some(json!({ "limit_value": 0 })),
            ),
            Self::Above(most) => (
                "value_error.number.not_le",
                format!("ensure this value is less than or equal to {most}"),
                Some(json!({ "limit_value": most })),
            ),
            Self::NotOneOf(allowed) => {
                let quoted: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
                let text = format!(
                    "value is not a valid enumeration member; permitted: {}",
                    quoted.join(", ")
                );
                (
                    "type_error.enum",
                    text,
                    Some(json!({ "enum_values": allowed })),
                )
            }
            Self::NotId => text_only("type_error.uuid", "value is not a valid uuid"),
            Self::NotList => text_only("type_error.list", "value is not a valid list"),
            Self::NotObject => text_only("type_error.dict", "value is not a valid dict"),
            Self::NotText => text_only("type_error.str", "str type expected"),
            Self::NotFlag => text_only("type_error.bool", "value could not be parsed to a boolean"),
            Self::NotTime if input.is_string() => (
                "value_error.parser",
                format!("Unable to parse string [{}]", bare(input)),
                None,
            ),
            Self::NotTime => text_only("value_error", "Unrecognized datetime."),
        }
    }
}

/// Formats a list as `'A', 'B' or 'C'`.
fn one_of(allowed: &[&'static str]) -> String {
    let quoted: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn id_error(input: &Value) -> String {
    let text = bare(input);
    match text
        .char_indices()
        .find(|(_, c)| !c.is_ascii_hexdigit() && *c != '-')
    {
        Some((at, c)) => format!("invalid character: found `{c}` at {at}"),
        None => format!(
            "invalid length: expected length 32 for simple format, found {}",
            text.len()
        ),
    }
}

fn bare(input: &Value) -> String {
    input
        .as_str()
        .map_or_else(|| input.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sort_lists_the_known_ones_in_both_dialects() {
        let place = vec![
            PathSegment::Key("body".to_owned()),
            PathSegment::Key("sort".to_owned()),
        ];
        let error = ErrorResponse::one(
            Problem::NotOneOf(vec!["A", "B", "C"]),
            place,
            json!("X"),
            json!({"sort": "X"}),
        );
        let (status, new) = error.status_and_body(Dialect::New);
        assert_eq!(status, 422);
        assert_eq!(
            new["exception_detail"][0]["msg"],
            "Input should be 'A', 'B' or 'C'"
        );
        assert_eq!(new["request_body"], json!({"sort": "X"}));
        let (_, old) = error.status_and_body(Dialect::Old);
        assert_eq!(
            old["exception_detail"][0]["msg"],
            "value is not a valid enumeration member; permitted: 'A', 'B', 'C'"
        );
        assert_eq!(old["exception_detail"][0].get("input"), None);
    }
}
