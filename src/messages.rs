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
    pub fn format(&self, text: impl Display) -> String {
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
    CONFIGURATION = "T01", "The configuration is invalid.",
        "A field of the setup form is missing or has an invalid value. The message names the field.",
        "Fix the field and save the form.";
    CREDENTIALS = "T02", "The credentials are rejected (401).",
        "The API key or the auth string is wrong or was revoked.",
        "Create a new key (Prefect Cloud: Settings, API keys or service accounts), or copy the server's auth string again.";
    ACCESS = "T03", "Access is denied (403).",
        "The key's owner lacks read access to the workspace or to one type of object, or a gateway blocks the path.",
        "Grant the key's owner the Viewer role in the workspace, or deselect the table.";
    NOT_THERE = "T04", "The address does not exist (404).",
        "The API URL has the wrong account, workspace or path. Prefect Cloud returns the same error for a workspace that the key may not see.",
        "Compare the API URL with the address of the workspace in the browser; on a self-hosted server it ends in /api.";
    REDIRECTED = "T05", "The server redirects to another address.",
        "The address belongs to a login page, or uses http:// where https:// is required. The connector does not follow redirects, so that the key is sent to no other host.",
        "Use the address in the message if it is the address of your API.";
    NOT_PREFECT = "T06", "The server is not a Prefect API.",
        "The API URL leads to a web page, a gateway or another service.",
        "Check the API URL. Behind a gateway, see the field extra_headers.";
    STATE_DAMAGED = "T07", "The saved state is damaged.",
        "The state was edited or truncated.",
        "Re-sync the connection. In a local run, restore the state file or use --full-refresh.";
    STATE_NEWER = "T08", "The saved state was written by a newer connector.",
        "An older version of the connector was installed.",
        "Use the newer version, or re-sync the connection.";
    OTHER_WORKSPACE = "T09", "The saved state belongs to another workspace.",
        "The API URL was changed, and no previously synced object exists there.",
        "Set the API URL back, or re-sync the connection. (A workspace that only has a new address is recognised.)";
    SELECTION = "T10", "The selection does not belong to this connector.",
        "Fivetran has a schema that another connector created.",
        "Refresh the connection's schema in Fivetran.";
    ANSWER_TOO_LARGE = "T11", "A response is larger than 64 MiB.",
        "The response is too large even for two objects, to which the connector reduces its pages first. The API URL leads to another service, or objects have very large parameters or labels.",
        "Check the API URL and look for such objects in Prefect, or deselect the table.";

    PROXY = "T12", "A proxy refuses the requests.",
        "The environment names a proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) that requires other credentials or does not allow the API's host. A server on this machine is never reached through a proxy.",
        "Correct the variable, allow the host in the proxy, or add the host to NO_PROXY.";

    UNREACHABLE = "E01", "The server does not respond.",
        "The host name is not known, the connection is refused or breaks, TLS fails, or no response arrives in time. Several tries failed.",
        "Nothing if the error is temporary. Otherwise check the address, port, firewall and certificate (for a private certificate authority, the field ca_certificate).";
    RATE_LIMITED = "E02", "The rate limit was exceeded for too long (429).",
        "Other clients use up the account's limit. The connector waits as long as the server requests, at most 15 minutes.",
        "Lower requests_per_minute, sync less often, or ask Prefect for a higher limit.";
    SERVER_FAILS = "E03", "The server fails (5xx).",
        "The server returned such an error at each of several tries.",
        "Nothing if the error is temporary. Otherwise check the server's log.";
    CLOCK_UNSTEADY = "E04", "The server's clock stepped back more than once.",
        "Several servers with different clocks respond at one address, or the clock is being adjusted.",
        "Synchronise the servers' clocks (NTP).";
    STOPPED = "E05", "The connector was stopped.",
        "The process was requested to stop (SIGTERM). The data that was read is kept.",
        "Nothing: the next sync continues.";
    PAGE_TOO_LARGE = "E06", "The server's page limit is too low.",
        "The server's page limit (PREFECT_API_DEFAULT_LIMIT or PREFECT_SERVER_API_DEFAULT_LIMIT) is below 2.",
        "Raise the limit.";

    NO_PROGRESS = "E07", "A listing makes no progress.",
        "Pages of a listing are empty where rows are expected, repeat rows, or do not follow one another. A cache or a gateway may be responding instead of Prefect.",
        "The next sync continues from the last checkpoint. If the error returns, check for a cache or a gateway between the connector and Prefect, or restart the server.";

    REFUSED = "F01", "The server rejects a request as invalid.",
        "The server is older or newer than the connector supports.",
        "Report it with the message and the server's version.";
    SETUP = "F02", "The HTTP client cannot be set up.",
        "The machine lacks something that the connector needs.",
        "Report it with the message.";
    FAULT = "F03", "The sync failed because of an error in the connector.",
        "The connector has a bug. Rows that were sent before the last checkpoint remain valid.",
        "Report it with the log.";

    URL_COMPLETED = "W01", "The API URL was completed.",
        "The URL had no path, or was that of a web page of Prefect; the URL of the API follows from it.",
        "Nothing, or replace the URL by that of the API, which the warning names.";
    UNKNOWN_FIELD = "W02", "A configuration field is not known.",
        "The name is misspelled, or the field belongs to another version of the connector.",
        "Remove the field, or correct its name.";
    UNKNOWN_TABLE = "W03", "A selected table is not known.",
        "The schema in Fivetran belongs to another version of the connector.",
        "Refresh the connection's schema.";
    UNKNOWN_COLUMN = "W04", "A selected column is not known.",
        "The schema in Fivetran belongs to another version of the connector.",
        "Refresh the connection's schema.";
    TABLE_SKIPPED = "W05", "A table was skipped.",
        "The server does not have the table (404), because the server is older or of another kind, or the key may not read the table (403).",
        "Nothing, or deselect the table. If you need a table that was denied (403), grant the key's owner access to it.";
    BAD_OBJECTS = "W06", "Objects were skipped.",
        "The objects are not JSON objects, have no usable id, or the server fails on them.",
        "Check the objects in Prefect. Each sync tries those again on which the server fails.";
    MISFITS = "W07", "Values do not fit their column's type.",
        "Prefect sent a type other than the documented one. The values are kept in the column unmapped.",
        "Nothing. Report it, so that the column's type can be widened.";
    UNDECLARED = "W08", "A field has no column.",
        "The server is newer than the connector. The values are kept in the column unmapped.",
        "Nothing, or use a newer connector.";
    CLOCKS_DIFFER = "W09", "Rows were updated later than the server's current time.",
        "The clocks of Prefect's API and of its database differ by more than two minutes.",
        "Synchronise both clocks (NTP). Otherwise changes can be missed.";
    NO_DATE = "W10", "The responses carry no time.",
        "A proxy or gateway removes the Date header. This machine's clock is used instead.",
        "Configure it to pass the header on.";
    STEPPED_BACK = "W11", "The clock stepped back.",
        "The server's clock was adjusted, or another server responds. Rows that were read by that clock are read and sent again.",
        "Synchronise the clocks (NTP).";
    MOVED = "W12", "The workspace has a new address.",
        "The API URL was changed. Previously synced objects exist there, so the sync continues.",
        "Nothing.";
    STATE_FULL = "W13", "There are too many objects for the state.",
        "The state is limited to 1 MiB. Less is kept of the largest table; the message says which changes are not detected as a result.",
        "Nothing, or deselect the table.";
    MANY_OPEN = "W14", "More runs are open than the state can hold.",
        "More than 12,000 runs have not ended, for example because schedules reach far ahead. The end of the remaining runs is detected, their deletion is not.",
        "Look for runs that never end.";
    AGED_OUT = "W15", "Open runs disappeared during a pause.",
        "The last sync was more than three days ago. The runs may have ended and aged out, so they are not marked as deleted.",
        "Sync more often.";
    UNREADABLE = "W16", "The server fails on some runs.",
        "The server fails (500) on each page that contains them, as Prefect 2.20 does on an integer beyond 64 bits in a run's parameters. The other runs are read.",
        "Upgrade the server, or delete the runs. Each sync tries them again.";
    RARELY = "W17", "Syncs are too rare.",
        "More than half of the retention (the field retention_days) has passed since the last sync. Data that Prefect deletes before it is read is lost.",
        "Sync more often, or correct retention_days.";
    DATES_AHEAD = "W21", "The dates of the responses are ahead of the rows.",
        "The clock that dates Prefect's responses, such as that of a gateway or of one of several servers, is ahead of the clock that dates the updates of rows by two minutes or more. Or rows with old times were imported, for example from a backup. Flows, variables, artifacts, logs and events are still found; late edits of runs may be missed.",
        "Synchronise the clocks (NTP).";
    NO_ADDRESS = "W24", "Objects that belong to one with an unusual name cannot be read.",
        "Their address in the API contains the name of another object, such as a work pool, and that name is `.` or `..`. No HTTP client can send such an address.",
        "Rename that other object in Prefect.";
    RESTORED = "W25", "Objects are older than at the last sync.",
        "A backup of Prefect's database was restored. The table is sent again; objects that were created after the backup are marked as deleted.",
        "Nothing.";
}

/// Returns all messages in Markdown, the content of `docs/MESSAGES.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Messages\n\nGenerated from `src/messages.rs` by `fivetran_source messages`; do not edit.\n\n\
         Every message that the connector shows ends with its code. `T`: something to fix, shown as a task in \
         Fivetran's dashboard. `E`: the sync ended early; the data that was read is kept, and the next sync \
         continues. `F`: an error in the connector. `W`: a warning; the sync continues.\n\n\
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
        assert_eq!(written, markdown(), "regenerate it: make generated");
    }

    #[test]
    fn no_code_is_given_twice() {
        let codes: BTreeSet<&str> = ALL.iter().map(|message| message.code).collect();
        assert_eq!(codes.len(), ALL.len());
    }
}
