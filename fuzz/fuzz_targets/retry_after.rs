//! Parses `Retry-After` and `Date` headers.
#![no_main]

use std::time::Duration;

use chrono::{DateTime, Utc};
use fivetran_source::{
    fuzz_api::{retry_after, server_time},
    prefect::RetryPolicy,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i64, u8, &[u8])| {
    let (seconds, random, header) = input;
    let now = DateTime::from_timestamp(seconds % 253_402_300_800, 0).expect("in range");
    let random = f64::from(random) / 255.0;
    let date: Option<DateTime<Utc>> = server_time(header);
    let text = String::from_utf8_lossy(header);
    for now in [Some(now), date].into_iter().flatten() {
        let (asked, wait) = retry_after(&text, now, random);
        if let Some(wait) = wait {
            assert!(wait <= RetryPolicy::SYNC.rate_limit);
            assert!(asked.is_none_or(|asked| wait >= asked));
        } else {
            assert!(asked > Some(RetryPolicy::SYNC.rate_limit - Duration::from_secs(1)));
        }
    }
});
