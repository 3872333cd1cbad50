//! Parses any text as the response to a listing, for each table.
#![no_main]

use fivetran_source::{rows::PageReader, tables};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for table in tables::ALL {
        let reader = PageReader::new(table, &fuzz::context(text.len() % 2 == 0));
        if let Ok(page) = reader.read(text.to_owned()) {
            fuzz::ask_everything(table, page);
        }
    }
});
