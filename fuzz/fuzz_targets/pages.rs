//! Parses any text as the response to a listing, for each table, with both passes.
#![no_main]

use fivetran_source::{fuzz_api::{both_hashes_agree, both_passes_agree}, rows::PageReader, tables};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    assert!(both_hashes_agree(text));
    for table in tables::ALL {
        let context = fuzz::context(text.len() % 2 == 0);
        assert!(both_passes_agree(table, &context, text));
        let reader = PageReader::new(table, &context);
        if let Ok(page) = reader.read(text.to_owned()) {
            fuzz::ask_everything(table, page);
        }
    }
});
