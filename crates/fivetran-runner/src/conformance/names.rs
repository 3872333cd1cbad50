//! The names under which Fivetran lands tables and columns, and names that must not be used.

/// The prefix of names that belong to the platform.
const SYSTEM: &str = "_fivetran_";

/// Reserved words of PostgreSQL that other warehouses reserve, too.
const SQL_WORDS: &[&str] = &[
    "all",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "cross",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "into",
    "is",
    "join",
    "leading",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "some",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "when",
    "where",
    "window",
    "with",
];

/// Returns true if the column's name belongs to the platform.
pub(super) fn is_reserved(column: &str) -> bool {
    column.to_ascii_lowercase().starts_with(SYSTEM)
}

/// Returns true if the name is a reserved word of SQL.
pub(super) fn is_sql_word(name: &str) -> bool {
    SQL_WORDS.contains(&name.to_ascii_lowercase().as_str())
}

/// The name as it is landed. Letters beyond ASCII become `_` here; Fivetran transliterates them.
pub(super) fn landed(name: &str, is_table: bool) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut text = String::with_capacity(name.len() + 4);
    for (at, char) in chars.iter().enumerate() {
        if !char.is_ascii_alphanumeric() {
            text.push('_');
            continue;
        }
        if char.is_ascii_uppercase() && at > 0 {
            let before = chars[at - 1];
            let ends_acronym = before.is_ascii_uppercase()
                && chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
            if before.is_ascii_lowercase() || before.is_ascii_digit() || ends_acronym {
                text.push('_');
            }
        }
        text.push(char.to_ascii_lowercase());
    }
    while text.contains("__") {
        text = text.replace("__", "_");
    }
    if text.starts_with(|char: char| char.is_ascii_digit()) {
        text.insert(0, '_');
    }
    let rest = text.trim_start_matches('_');
    if is_table && rest.starts_with(|char: char| char.is_ascii_lowercase()) {
        text = rest.to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_land_as_the_conventions_say() {
        let cases = [
            ("flow_runs", "flow_runs"),
            ("userName", "user_name"),
            ("HTTPServer", "http_server"),
            ("ID", "id"),
            ("user.data", "user_data"),
            ("a - b", "a_b"),
            ("2fa", "_2fa"),
            ("_id", "_id"),
        ];
        for (name, column) in cases {
            assert_eq!(landed(name, false), column);
        }
        assert_eq!(landed("_events", true), "events");
        assert_eq!(landed("_2fa", true), "_2fa");
        assert!(is_reserved("_fivetran_synced") && !is_reserved("fivetran_synced"));
        assert!(is_sql_word("Order") && !is_sql_word("orders"));
    }
}
