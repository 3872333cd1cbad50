//! The number of an account's concurrent requests never exceeds the configured limit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fivetran_source::{
    clock::SystemClock,
    config,
    prefect::{Accounts, Collection, HttpApi, ListRequest, PrefectApi, RetryPolicy},
    telemetry::Telemetry,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::support::served::configuration;

const AT_ONCE: usize = 3;
const REQUESTS: usize = 10;

/// A server that responds to each request only when the test releases it.
struct Holding {
    url: String,
    arrivals: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// The highest number of concurrent requests.
    most: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Holding {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let most = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let now = Arc::new(AtomicUsize::new(0));
            let mut callers = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (arrived, now, seen) = (arrived.clone(), now.clone(), seen.clone());
                callers.spawn(answer(socket, arrived, now, seen));
            }
        });
        Self {
            url,
            arrivals,
            most,
            _tasks: tasks,
        }
    }
}

async fn answer(
    mut socket: TcpStream,
    arrived: mpsc::UnboundedSender<oneshot::Sender<()>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
) {
    let mut request = Vec::new();
    // The body, a JSON object, is the last part of a request.
    while socket.read_buf(&mut request).await.unwrap() > 0 {
        if !request.ends_with(b"}") {
            continue;
        }
        request.clear();
        let under_way = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(under_way, Ordering::SeqCst);
        let (release, released) = oneshot::channel();
        arrived.send(release).unwrap();
        released.await.unwrap();
        now.fetch_sub(1, Ordering::SeqCst);
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
        socket.write_all(text.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_configured() {
    let mut server = Holding::start().await;
    let at_once = AT_ONCE.to_string();
    let settings = config::parse(&configuration(&server.url, &[("concurrency", &at_once)]))
        .unwrap()
        .settings;
    // Two syncs of one account.
    let accounts = Accounts::default();
    let apis = [(); 2].map(|()| {
        let clock = Arc::new(SystemClock);
        let api = HttpApi::new(
            settings.clone(),
            RetryPolicy::SYNC,
            clock,
            Telemetry::default(),
        );
        Arc::new(api.unwrap().sharing(&accounts))
    });
    let mut asked = JoinSet::new();
    for number in 0..REQUESTS {
        let api = Arc::clone(&apis[number % apis.len()]);
        asked.spawn(async move {
            let request = ListRequest {
                collection: Collection("/flows"),
                sort: Some("NAME_ASC"),
                limit: 2,
                ..ListRequest::default()
            };
            api.list(&request, Ok).await.unwrap();
        });
    }
    let mut held = Vec::new();
    for _ in 0..REQUESTS {
        held.push(server.arrivals.recv().await.unwrap());
        if held.len() == AT_ONCE {
            held.remove(0).send(()).unwrap();
        }
    }
    for release in held {
        release.send(()).unwrap();
    }
    while let Some(ended) = asked.join_next().await {
        ended.unwrap();
    }
    assert_eq!(server.most.load(Ordering::SeqCst), AT_ONCE);
}
