//! Parses any selection and encodes a row of each selected table.
#![no_main]

use fivetran_source::{
    fivetran::{MessageEncoder, proto},
    fuzz_api::read_selection,
    rows::{Context, Row},
    sync::Op,
};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|data: &[u8]| {
    let Ok(selection) = proto::Selection::decode(data) else {
        return;
    };
    let Ok((selected, warnings)) = read_selection(&selection) else {
        return;
    };
    assert!(warnings.iter().all(|text| !text.contains(char::is_control)));
    let mut names: Vec<_> = selected
        .tables
        .iter()
        .map(|table| table.table.name)
        .collect();
    for table in &selected.tables {
        assert_eq!(table.columns.len(), table.table.columns.len());
        assert!(table.columns[0], "the key");
        let sent = table.columns.iter().filter(|sent| **sent).count();
        let sample = table.table.samples[0];
        let row = Row::parse(table.table, sample, &Context::default()).expect("a row");
        let op = Op::Upsert {
            table: table.table.name,
            row,
        };
        let messages = MessageEncoder::new(&selected).messages(vec![op]);
        let message = proto::UpdateResponse::decode(&*messages[0].encode_to_vec());
        match message.expect("a message").operation {
            Some(proto::update_response::Operation::Records(records)) => {
                assert_eq!(records.records[0].data.len(), sent);
            }
            other => panic!("{other:?}"),
        }
    }
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
});
