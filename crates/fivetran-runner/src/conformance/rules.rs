//! The rules.

pub use super::rule::{Rule, Severity};

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
    "follows from the definition of a checkpoint: only what precedes it is committed";
const TROUBLES: &str = "Fivetran's troubleshooting pages";
const PRACTICE: &str = "good practice";
const KEYS: &str =
    "follows from the definition of a primary key: it identifies one row, in every sync";
const UPGRADE: &str =
    "follows from an upgrade: the destination, the configuration and the state stay";
const AGENTS: &str = "Fivetran's reference of the Python SDK for coding agents";

rules! {
    FORM_MALFORMED = "form-malformed", Error,
        "Each field and test of the setup form has a unique name, and each field has a type.", PROTO,
        "The name is the key of the answer in the configuration, so it must exist and be unique. The condition of \
         a group must name a field of the form, and the extensions of an upload must start with a dot.";
    SECRET_NOT_HIDDEN = "secret-not-hidden", Warning,
        "A form field for a secret is a password field.", PRACTICE,
        "The value of a plain text field is shown to everyone who opens the setup form. A field is for a secret if \
         its name or its label contains password, passphrase, secret, token, credential, or API, access, private or \
         encryption key, and does not end with a word for something else, such as url, id, name or type.";
    TEST_UNANSWERED = "test-unanswered", Error,
        "A setup test returns success or a failure text for the user, for every configuration.", GUIDE,
        "Wrong credentials must lead to a failure text; a gRPC error shows the user nothing. Each test also runs \
         with an empty configuration: it may fail then, but only with a text.";

    NAME_RESERVED = "name-reserved", Error,
        "No column has a name that is reserved for the platform.", GUIDE,
        "Names that begin with `_fivetran_` belong to the platform, which adds such columns itself: a connector \
         neither declares nor sends them.";
    NAME_COLLISION = "name-collision", Error,
        "Each table, and each column of a table, has a unique name in the destination.", NAMING,
        "A name must not be empty, declared twice, or become equal to another one: Fivetran rewrites names (see \
         name-rewritten), so that `userName` and `user_name` become the same name, as do `ID` and `id`. Columns \
         that are sent without being declared are compared, too.";
    NAME_REWRITTEN = "name-rewritten", Warning,
        "Names are lower-case `snake_case`, so that they arrive in the destination unchanged.", NAMING,
        "Fivetran transliterates letters outside ASCII, splits camelCase, replaces every character that is not a \
         letter, digit or underscore, collapses underscores, adds one before a leading digit, and converts \
         everything to lower case.";
    NAME_SQL_WORD = "name-sql-word", Warning,
        "No table or column is named like a reserved word of SQL.", TROUBLES,
        "Queries must quote names such as `order`, `group` or `desc`; one of Fivetran's local testers silently \
         created no table for such names.";
    TYPE_UNSUPPORTED = "type-unsupported", Error,
        "Columns are declared with types that a source may use.", PROTO,
        "NAIVE_TIME is for destinations only, and numbers outside the protocol's list of types are invalid.";
    TABLE_WITHOUT_KEY = "table-without-key", Warning,
        "Each table has a primary key.", GUIDE,
        "Without one, Fivetran uses a hash of the row as its key (`_fivetran_id`): a changed row becomes a second \
         row, and the first one can never be deleted.";
    KEY_UNSTABLE = "key-unstable", Error,
        "A table's primary key has the same columns, in the same order, in each schema.", KEYS,
        "The schema is requested before each sync, and a sync can change it. A destination creates a table with its \
         key once: with other columns in the key, the same row is not found again, and some destinations fail if \
         only the order differs.";
    KEY_REPEATED = "key-repeated", Warning,
        "In a sync, a key belongs to one row.", KEYS,
        "An upsert replaced a row of the same sync with other values, for the same key in the first and in the last \
         full sync. This is how rows are lost if the declared key is not unique: 30 upserts land as 10 rows. It is \
         a warning, because a connector may also send a row in two steps on purpose. Not counted are equal values, \
         keys that were deleted or truncated in between, and rows that changed at the source during only one of the \
         syncs.";

    BATCH_SIZE = "batch-size", Error,
        "A message has at most 100 records.", PROTO,
        "`Records` carries 1 to 100 records.";
    MESSAGE_SIZE = "message-size", Error,
        "A message has at most 128 MiB.", GUIDE,
        "134,217,728 bytes when encoded, the gRPC limit of both sides.";
    OPERATION_UNKNOWN = "operation-unknown", Error,
        "Each message contains one operation of the protocol, and each record has one of its types.", PROTO,
        "A message that is empty, or uses a field outside the protocol, means nothing to a caller that knows only \
         the protocol. (For the Python SDK's own fields see sdk-operation.)";
    SDK_OPERATION = "sdk-operation", Note,
        "A connector uses only the operations of the public protocol.", PROTO,
        "The Python SDK has operations in fields of its own, which only the platform understands, so they are not an \
         error: parts of files (`UnstructuredRecord`, with the column `_fivetran_file_path`), truncates as messages, \
         which can be deferred, and rows in `row_data` (with the environment variable `ConnectorSdkRemoveValueType`). \
         Files are not examined, deferred truncates are not applied, and the values of `row_data` are not compared.";
    TASK_NOT_LAST = "task-not-last", Error,
        "Nothing follows a task.", GUIDE,
        "A task stops the sync until the user has acted. A sync sends at most one, as its last message.";
    TRUNCATE_LATE = "truncate-late", Warning,
        "A truncate precedes the table's rows.", GUIDE,
        "It marks all rows that were sent before it as deleted, including those of the same sync. It is intended \
         as a table's first operation in a historical sync.";

    TABLE_UNDECLARED = "table-undeclared", Warning,
        "Records belong to tables of the schema.", GUIDE,
        "A table that appears only in the rows has no key and no types, and cannot be deselected. Not checked for \
         connectors without a schema.";
    COLUMN_UNDECLARED = "column-undeclared", Note,
        "If a table's columns are declared, all of them are.", GUIDE,
        "A column that appears only in the rows gets the type of its values, and exists after its first value that \
         is not null. Not checked in tables that declare only their key, as is usual with the Python SDK.";
    COLUMN_UNSENT = "column-unsent", Warning,
        "Each declared column is sent.", GUIDE,
        "All upserts of all syncs omit the column, so it is null in every row: it is declared by mistake, or sent \
         under another name. A column that only some upserts omit breaks upsert-incomplete instead. Not checked in \
         tables without upserts, which may have been empty.";
    KEY_MISSING = "key-missing", Error,
        "Each record has all columns of the key, and none of them is null.", PROTO,
        "A row without its key cannot be found again. (Truncates have no row.)";
    TYPE_MISMATCH = "type-mismatch", Error,
        "A value has the declared type of its column.", PROTO,
        "A type that widens without loss is accepted, too: short, int, long; float, double; integers in decimals.";
    VALUE_MALFORMED = "value-malformed", Error,
        "A value is valid for its type.", PROTO,
        "JSON must be valid, decimals must be numbers with no more digits than declared, strings must be no longer \
         than declared, and times must be within the years 1 to 9999. A value without a type is invalid.";
    DATE_WITH_TIME = "date-with-time", Warning,
        "A date has no time of day.", PROTO,
        "A NAIVE_DATE is a timestamp at midnight UTC. A destination drops the time of day, so it is lost, and if a \
         time zone has shifted the time, the date is wrong. NAIVE_DATETIME and UTC_DATETIME keep the time.";
    UPSERT_INCOMPLETE = "upsert-incomplete", Error,
        "An upsert has each declared column that is selected.", GUIDE,
        "It replaces the row: a column that it omits becomes null, whatever its value was. Send null where there \
         is no value, and an update where only a part is known. A column that all upserts omit breaks column-unsent \
         instead.";
    UPDATE_WITHOUT_ROW = "update-without-row", Warning,
        "In a sync without a previous state, an update finds the row that it changes.", PROTO,
        "Updates of missing rows do nothing, so their values are lost.";

    CHECKPOINT_MISSING = "checkpoint-missing", Error,
        "A sync that sends rows sends a checkpoint.", GUIDE,
        "Without one no state is saved, and each sync starts from the beginning.";
    CHECKPOINT_JSON = "checkpoint-json", Error,
        "A checkpoint's state is JSON.", PROTO,
        "The next sync receives it unchanged.";
    ROWS_AFTER_CHECKPOINT = "rows-after-checkpoint", Warning,
        "A sync that succeeds ends with a checkpoint.", GUIDE,
        "A checkpoint commits the rows before it. Rows after the last one are sent again, or depend on what the \
         platform does with them.";
    CHECKPOINT_LATE = "checkpoint-late", Warning,
        "While rows are sent, there is a checkpoint at least once an hour.", GUIDE,
        "After an interruption, everything since the last checkpoint is read again.";
    CHECKPOINT_FREQUENT = "checkpoint-frequent", Note,
        "In a long sync, there is at most one checkpoint a minute.", AGENTS,
        "Each checkpoint makes the platform commit what it has received. Fivetran advises one about every ten \
         minutes, and not more than one a minute. Checked on average over a sync of at least five minutes; in \
         shorter syncs their number does not matter.";
    CHECKPOINT_AHEAD = "checkpoint-ahead", Error,
        "A checkpoint does not cover rows that are sent after it.", FOLLOWS,
        "Checked by resuming: a row that an uninterrupted sync sent after checkpoint k must be sent again by a \
         sync that resumes from k. Otherwise an interruption at that point loses the row.";
    RESUME_FAILS = "resume-fails", Error,
        "A sync can be resumed from each of its checkpoints.", FOLLOWS,
        "This includes a cut: the caller disconnects in the middle of a stream and calls again. With `--spawn` the \
         connector is killed at the cut, as can happen to a container; otherwise only its stream is dropped.";
    RESUME_DIFFERS = "resume-differs", Error,
        "Resumed from any checkpoint, a sync leads to the same rows as without an interruption.", FOLLOWS,
        "The resumed sync sent other values, or rows or deletes that the uninterrupted one did not send.";
    STATE_ABSENT = "state-absent", Warning,
        "A sync without a state is a historical sync, like one with the state `{}`.", GUIDE,
        "The platform sends either of them in the first sync and in a re-sync. One is tried at the start and the \
         other at the end: the last sync must have rows of all tables that had rows in the first one. (The Python \
         SDK fails without a state; the platform sends it `{}`.)";

    RERUN_NOT_IDEMPOTENT = "rerun-not-idempotent", Error,
        "A sync without changes at the source changes no row.", FOLLOWS,
        "The second sync starts from the last checkpoint of the first one.";
    RERUN_RESENDS = "rerun-resends", Warning,
        "A sync without changes at the source sends no row again.", PRACTICE,
        "Some of the table's rows were sent again unchanged: its window overlaps the previous one, or the \
         connector looks back. This may be intended, because it finds late changes, but it costs requests and time \
         in each sync.";
    FULL_REFRESH = "full-refresh", Note,
        "A table is read incrementally.", PRACTICE,
        "Each sync sends all of its rows again. This is right for a small table, and for one whose changes cannot \
         be requested; otherwise the connector does not use its state.";

    SELECTION_IGNORED_TABLE = "selection-ignored-table", Error,
        "A deselected table is not sent.", PROTO,
        "Two syncs each deselect half of the tables, by name.";
    SELECTION_IGNORED_COLUMN = "selection-ignored-column", Error,
        "A deselected column is not in the rows.", PROTO,
        "One column of each selected table is deselected, never one of the key. Users deselect data that they must \
         not store.";
    SELECTION_NEW_TABLE = "selection-new-table", Error,
        "A table that the selection does not list is sent only with `include_new_tables`.", PROTO,
        "Checked only if the connector applies a selection by name.";
    SELECTION_NEW_COLUMN = "selection-new-column", Error,
        "A column that the selection does not list is sent only with `include_new_columns`.", PROTO,
        "Checked only if the connector applies a selection by name.";
    SELECTION_DIFFERS = "selection-differs", Error,
        "A selection does not change the selected data.", FOLLOWS,
        "A deselected table or column does not affect the others.";
    SELECTION_UNSTATED = "selection-unstated", Note,
        "A connector that ignores the selection declares that.", PROTO,
        "The schema does not set `selection_not_supported`, and the selection was ignored. The Python SDK does \
         this for all its connectors: they never receive a selection.";

    UPGRADE_TABLE_REMOVED = "upgrade-table-removed", Error,
        "The new version's schema has each table of the old one.", UPGRADE,
        "Checked with `--against`, like all rules that begin with `upgrade-`. A table that disappears stays in the \
         destination and becomes outdated. More tables are allowed.";
    UPGRADE_COLUMN_REMOVED = "upgrade-column-removed", Error,
        "The new version's tables have each column of the old ones.", UPGRADE,
        "A column that disappears becomes null row by row, and queries that use it return less. More columns are \
         allowed.";
    UPGRADE_TYPE_CHANGED = "upgrade-type-changed", Error,
        "The type of a column stays the same or becomes wider.", UPGRADE,
        "Wider are: short, int, long, decimal; float, double; short and int as double; more digits; longer strings. \
         Any type may become or replace UNSPECIFIED, which the platform infers from the values. All other changes \
         lose values, or change the column's type in the destination so that queries fail.";
    UPGRADE_KEY_CHANGED = "upgrade-key-changed", Error,
        "A table keeps the columns of its primary key, and their order.", UPGRADE,
        "A destination cannot change the key of a table with rows: the sync fails, or rows exist twice, until the \
         table is dropped and synced again.";
    UPGRADE_FIELD_REQUIRED = "upgrade-field-required", Error,
        "The new version needs no setting that a connection with the old one does not have.", UPGRADE,
        "Existing connections keep their configuration. A required field without a default, which the \
         configuration leaves empty and the old form did not require, must be optional. Fields of a group count \
         only if the configuration makes the group visible.";
    UPGRADE_FIELD_REMOVED = "upgrade-field-removed", Error,
        "The form keeps the fields and values that the configuration uses.", UPGRADE,
        "A field of the old form with a value in the given configuration is still in the form, and a list of values \
         still has the configured one. Otherwise a user cannot see or save the setting.";
    UPGRADE_RESUME_FAILS = "upgrade-resume-fails", Error,
        "The new version resumes from each state that the old one saved.", UPGRADE,
        "The old version runs a full sync and a second one. The new version resumes from its checkpoints, up to \
         `--cuts` of them, always including the last ones, with the configuration of the old version.";
    UPGRADE_DIFFERS = "upgrade-differs", Error,
        "After an upgrade, a sync leads to the same rows as a full sync of the new version.", UPGRADE,
        "Compared are the rows that the old version sent before its checkpoint together with those that the new \
         version sends from there. Not compared are new columns, columns whose type changed, tables whose key \
         changed, removed tables and columns (they break other rules), and what changed at the source. A \
         corrected value that needs a re-sync breaks this rule, too: waive it with that reason.";
    UPGRADE_COLUMN_EMPTY = "upgrade-column-empty", Note,
        "After an upgrade, existing rows have the values of a new column.", UPGRADE,
        "Rows that the old version sent have no value in a column that only the new version has, until they change \
         or a re-sync sends them again. Often intended; worth a line in the release notes.";

    LOG_LINE_MALFORMED = "log-line-malformed", Warning,
        "Each line on stdout is a log line: a JSON object with level, message and origin.", GUIDE,
        "`level` is INFO, WARNING or SEVERE, and the origin is called `message-origin`. The format of the Python \
         SDK, `message_origin` with further levels, is accepted, too. Other lines are lost. Checked with \
         `--spawn`.";
    SECRET_EXPOSED = "secret-exposed", Error,
        "No secret of the configuration is in a state, a message to the user or a log line.", GUIDE,
        "States are stored as they are, and logs have many readers. A value is secret if the form hides it, or if \
         its name suggests it (key, token, password …).";
}

/// The rules that compare two versions of a connector.
pub static UPGRADES: [&Rule; 9] = [
    &UPGRADE_TABLE_REMOVED,
    &UPGRADE_COLUMN_REMOVED,
    &UPGRADE_TYPE_CHANGED,
    &UPGRADE_KEY_CHANGED,
    &UPGRADE_FIELD_REQUIRED,
    &UPGRADE_FIELD_REMOVED,
    &UPGRADE_RESUME_FAILS,
    &UPGRADE_DIFFERS,
    &UPGRADE_COLUMN_EMPTY,
];

/// Finds the rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
