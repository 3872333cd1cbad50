//! A proxy between the connector and a server that causes one fault, at a known request.
//!
//! Tables are read concurrently, so the n-th request of a sync can belong to any table. A fault is therefore addressed
//! to an endpoint and to the ordinal of a request among those of that endpoint.

use std::{
    collections::HashMap,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use test_support::{
    Action, Change, Message,
    proxy::server_and_path,
    transport::{Policy, forward},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// A fault of a response or of connections.
#[derive(Clone)]
pub(super) enum Fault {
    /// A response is changed.
    Answer(Change),
    /// All connections break, and new ones are treated like this.
    Door(Door),
}

/// The treatment of a new connection.
#[derive(Clone)]
pub(super) enum Door {
    /// The connection is refused.
    Shut,
    /// The connection is accepted, and nothing is sent.
    Mute,
    /// The connection is answered in plain text.
    GenericObject,
    /// The connection uses TLS with this configuration.
    Tls(Arc<ServerConfig>),
}

/// The request at which the fault occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The first request for flows.
    First,
    /// A later page of runs.
    Middle,
    /// The first request for flows of the second sync.
    Second,
}

impl At {
    /// Returns the endpoint whose requests are counted.
    fn endpoint(self) -> &'static str {
        match self {
            Self::First | Self::Second => "/flows/filter",
            Self::Middle => "/flow_runs/filter",
        }
    }

    /// Returns the request's ordinal among those of the endpoint, from 1.
    fn ordinal(self) -> usize {
        match self {
            Self::First | Self::Second => 1,
            Self::Middle => 4,
        }
    }

    /// Returns true if a lasting fault starts with the sync and affects the requests of every table.
    fn is_whole_sync(self) -> bool {
        self != Self::Middle
    }
}

/// The fault of a run, and its place.
pub(super) struct Plan {
    pub(super) fault: Fault,
    pub(super) at: At,
    /// True if the fault lasts from there on: in the middle of a sync only for requests to that endpoint.
    pub(super) forever: bool,
    /// The table that is requested first; requests for other tables wait for it. `None`: any order.
    pub(super) first: Option<&'static str>,
}

struct Shared {
    server: String,
    /// The transport without a fault: TLS, or plain text if `None`.
    tls: Option<Arc<ServerConfig>>,
    state: Mutex<State>,
    /// True once the table that must come first has been requested.
    begun: watch::Sender<bool>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until a request may proceed.
    async fn turn(&self, path: &str) {
        let first = self.state().first();
        if first.is_some_and(|table| table_of(path) != table) {
            let mut begun = self.begun.subscribe();
            let _ = begun.wait_for(|begun| *begun).await;
        }
    }
}

impl Policy for Shared {
    async fn request(&self, request: &Message) -> Action {
        self.turn(request.path()).await;
        let fault = self.state().decide(request.path());
        if self.state().first() == Some(table_of(request.path())) {
            self.begun.send_replace(true);
        }
        match fault {
            Some(Fault::Door(_)) => {
                let _ = self.commands.send(Command::Break);
                Action::Hold
            }
            Some(Fault::Answer(change)) => Action::Change(change),
            None => Action::Pass,
        }
    }

    fn response(&self, request: &Message, response: &mut Message, _: Duration) {
        let path = request.path().to_owned();
        response.before = self.state().before.insert(path, response.body.clone());
    }
}

/// Returns the collection that a path belongs to.
fn table_of(path: &str) -> &str {
    path.trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    is_armed: bool,
    seen: usize,
    hits: usize,
    door: Option<Door>,
    /// The number of connections that the door still affects.
    visitors: usize,
    /// The number of waits of the connector until the shut door opens.
    waits: usize,
    /// The last response to each path.
    before: HashMap<String, Vec<u8>>,
}

enum Command {
    /// Breaks all connections.
    Break,
    /// The connector waits before it tries again; it continues when this is done.
    Waited(oneshot::Sender<()>),
}

/// A running proxy; dropping it ends the proxy.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server with this URL.
    pub(super) fn start(server_url: &str, tls: Option<Arc<ServerConfig>>, plan: Plan) -> Self {
        let ip = match plan.fault {
            Fault::Door(Door::Shut) => own_address(),
            _ => Ipv4Addr::LOCALHOST,
        };
        let listener = listen((ip, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (commands, received) = mpsc::unbounded_channel();
        let mut state = State::default();
        if let (Fault::Door(door), At::First) = (&plan.fault, plan.at) {
            state.close(door.clone(), plan.forever, 0);
        }
        let is_shut = matches!(state.door, Some(Door::Shut));
        state.plan = Some(plan);
        state.is_armed = true;
        let shared = Arc::new(Shared {
            server: server_and_path(server_url).0.to_owned(),
            tls,
            state: Mutex::new(state),
            begun: watch::Sender::new(false),
            commands,
        });
        let entry = Entry {
            shared: Arc::clone(&shared),
            address,
            listener: (!is_shut).then_some(listener),
            connections: JoinSet::new(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(entry.run(received));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches the plan on or off.
    pub(super) fn arm(&self, is_armed: bool) {
        self.shared.state().is_armed = is_armed;
    }

    /// Removes the fault; returns how often it occurred.
    pub(super) async fn heal(&self) -> usize {
        let hits = {
            let mut state = self.shared.state();
            state.plan = None;
            state.visitors = 0;
            state.waits = 0;
            state.hits
        };
        self.waited().await;
        hits
    }

    /// Reports that the connector waits before it tries again.
    pub(super) async fn waited(&self) {
        let (done, is_done) = oneshot::channel();
        self.shared.commands.send(Command::Waited(done)).unwrap();
        is_done.await.unwrap();
    }
}

impl State {
    /// Closes the door while this number of connections is open.
    fn close(&mut self, door: Door, forever: bool, open: usize) {
        self.hits += 1;
        self.visitors = if forever { usize::MAX } else { 1 };
        // Each broken request waits first; only then a new connection is refused.
        self.waits = if forever { usize::MAX } else { open + 1 };
        self.door = Some(door);
    }

    /// Returns the treatment of a new connection, or `None` for the usual one.
    fn visit(&mut self) -> Option<Door> {
        if self.visitors == 0 {
            self.door = None;
        }
        let door = self.door.clone()?;
        self.visitors -= 1;
        Some(door)
    }

    /// Returns the table that must be requested first.
    fn first(&self) -> Option<&'static str> {
        self.plan.as_ref().filter(|_| self.is_armed)?.first
    }

    /// Returns the fault for a request, if any.
    fn decide(&mut self, path: &str) -> Option<Fault> {
        let plan = self.plan.as_ref().filter(|_| self.is_armed)?;
        let counts = path == plan.at.endpoint();
        if counts {
            self.seen += 1;
        }
        let is_it = counts && self.seen == plan.at.ordinal();
        let meets = match (&plan.fault, plan.at) {
            (Fault::Door(_), At::First) => false,
            (Fault::Answer(_), at) if plan.forever => {
                at.is_whole_sync() || (counts && self.seen >= at.ordinal())
            }
            (Fault::Door(_) | Fault::Answer(_), _) => is_it,
        };
        if matches!(plan.fault, Fault::Answer(_)) && meets {
            self.hits += 1;
        }
        meets.then(|| plan.fault.clone())
    }
}

/// Returns an address of this machine that no other test uses: its port stays free while the door is shut.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    Ipv4Addr::new(127, 77, 0, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Listens with `SO_REUSEADDR`, so that closing sockets do not block the port.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// The task that accepts connections.
struct Entry {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<TcpListener>,
    connections: JoinSet<()>,
}

impl Entry {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            let accept = async {
                match &self.listener {
                    Some(listener) => listener.accept().await.unwrap().0,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Break) => self.break_all().await,
                    Some(Command::Waited(done)) => {
                        self.open();
                        let _ = done.send(());
                    }
                },
                client = accept => {
                    self.connections.spawn(connection(client, Arc::clone(&self.shared)));
                }
            }
        }
    }

    async fn break_all(&mut self) {
        while self.connections.try_join_next().is_some() {}
        {
            let mut state = self.shared.state();
            if let Some(plan) = &state.plan
                && let Fault::Door(door) = plan.fault.clone()
            {
                let forever = plan.forever;
                if matches!(door, Door::Shut) {
                    self.listener = None;
                }
                state.close(door, forever, self.connections.len());
            }
        }
        self.connections.shutdown().await;
    }

    fn open(&mut self) {
        let mut state = self.shared.state();
        state.waits = state.waits.saturating_sub(1);
        if state.waits == 0 && self.listener.is_none() {
            state.door = None;
            self.listener = Some(listen(self.address).unwrap());
        }
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    client.set_nodelay(true).unwrap();
    let socket = client.as_fd().try_clone_to_owned().unwrap();
    let door = shared.state().visit();
    let tls = match door {
        Some(Door::Mute) => {
            let _client = client;
            return pending().await;
        }
        Some(Door::Shut) => return,
        Some(Door::GenericObject) => {
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            return;
        }
        Some(Door::Tls(config)) => Some(config),
        None => shared.tls.clone(),
    };
    match tls {
        Some(config) => {
            if let Ok(stream) = TlsAcceptor::from(config).accept(client).await {
                forward(stream, &socket, &*shared.server, &*shared).await;
            }
        }
        None => forward(client, &socket, &*shared.server, &*shared).await,
    }
}
