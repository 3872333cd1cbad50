//! A table of the faults of connections and of the transport of responses.

use std::sync::Arc;

use test_support::{Change, Message, Step};

use super::{
    Ends::{self, Survives, Task, Unavailable},
    answers,
    proxy::{Door, Fault},
    tls::Authority,
};

/// The address by which the connector reaches the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Http,
    /// An address that does not count as this machine: responses may be compressed.
    HttpFromAfar,
    /// HTTPS with the private authority in the configuration.
    Https,
}

/// A row of the matrix.
pub(super) struct Case {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    pub(super) way: Way,
    /// True if the fault lasts until the client stops waiting.
    pub(super) hangs: bool,
    /// The expected ends with a single fault and, in `forever`, with a lasting one. Each has three: at the first
    /// request, in the middle, and in the second sync.
    pub(super) once: [Ends; 3],
    pub(super) forever: [Ends; 3],
}

impl Case {
    /// Returns the case of a fault that lasts until the client stops waiting.
    fn hanging(self) -> Self {
        Self {
            hangs: true,
            ..self
        }
    }
}

pub(super) const TRANSIENT: ([Ends; 3], [Ends; 3]) = ([Survives; 3], [Unavailable; 3]);
pub(super) const HARMLESS: ([Ends; 3], [Ends; 3]) = ([Survives; 3], [Survives; 3]);
/// The fault may pass; if it lasts, the user must act.
pub(super) const ODD: ([Ends; 3], [Ends; 3]) = ([Survives; 3], [Task; 3]);
pub(super) const LASTING: ([Ends; 3], [Ends; 3]) = ([Task; 3], [Task; 3]);
pub(super) const REFUSED: ([Ends; 3], [Ends; 3]) = ([Ends::Internal; 3], [Ends::Internal; 3]);

pub(super) fn case(
    group: &'static str,
    name: &'static str,
    (once, forever): ([Ends; 3], [Ends; 3]),
    fault: Fault,
) -> Case {
    Case {
        group,
        name,
        fault,
        way: Way::Http,
        hangs: false,
        once,
        forever,
    }
}

pub(super) fn answer(change: impl Fn(&Message) -> Vec<Step> + Send + Sync + 'static) -> Fault {
    let change: Change = Arc::new(change);
    Fault::Answer(change)
}

/// Changes the response and sends it as a whole.
pub(super) fn edited(change: impl Fn(Message) -> Message + Send + Sync + 'static) -> Fault {
    Fault::Answer(test_support::edited(change))
}

pub(super) fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

/// Sends the head and half of the body, and then performs this step.
fn half_then(step: Step) -> Fault {
    answer(move |message| {
        let start = [message.head(), half(&message.body)].concat();
        vec![Step::Send(start), step.clone()]
    })
}

fn connections() -> Vec<Case> {
    let group = "The connection";
    vec![
        case(group, "refused", TRANSIENT, Fault::Door(Door::Shut)),
        case(
            group,
            "reset before the response",
            TRANSIENT,
            answer(|_| vec![Step::Reset]),
        ),
        case(
            group,
            "reset within the head",
            TRANSIENT,
            answer(|message| vec![Step::Send(half(&message.head())), Step::Reset]),
        ),
        case(
            group,
            "reset within the body",
            TRANSIENT,
            half_then(Step::Reset),
        ),
        case(
            group,
            "closed before the response",
            TRANSIENT,
            answer(|_| vec![Step::Close]),
        ),
        case(
            group,
            "closed within the body",
            TRANSIENT,
            half_then(Step::Close),
        ),
        case(
            group,
            "closed after each response, without notice",
            HARMLESS,
            answer(|message| vec![Step::Send(message.bytes()), Step::Close]),
        ),
        case(
            group,
            "no data before the response",
            TRANSIENT,
            answer(|_| vec![Step::Hang]),
        )
        .hanging(),
        case(
            group,
            "no more data within the head",
            TRANSIENT,
            answer(|message| vec![Step::Send(half(&message.head())), Step::Hang]),
        )
        .hanging(),
        case(
            group,
            "no more data within the body",
            TRANSIENT,
            half_then(Step::Hang),
        )
        .hanging(),
        case(
            group,
            "bytes arrive one at a time",
            HARMLESS,
            answer(|message| {
                let bytes = message.bytes();
                let (first, rest) = bytes.split_at(bytes.len().min(1_000));
                vec![
                    Step::Drip(first.to_vec(), 1),
                    Step::Drip(rest.to_vec(), 777),
                ]
            }),
        ),
    ]
}

fn framing() -> Vec<Case> {
    let group = "HTTP";
    let chunked = |message: &Message| message.clone().with("transfer-encoding", "chunked");
    let chunk = |body: &[u8]| {
        let head = format!("{:x}\r\n", body.len()).into_bytes();
        [head, body.to_vec(), b"\r\n".to_vec()].concat()
    };
    vec![
        case(
            group,
            "`Content-Length` larger than the body",
            TRANSIENT,
            answer(|message| {
                let length = (message.body.len() + 10).to_string();
                let message = message.clone().with("content-length", &length);
                vec![Step::Send(message.bytes()), Step::Close]
            }),
        ),
        case(
            group,
            "`Content-Length` smaller than the body",
            ODD,
            answer(|message| {
                let length = (message.body.len() / 2).to_string();
                let message = message.clone().with("content-length", &length);
                vec![Step::Send(message.bytes())]
            }),
        ),
        case(
            group,
            "in chunks",
            HARMLESS,
            answer(move |message| {
                let body = [chunk(&message.body), b"0\r\n\r\n".to_vec()].concat();
                vec![Step::Send(chunked(message).body(body).bytes())]
            }),
        ),
        case(
            group,
            "in chunks, one of which has no size",
            TRANSIENT,
            answer(move |message| {
                let body = [chunk(&message.body), b"who knows\r\n".to_vec()].concat();
                vec![Step::Send(chunked(message).body(body).bytes()), Step::Close]
            }),
        ),
        case(
            group,
            "in chunks, without the last one",
            TRANSIENT,
            answer(move |message| {
                let body = chunk(&message.body);
                vec![Step::Send(chunked(message).body(body).bytes()), Step::Close]
            }),
        ),
        case(
            group,
            "a response that is not HTTP",
            TRANSIENT,
            answer(|_| {
                vec![
                    Step::Send(b"220 mail.example ESMTP\r\n".to_vec()),
                    Step::Close,
                ]
            }),
        ),
        case(
            group,
            "two responses to one request",
            HARMLESS,
            answer(|message| vec![Step::Send([message.bytes(), message.bytes()].concat())]),
        ),
    ]
}

fn compressed() -> Vec<Case> {
    let group = "HTTP";
    let cases = [
        case(
            group,
            "gzip",
            HARMLESS,
            edited(|message| zipped(&message, |zip| zip)),
        ),
        case(
            group,
            "gzip, truncated",
            TRANSIENT,
            edited(|message| zipped(&message, |zip| half(&zip))),
        ),
        case(
            group,
            "gzip, with a wrong checksum",
            TRANSIENT,
            edited(|message| {
                zipped(&message, |mut zip| {
                    let at = zip.len() - 8;
                    zip[at] ^= 1;
                    zip
                })
            }),
        ),
        case(
            group,
            "declared as gzip, but plain",
            TRANSIENT,
            edited(|message| message.with("content-encoding", "gzip")),
        ),
    ];
    cases
        .into_iter()
        .map(|case| Case {
            way: Way::HttpFromAfar,
            ..case
        })
        .collect()
}

fn zipped(message: &Message, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Message {
    use std::io::Write as _;
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&message.body).unwrap();
    let body = change(zip.finish().unwrap());
    message.clone().with("content-encoding", "gzip").body(body)
}

fn tls() -> Vec<Case> {
    let group = "TLS";
    let authority = Authority::get();
    let tls = |config: &Arc<_>| Fault::Door(Door::Tls(Arc::clone(config)));
    let cases = [
        case(
            group,
            "a private authority, configured as `ca_certificate`",
            HARMLESS,
            tls(&authority.good),
        ),
        case(
            group,
            "a certificate for another host",
            TRANSIENT,
            tls(&authority.wrong_host),
        ),
        case(
            group,
            "a certificate that has expired",
            TRANSIENT,
            tls(&authority.expired),
        ),
        case(
            group,
            "a certificate of an unknown authority",
            TRANSIENT,
            tls(&authority.unknown),
        ),
        case(
            group,
            "plain text instead of TLS",
            TRANSIENT,
            Fault::Door(Door::GenericObject),
        ),
        Case {
            hangs: true,
            ..case(
                group,
                "no data during the TLS handshake",
                TRANSIENT,
                Fault::Door(Door::Mute),
            )
        },
    ];
    let mut cases: Vec<Case> = cases
        .into_iter()
        .map(|case| Case {
            way: Way::Https,
            ..case
        })
        .collect();
    cases.push(case(
        group,
        "TLS where plain text is configured",
        TRANSIENT,
        tls(&authority.good),
    ));
    cases
}

/// Returns all cases; redirects lead to `canary`.
pub(super) fn all(canary: &str) -> Vec<Case> {
    [
        connections(),
        framing(),
        compressed(),
        tls(),
        answers::contents(),
        answers::statuses(),
        answers::redirects(canary),
        answers::dates(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
