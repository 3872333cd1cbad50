//! The rules, and `docs/CONFORMANCE.md`, which is generated from them.

use std::fmt::{self, Write as _};

use serde::Serialize;

/// The severity of breaking a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; never a reason to fail.
    Note,
    /// Allowed, and likely to cause trouble later.
    Warning,
    /// The protocol is broken, or rows are lost.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One rule of the protocol, or of its guide.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable name, to select, to skip and to search for.
    pub id: &'static str,
    /// The severity of breaking the rule.
    pub severity: Severity,
    /// The rule in one sentence.
    pub title: &'static str,
    /// The reason for the rule, and the way in which it is checked.
    pub text: &'static str,
    /// The source of the rule.
    pub source: &'static str,
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $source:ident, $text:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Rule = Rule {
                id: $id,
                severity: Severity::$severity,
                title: $title,
                text: $text,
                source: $source,
            };
        )*

        /// All rules, in the order of the document.
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
}

const PROTO: &str = "the protocol's messages (Partner SDK)";
const GUIDE: &str = "the Partner SDK's development guide";
const NAMING: &str = "Fivetran's naming conventions";
const FOLLOWS: &str =
    "follows from what a checkpoint is: everything before it is safe, and nothing else is known";
const TROUBLES: &str = "Fivetran's troubleshooting pages";
const PRACTICE: &str = "good practice";

rules! {
    FORM_MALFORMED = "form-malformed", Error,
        "Each field and test of the setup form has a name of its own, and a field has a type.", PROTO,
        "A name is the key of the answer in the configuration, so it is there and unique. The condition of a \
         group names a field of the form, and the extensions of an upload start with a dot.";
    TEST_UNANSWERED = "test-unanswered", Error,
        "A setup test answers with success or with a text for the user, whatever the configuration.", GUIDE,
        "Wrong credentials are a failure in words; a gRPC error shows the user nothing. Each test is also run \
         with an empty configuration, which it may well fail, but in words.";

    NAME_RESERVED = "name-reserved", Error,
        "No column has a name of the platform's own.", GUIDE,
        "Names that begin with `_fivetran_` belong to the platform, which adds such columns itself: they are \
         neither declared nor sent.";
    NAME_COLLISION = "name-collision", Error,
        "Each table, and each column of a table, has a name of its own once it is landed.", NAMING,
        "A name that is empty, or declared twice, or lands as the same name as another one: Fivetran rewrites \
         names (see name-rewritten), so that `userName` and `user_name` become one.";
    NAME_REWRITTEN = "name-rewritten", Warning,
        "Names are plain lower `snake_case`, so that they land as they are sent.", NAMING,
        "Fivetran transliterates letters beyond ASCII, splits camelCase, replaces what is no letter, digit or \
         underscore, collapses underscores, puts one before a leading digit and writes all in lower case.";
    NAME_SQL_WORD = "name-sql-word", Warning,
        "No table or column is named like a reserved word of SQL.", TROUBLES,
        "Whoever queries it must quote `order`, `group` or `desc`; a local tester of Fivetran's silently made no \
         table for such names.";
    TYPE_UNSUPPORTED = "type-unsupported", Error,
        "Columns are declared with types that a source may have.", PROTO,
        "NAIVE_TIME is for destinations only, and a number that is no type of the protocol is none.";
    TABLE_WITHOUT_KEY = "table-without-key", Warning,
        "Each table has a primary key.", GUIDE,
        "Without one Fivetran makes a hash of the row its key (`_fivetran_id`): a row that changes becomes a \
         second one, and the first can never be deleted.";

    BATCH_SIZE = "batch-size", Error,
        "A message has at most 100 records.", PROTO,
        "`Records` carries 1 to 100 of them.";
    MESSAGE_SIZE = "message-size", Error,
        "A message has at most 128 MiB.", GUIDE,
        "134,217,728 bytes as encoded, the limit of both sides' gRPC.";
    OPERATION_UNKNOWN = "operation-unknown", Error,
        "Each message holds one operation of the protocol, and each record one of its types.", PROTO,
        "A message that is empty, or has a field that the protocol does not have, says nothing to a caller that \
         knows the protocol only. (The Python SDK sends files and deferred truncates in fields of its own, which \
         the public messages do not have.)";
    TASK_NOT_LAST = "task-not-last", Error,
        "Nothing follows a task.", GUIDE,
        "A task stops the sync until the user has acted. There is one, and it is the last message.";
    TRUNCATE_LATE = "truncate-late", Warning,
        "A truncate comes before the table's rows, not after them.", GUIDE,
        "It marks all rows as deleted that were sent before it, those of the same sync too. It is meant to be a \
         table's first operation of a historical sync.";

    TABLE_UNDECLARED = "table-undeclared", Warning,
        "Records are of tables that the schema has.", GUIDE,
        "A table that is only met in the rows has no key and no types, and nobody could deselect it. Not looked \
         at where a connector has no schema to tell.";
    COLUMN_UNDECLARED = "column-undeclared", Note,
        "Where a table's columns are declared, all are.", GUIDE,
        "A column that is met in the rows gets the type of its values, and exists once one is not null. Not \
         looked at in tables of which only the key is declared: that is the usual way of the Python SDK.";
    KEY_MISSING = "key-missing", Error,
        "Each record has all columns of the key, and none of them is null.", PROTO,
        "A row without its key cannot be found again. (Truncates have no row.)";
    TYPE_MISMATCH = "type-mismatch", Error,
        "A value has the type that its column is declared with.", PROTO,
        "Or one that it widens to without loss: short, int, long; float, double; integers in decimals.";
    VALUE_MALFORMED = "value-malformed", Error,
        "A value is what its type says.", PROTO,
        "JSON that is JSON, decimals that are numbers and have no more digits than declared, strings no longer \
         than declared, times between the years 1 and 9999. A value without any type is none.";
    UPSERT_INCOMPLETE = "upsert-incomplete", Error,
        "An upsert has each declared column that is selected.", GUIDE,
        "It replaces the row: a column that it leaves out becomes null, whatever was there. Send null where \
         there is no value, and an update where only a part is known.";
    UPDATE_WITHOUT_ROW = "update-without-row", Warning,
        "In a sync that starts afresh, an update finds the row that it changes.", PROTO,
        "Updates of rows that are not there do nothing, so what they say is lost.";

    CHECKPOINT_MISSING = "checkpoint-missing", Error,
        "A sync that sends rows sends a checkpoint.", GUIDE,
        "Without one nothing is remembered, and each sync starts afresh.";
    CHECKPOINT_JSON = "checkpoint-json", Error,
        "A checkpoint's state is JSON.", PROTO,
        "The next sync is given it as it is.";
    ROWS_AFTER_CHECKPOINT = "rows-after-checkpoint", Warning,
        "A sync that ends well ends with a checkpoint.", GUIDE,
        "A checkpoint makes safe what stands before it. Rows after the last one are sent again, or depend on \
         what the platform does with them.";
    CHECKPOINT_LATE = "checkpoint-late", Warning,
        "While rows are sent, there is a checkpoint at least once an hour.", GUIDE,
        "What was sent since the last one is read again after an interruption.";
    CHECKPOINT_AHEAD = "checkpoint-ahead", Error,
        "A checkpoint does not stand for rows that come after it.", FOLLOWS,
        "Shown by resuming: a row that was sent after checkpoint k in one sync from beginning to end is sent \
         again by a sync that resumes from k. Where it is not, an interruption at that place loses it.";
    RESUME_FAILS = "resume-fails", Error,
        "A sync can be resumed from each of its checkpoints.", FOLLOWS,
        "Also after it was cut: the caller is gone in the middle of a stream, and calls again. With `--spawn` the \
         connector is killed then, as may happen to a container; otherwise only its stream is dropped.";
    RESUME_DIFFERS = "resume-differs", Error,
        "Resumed from any checkpoint, a sync leads to the same rows as without an interruption.", FOLLOWS,
        "The resumed sync sent other values, or rows or deletions that the uninterrupted one did not have.";
    STATE_ABSENT = "state-absent", Warning,
        "A sync without a state is a historical sync, just as one with the state `{}`.", GUIDE,
        "The platform sends either at the first sync and at a re-sync. One of the two is tried at the beginning, \
         the other at the end: the end must have rows of all tables that the beginning had rows of. (The Python SDK \
         fails without a state; the platform gives it `{}`.)";

    RERUN_NOT_IDEMPOTENT = "rerun-not-idempotent", Error,
        "A sync after which nothing happened at the source changes no row.", FOLLOWS,
        "The second sync starts at the last checkpoint of the first one.";
    RERUN_RESENDS = "rerun-resends", Warning,
        "A sync after which nothing happened at the source sends no row again.", PRACTICE,
        "Some of the table's rows came again, as they were: its window overlaps the last one, or it looks back. \
         That may be meant, since it finds late changes; it costs requests and time at each sync.";
    FULL_REFRESH = "full-refresh", Note,
        "A table is read incrementally.", PRACTICE,
        "All of its rows come again at each sync. Right for a small table, and for one that cannot be asked for \
         its changes; otherwise the connector does not use its state.";

    SELECTION_IGNORED_TABLE = "selection-ignored-table", Error,
        "A table that is deselected is not sent.", PROTO,
        "Two syncs deselect half of the tables each, by name.";
    SELECTION_IGNORED_COLUMN = "selection-ignored-column", Error,
        "A column that is deselected is not in the rows.", PROTO,
        "One column of each table that is left, never one of the key. People deselect what they may not store.";
    SELECTION_NEW_TABLE = "selection-new-table", Error,
        "A table that the selection does not list is sent only with `include_new_tables`.", PROTO,
        "Asked only where deselecting by name is honoured.";
    SELECTION_NEW_COLUMN = "selection-new-column", Error,
        "A column that the selection does not list is sent only with `include_new_columns`.", PROTO,
        "Asked only where deselecting by name is honoured.";
    SELECTION_DIFFERS = "selection-differs", Error,
        "What is selected comes as it does without a selection.", FOLLOWS,
        "A deselected table or column changes nothing about the others.";
    SELECTION_UNSTATED = "selection-unstated", Note,
        "A connector that ignores the selection says so.", PROTO,
        "The schema leaves `selection_not_supported` open, and the selection was ignored. The Python SDK does \
         that for all its connectors: they are never given one.";

    LOG_LINE_MALFORMED = "log-line-malformed", Warning,
        "Each line on stdout is a log line: a JSON object with level, message and origin.", GUIDE,
        "`level` is INFO, WARNING or SEVERE, and the origin is called `message-origin`. The form of the Python \
         SDK, `message_origin` with further levels, counts too. Other lines are lost. Looked at with `--spawn`.";
    SECRET_TOLD = "secret-told", Error,
        "No secret of the configuration is in a state, a message to the user or a log line.", GUIDE,
        "States are stored as they are, and logs are read by many. Secret is what the form hides, and what has a \
         telling name (key, token, password …).";
}

/// Finds the rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.id == id)
}

/// The text of `docs/CONFORMANCE.md`: all rules in Markdown, and the usage.
pub fn markdown() -> String {
    let mut text = include_str!("guide.md").to_owned();
    text.push_str("\n| rule | severity | in one sentence |\n|---|---|---|\n");
    for rule in ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [{0}](#{0}) | {1} | {2} |",
            rule.id, rule.severity, rule.title
        );
    }
    for rule in ALL {
        let _ = write!(
            text,
            "\n### {}\n\n{}: **{}** {} (Source: {}.)\n",
            rule.id, rule.severity, rule.title, rule.text, rule.source
        );
    }
    text.push('\n');
    text.push_str(include_str!("measured.md"));
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_is_current() {
        let written = include_str!("../../../docs/CONFORMANCE.md");
        assert_eq!(
            written,
            markdown(),
            "write it anew: fivetran_source conformance --list-rules > docs/CONFORMANCE.md"
        );
    }

    #[test]
    fn no_id_is_given_twice() {
        let ids: BTreeSet<&str> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for id in ids {
            assert!(
                id.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            );
        }
    }
}
