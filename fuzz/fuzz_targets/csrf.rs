//! Parses any response with a CSRF token, and any body of an error, from which a message is built.
#![no_main]

use std::sync::LazyLock;

use fivetran_source::fuzz_api::{Tokens, read_error};
use libfuzzer_sys::fuzz_target;

static TOKENS: LazyLock<Tokens> = LazyLock::new(Tokens::default);

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (_, is_request) = TOKENS.read_token(&text);
    assert!(is_request, "a token that cannot be sent was taken");
    let (words, limit, target) = read_error(&text, data);
    assert!(words.chars().count() <= 202 || words.starts_with(": field "));
    assert!(limit != Some(0));
    assert!(!target.is_empty());
});
