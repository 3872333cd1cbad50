//! `concurrency_limits`: one row per tag whose task runs are limited.
//!
//! `POST /concurrency_limits/filter`, sorted by tag. There are few limits, so all are read at every sync.
//!
//! Newer servers (3.8.8 and 3.9.1 were checked) keep the limit of a tag as a global limit named `tag:<tag>`. They
//! cut the page out of all global limits, sorted by name, and reduce it to those of tags afterwards. So limits
//! named `deployment:<id>` push the limits of tags out of every page. `POST /v2/concurrency_limits/filter` returns
//! all limits, with the same ids, so it is read as well, and limits that are new or changed there are looked up by
//! `GET`. That costs one request per sync for each page of global limits, because no response of the first listing
//! shows that it has left something out.

use super::{
    CREATED, Column, ColumnType, ID, Listing, LookUp, Second, Strategy, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "concurrency_limits",
    doc: "One row per concurrency limit of a task tag.",
    endpoint: "/concurrency_limits",
    strategy: Strategy::Snapshot(Listing {
        sort: None,
        order: "tag",
        look_up: LookUp::Get,
        each: None,
        second: Some(Second {
            table: &super::global_concurrency_limits::TABLE,
            name: "name",
            prefix: "tag:",
            column: "tag",
        }),
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED.volatile(),
        Column::new("tag", ColumnType::String, &["tag"], "The tag.").required(),
        Column::new(
            "concurrency_limit",
            ColumnType::Long,
            &["concurrency_limit"],
            "The maximum number of concurrent task runs.",
        ),
        Column::new(
            "active_slots",
            ColumnType::Json,
            &["active_slots"],
            "Task runs that held a slot when the row was read, a list of ids.",
        )
        .volatile(),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"36c28b55-1560-4781-b6f3-2f76e5c18e8c","created":"2026-11-21T00:03:18.593511Z","updated":"2026-11-21T00:03:18.593543Z","tag":"db","concurrency_limit":3,"active_slots":["6c24a543-89f8-4c70-9708-ad54f1ccad0f"]}"#,
        r#"{"id":"238ea7bb-1731-4fbc-be7b-dc78c9ca0318","created":"2026-11-21T00:03:26.108874+00:00","updated":"2026-11-21T00:03:26.108888+00:00","tag":"db","concurrency_limit":3,"active_slots":[]}"#,
    ],
    ..Table::DEFAULT
};
