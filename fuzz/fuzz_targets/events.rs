//! Parses any response to a listing of events. The link to the next page contains a token that can be sent, or no
//! token, and the events become rows.
#![no_main]

use fivetran_source::{
    prefect::{EventsPage, EventsRequest},
    rows::PageReader,
    tables::{self, Feed, Strategy},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(page) = EventsPage::read(text) else {
        return;
    };
    if let Ok(token) = page.next() {
        let request = EventsRequest {
            since: None,
            until: None,
            names: &[],
            exclude: &[],
            limit: 50,
            token,
        };
        let path = request.path();
        assert!(path.starts_with("/events/filter"), "{path}");
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
        assert!(path.len() < 40_000);
    }
    for table in tables::ALL {
        if matches!(table.strategy, Strategy::AppendOnly(Feed::Events(_))) {
            let reader = PageReader::new(table, &fuzz::context(false));
            if let Ok(rows) = reader.read_events(&page.events) {
                fuzz::ask_everything(table, rows);
            }
        }
    }
});
