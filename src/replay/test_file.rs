//! Files of recordings for tests.

use std::{collections::BTreeMap, io::Write as _};

use chrono::DateTime;
use serde_json::value::RawValue;
use tempfile::NamedTempFile;

use super::entry::{Entry, Exchange, FileHeader, VERSION};

/// Writes a complete recording of these entries. The file exists as long as the returned value.
pub(super) fn recording(entries: &[(Entry, impl AsRef<[u8]>)]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let mut out = zstd::stream::write::Encoder::new(file.reopen().unwrap(), 1).unwrap();
    let head = Entry::Recording(FileHeader {
        version: VERSION,
        connector: "0".into(),
        began: DateTime::UNIX_EPOCH,
        seed: 1,
        configuration: BTreeMap::from([("api_url".into(), "http://host/api".into())]),
        hidden: Vec::new(),
        redacted: Vec::new(),
    });
    head.write(&[], &mut out).unwrap();
    for (entry, payload) in entries {
        entry.write(&[payload.as_ref()], &mut out).unwrap();
    }
    Entry::Complete { ms: 0 }.write(&[], &mut out).unwrap();
    out.finish().unwrap().flush().unwrap();
    file
}

/// Returns a request for work pools with its response.
pub(super) fn exchange(requester: Option<u32>, body: &str) -> (Entry, &str) {
    let exchange = Exchange {
        at: 5,
        duration: 3,
        requester,
        method: "POST".into(),
        target: "/work_pools/filter".into(),
        request_body: RawValue::from_string(r#"{"limit":2}"#.into()).ok(),
        status: Some(200),
        headers: vec![("content-type".into(), "application/json".into())],
        no_response: None,
        bytes: body.len(),
    };
    (Entry::Exchange(exchange), body)
}
