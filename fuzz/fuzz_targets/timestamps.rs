//! Compares the fast parser of instants with chrono's.
#![no_main]

use chrono::{DateTime, Datelike as _};
use fivetran_source::fuzz_api::{instant, usual_instant};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let any = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
    if let Some(usual) = usual_instant(text) {
        assert_eq!(any, Ok(usual));
    }
    let read = instant(text);
    match (read, any) {
        (None, Err(_)) => {}
        (Some(read), Ok(any)) => {
            assert_eq!(read.timestamp_micros(), any.timestamp_micros());
            assert!((1..=9999).contains(&read.year()), "{read}");
            assert!(read.timestamp_subsec_nanos() < 1_000_000_000, "{read}");
            assert_eq!(read.timestamp_subsec_nanos() % 1_000, 0);
            assert_eq!(instant(&read.to_rfc3339()), Some(read));
        }
        (None, Ok(any)) => {
            // A leap second belongs to the next second, which may be in the year 10000.
            let whole = DateTime::from_timestamp_micros(any.timestamp_micros());
            assert!(
                whole.is_none_or(|whole| !(1..=9999).contains(&whole.year())),
                "{any}"
            );
        }
        (Some(read), Err(error)) => panic!("{read}: {error}"),
    }
});
