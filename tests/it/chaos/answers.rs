//! The faults of a complete response: its content, its status, its headers.

use test_support::Step;

use super::{
    Ends::{Survives, Task, Unavailable, Warned},
    faults::{Case, HARMLESS, LASTING, ODD, REFUSED, TRANSIENT, answer, case, edited},
};

pub(super) fn contents() -> Vec<Case> {
    let group = "Content of a 200 response";
    let odd = |name: &'static str, body: &'static [u8]| {
        case(group, name, ODD, edited(move |message| message.body(body)))
    };
    // The response is complete and well-formed, so only the next sync requests it again.
    let useless = |name, body| Case {
        once: [Task; 3],
        ..odd(name, body)
    };
    vec![
        odd("a web page", b"<!DOCTYPE html><html>Sign in</html>"),
        odd("`{}`", b"{}"),
        odd("`null`", b"null"),
        odd("a text", b"\"text\""),
        odd("an error", b"{\"detail\": \"said by the test\"}"),
        odd("nothing", b""),
        odd("text that is not UTF-8", b"[{\"id\": \"\xff\xfe\"}]"),
        odd("JSON that ends in the middle", b"[{\"id\": \"a\", \"name"),
        useless("a list of numbers", b"[1, 2, 3]"),
        useless("objects without ids", b"[{}, {}]"),
        case(
            group,
            "another JSON document after the list",
            ODD,
            edited(|message| {
                let body = [&message.body[..], b"[]"].concat();
                message.body(body)
            }),
        ),
        case(
            group,
            "more than 64 MiB, with a declared length",
            ODD,
            answer(|message| {
                let message = message.clone().body("").with("content-length", "80000000");
                vec![Step::Send(message.bytes()), Step::Flood(b' ', 80_000_000)]
            }),
        ),
        case(
            group,
            "more than 64 MiB, without an end",
            ODD,
            answer(|message| {
                let message = message
                    .clone()
                    .body("")
                    .with("transfer-encoding", "chunked");
                let chunk = b"40000000\r\n".to_vec();
                vec![
                    Step::Send([message.bytes(), chunk].concat()),
                    Step::Flood(b' ', 1 << 30),
                ]
            }),
        ),
    ]
}

/// Responses that look correct but contain less than the server has.
pub(super) fn incomplete_responses() -> Vec<Case> {
    let group = "Content of a 200 response";
    vec![
        case(
            group,
            "an empty list",
            HARMLESS,
            edited(|message| message.body("[]")),
        ),
        case(
            group,
            "the answer before, once more",
            HARMLESS,
            edited(|message| {
                let body = message.before.clone();
                let body = body.unwrap_or_else(|| message.body.clone());
                message.body(body)
            }),
        ),
    ]
}

pub(super) fn statuses() -> Vec<Case> {
    let group = "The status";
    let status = |name: &'static str, status: u16, ends, headers: &'static [(&str, &str)]| {
        let fault = edited(move |message| {
            let message = message.status(status);
            let message = message.body(r#"{"detail": "said by the test"}"#);
            headers
                .iter()
                .fold(message, |message, (name, value)| message.with(name, value))
        });
        case(group, name, ends, fault)
    };
    // The second sync has nothing to send in any case.
    let reported = ([Warned, Warned, Survives], [Task, Warned, Task]);
    vec![
        status("204, no content", 204, ODD, &[]),
        status("400", 400, REFUSED, &[]),
        status("401", 401, LASTING, &[]),
        status("403", 403, reported, &[]),
        status("404", 404, reported, &[]),
        status("405", 405, LASTING, &[]),
        status("408", 408, TRANSIENT, &[]),
        status("411", 411, REFUSED, &[]),
        status("413", 413, REFUSED, &[]),
        status("422", 422, REFUSED, &[]),
        status("425", 425, TRANSIENT, &[]),
        status("451", 451, REFUSED, &[]),
        status("429", 429, TRANSIENT, &[]),
        status(
            "429, `Retry-After: 7`",
            429,
            TRANSIENT,
            &[("retry-after", "7")],
        ),
        status(
            "429, `Retry-After:` a date",
            429,
            TRANSIENT,
            &[("retry-after", "Mon, 21 Sep 2026 13:33:30 GMT")],
        ),
        status(
            "429, `Retry-After:` a date of the past",
            429,
            TRANSIENT,
            &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")],
        ),
        status(
            "429, `Retry-After: -7`",
            429,
            TRANSIENT,
            &[("retry-after", "-7")],
        ),
        status(
            "429, `Retry-After: 99999999999`",
            429,
            ([Unavailable; 3], [Unavailable; 3]),
            &[("retry-after", "99999999999")],
        ),
        status(
            "429, `Retry-After: soon`",
            429,
            TRANSIENT,
            &[("retry-after", "soon")],
        ),
        status("500", 500, TRANSIENT, &[]),
        status("502", 502, TRANSIENT, &[]),
        status("503", 503, TRANSIENT, &[]),
        status(
            "503, `Retry-After: 7`",
            503,
            TRANSIENT,
            &[("retry-after", "7")],
        ),
        status("504", 504, TRANSIENT, &[]),
        status("520", 520, TRANSIENT, &[]),
    ]
}

pub(super) fn redirects(canary: &str) -> Vec<Case> {
    [
        ("301 to another server", 301),
        ("302 to another server", 302),
        ("307 to another server", 307),
        ("308 to another server", 308),
    ]
    .into_iter()
    .map(|(name, status)| {
        let location = format!("{canary}/login?token=secret");
        let fault = edited(move |message| {
            let message = message.status(status).body("");
            message.with("location", &location)
        });
        case("The status", name, LASTING, fault)
    })
    .collect()
}

pub(super) fn dates() -> Vec<Case> {
    let group = "The server's clock";
    let dated = |name: &'static str, ends, date: &'static str| {
        let fault = edited(move |message| message.without("date").with("date", date));
        case(group, name, ends, fault)
    };
    vec![
        case(
            group,
            "no `Date`",
            HARMLESS,
            edited(|message| message.without("date")),
        ),
        dated("an invalid `Date`", HARMLESS, "yesterday"),
        dated("a year behind", HARMLESS, "Sun, 21 Sep 2025 12:00:00 GMT"),
        dated("a year ahead", HARMLESS, "Tue, 21 Sep 2027 12:00:00 GMT"),
    ]
}
