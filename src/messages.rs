//! The messages for users. Every message ends with a stable code; `docs/MESSAGES.md`, which is generated from this
//! file, lists the causes and remedies.
//!
//! A code is never used for another message. `T`: the user must fix something (a `Task` in Fivetran). `E`: the sync
//! ended early, and the next one continues. `F`: a bug in the connector. `W`: a warning.

use std::fmt::{Display, Write as _};

/// A kind of message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The stable code, which users can search for.
    pub code: &'static str,
    /// A sentence about the event.
    pub title: &'static str,
    /// The possible causes.
    pub cause: &'static str,
    /// The actions that help the user.
    pub remedy: &'static str,
}

impl Message {
    /// Returns the text with the code, as the user reads it.
    pub fn say(&self, text: impl Display) -> String {
        format!("{text} [{}]", self.code)
    }
}

macro_rules! catalogue {
    ($($name:ident = $code:literal, $title:literal, $cause:literal, $remedy:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Message = Message {
                code: $code,
                title: $title,
                cause: $cause,
                remedy: $remedy,
            };
        )*

        /// All messages.
        pub static ALL: &[&Message] = &[$(&$name),*];
    };
}

catalogue! {
    CONFIGURATION = "T01", "The configuration cannot be used.",
        "A field of the setup form is missing or has a value that is not allowed. The message names the field.",
        "Mend the field and save the form.";
    CREDENTIALS = "T02", "The credentials are not accepted (401).",
        "The API key or the auth string is wrong, or was revoked.",
        "Make a new key (Prefect Cloud: Settings, API keys or service accounts), or copy the server's auth string anew.";
    ACCESS = "T03", "The key may not read something (403).",
        "The key's owner lacks read access to the workspace or to one kind of object; or a gateway refuses the path.",
        "Grant the role Viewer of the workspace, or deselect the table.";
    NOT_THERE = "T04", "The address does not exist (404).",
        "The API URL has another account, workspace or path than it should. Prefect Cloud answers the same for a workspace that the key may not see.",
        "Compare the API URL with the address of the workspace's pages; on a self-hosted server it ends in /api.";
    REDIRECTED = "T05", "The server redirects elsewhere.",
        "The address is that of a login page, or http:// where https:// is asked for. Redirects are not followed, so that the key goes nowhere else.",
        "Use the address that the message names, if it is your API's.";
    NOT_PREFECT = "T06", "What answers is no Prefect API.",
        "The API URL leads to a web page, a gateway or another service.",
        "Check the API URL; behind a gateway see the field extra_headers.";
    STATE_DAMAGED = "T07", "The saved state is damaged.",
        "The state was edited or cut off.",
        "Re-sync the connection; in the local run restore the state file, or use --full-refresh.";
    STATE_NEWER = "T08", "The saved state is a newer connector's.",
        "An older version of the connector was put in place.",
        "Use the newer version, or re-sync the connection.";
    OTHER_WORKSPACE = "T09", "The saved state is another workspace's.",
        "The API URL was changed, and none of the objects known from before is found there.",
        "Set the API URL back, or re-sync the connection. (A workspace that merely has a new address is recognised.)";
    SELECTION = "T10", "The selection is not this connector's.",
        "Fivetran holds a schema that another connector made.",
        "Refresh the connection's schema in Fivetran.";
    ANSWER_TOO_LARGE = "T11", "An answer is larger than 64 MiB.",
        "Even for two objects; pages are made smaller first. The API URL leads to something else, or objects hold very large parameters or labels.",
        "Check the API URL, and look for such objects in Prefect; or deselect the table.";

    UNREACHABLE = "E01", "No answer arrives.",
        "The name is not known, the connection is refused or breaks, TLS fails, or nothing answers in time; several tries failed.",
        "Nothing, if it passes. Else check address, port, firewall and certificate (for an authority of your own: the field ca_certificate).";
    RATE_LIMITED = "E02", "Too many requests (429), for longer than was waited.",
        "The account's limit is used up by others. The connector waits as long as the server asks, 15 minutes at most.",
        "Lower requests_per_minute, sync less often, or ask Prefect for a higher limit.";
    SERVER_FAILS = "E03", "The server fails (5xx).",
        "The server answered so at each of several tries.",
        "Nothing, if it passes. Else look into the server's log.";
    CLOCK_UNSTEADY = "E04", "The server's clock stepped back more than once.",
        "Several servers whose clocks differ answer under one address, or the clock is being set.",
        "Let the servers' clocks be synchronised (NTP).";
    STOPPED = "E05", "The connector was stopped.",
        "The process was asked to end (SIGTERM). What was read is kept.",
        "Nothing: the next sync goes on.";
    PAGE_TOO_LARGE = "E06", "The server allows smaller pages than the connector can use.",
        "The server's page limit (PREFECT_API_DEFAULT_LIMIT or PREFECT_SERVER_API_DEFAULT_LIMIT) is below 2.",
        "Raise the limit.";

    NO_PROGRESS = "E07", "A listing makes no progress.",
        "Pages of a listing are empty where rows are expected, repeat rows, or do not follow one another. A cache or a gateway may be answering instead of Prefect.",
        "The next sync continues from the last checkpoint. If the error returns, check for a cache or a gateway between the connector and Prefect, or restart the server.";

    REFUSED = "F01", "The server refuses a request as wrong.",
        "The server is older or newer than the connector knows.",
        "Report it with the message and the server's version.";
    SETUP = "F02", "The HTTP client cannot be set up.",
        "The machine lacks something that the connector needs.",
        "Report it with the message.";
    FAULT = "F03", "The sync came down on a fault of the connector.",
        "A fault. What was sent before the last checkpoint stays valid.",
        "Report it with the log.";

    URL_COMPLETED = "W01", "The API URL was completed.",
        "It had no path; /api was added.",
        "Nothing, or write it out.";
    UNKNOWN_FIELD = "W02", "A configuration field is not known.",
        "A spelling mistake, or a field of another version.",
        "Take it out, or correct its name.";
    UNKNOWN_TABLE = "W03", "A selected table is not known.",
        "The schema in Fivetran is another version's.",
        "Refresh the connection's schema.";
    UNKNOWN_COLUMN = "W04", "A selected column is not known.",
        "The schema in Fivetran is another version's.",
        "Refresh the connection's schema.";
    TABLE_SKIPPED = "W05", "A table was skipped.",
        "This server does not have it (404): it is older, or of another kind. Or the key may not see it (403).",
        "Nothing, or deselect the table; grant the key's owner access to it, if it is to be had.";
    BAD_OBJECTS = "W06", "Objects were skipped.",
        "They are no JSON objects, have no usable id, or the server fails on them.",
        "Look at the objects in Prefect. Those that the server fails on are tried again at each sync.";
    MISFITS = "W07", "Values do not fit their column's type.",
        "Prefect sent another type than it documents. The values are kept in the column unmapped.",
        "Nothing; report it, so that the column's type can be widened.";
    UNDECLARED = "W08", "A field has no column.",
        "The server is newer than the connector. The values are kept in the column unmapped.",
        "Nothing, or use a newer connector.";
    CLOCKS_DIFFER = "W09", "Rows were updated later than the server's clock says it is.",
        "The clocks of Prefect's API and of its database differ by more than two minutes.",
        "Let both be synchronised (NTP): changes are found safely only then.";
    NO_DATE = "W10", "The answers carry no time.",
        "Something on the way takes out the Date header. This machine's clock is used instead.",
        "Let the header through.";
    STEPPED_BACK = "W11", "The clock stepped back.",
        "The server's clock was set, or another server answers. What was read by its time is read again, and sent once more.",
        "Let the clocks be synchronised (NTP).";
    MOVED = "W12", "The workspace has another address.",
        "The API URL was changed; objects known from before are found there, so the sync goes on.",
        "Nothing.";
    STATE_FULL = "W13", "There are too many objects for the state.",
        "The state is bounded to 1 MiB. Less is kept of the largest table; the message says what is not seen because of it.",
        "Nothing; or deselect the table.";
    MANY_OPEN = "W14", "More runs are open than are remembered.",
        "More than 12,000 runs have not ended, as when schedules reach far ahead. That they end will be seen, that they are deleted will not.",
        "Look for runs that never end.";
    AGED_OUT = "W15", "Open runs are gone after a pause.",
        "The last sync was more than three days ago: they may have ended and aged out, so they are not marked as deleted.",
        "Sync more often.";
    UNREADABLE = "W16", "The server cannot answer for some runs.",
        "It fails (500) on each page that holds them, such as Prefect 2.20 on an integer beyond 64 bits in a run's parameters. The others are read around them.",
        "Upgrade the server, or delete the runs. They are tried again at each sync.";
    RARELY = "W17", "Syncs come too rarely.",
        "More than half of the retention (the field retention_days) has passed since the last sync. What Prefect forgets before it is read is lost.",
        "Sync more often; or correct retention_days.";
    DATES_AHEAD = "W21", "The answers are dated ahead of the rows.",
        "The clock of what dates Prefect's answers, such as a gateway or one of several servers, is ahead of the clock by which rows are updated, by two minutes or more. Or rows were brought in with old times, as from a backup. Flows, variables, artifacts, logs and events are found all the same; late edits of runs may be missed.",
        "Let the clocks be synchronised (NTP).";
    NO_ADDRESS = "W24", "Objects below one with an unusual name cannot be read.",
        "The API has them at an address that contains the name of another object, such as a work pool, and that name is `.` or `..`: no HTTP client can send such an address.",
        "Rename the object in Prefect.";
    RESTORED = "W25", "Objects are older than they were.",
        "A backup of Prefect's database was restored. The table is sent once more; what was made since the backup becomes deleted.",
        "Nothing.";
}

/// Returns all messages in Markdown, the content of `docs/MESSAGES.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Messages\n\nGenerated from `src/messages.rs` by `fivetran_source messages`; do not edit.\n\n\
         Every message that the connector shows ends with its code. `T`: something to mend, a task in \
         Fivetran's dashboard. `E`: the sync ended early; what was read is kept, and the next one goes on. `F`: \
         a fault of the connector. `W`: a warning; the sync goes on.\n\n\
         | code | message | cause | what to do |\n|---|---|---|---|\n",
    );
    for message in ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            message.code, message.title, message.cause, message.remedy
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_is_current() {
        let written = include_str!("../docs/MESSAGES.md");
        assert_eq!(
            written,
            markdown(),
            "write it anew: cargo run -- messages > docs/MESSAGES.md"
        );
    }

    #[test]
    fn no_code_is_given_twice() {
        let codes: BTreeSet<&str> = ALL.iter().map(|message| message.code).collect();
        assert_eq!(codes.len(), ALL.len());
    }
}
