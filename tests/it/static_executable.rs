//! The static executable in an empty root. `scripts/static.sh` builds both and runs this test.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use fivetran_source::fivetran::proto::{
    self, source_connector_client::SourceConnectorClient, test_response::Response,
};
use prefect_fake::Population;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tonic::transport::Channel;

use crate::support::served::{configuration, last_state, rows};

/// The name of this machine in the root's `/etc/hosts`.
const HOST: &str = "prefect.test";

/// The name of this machine that only the name server knows.
const HOST_BY_DNS: &str = "prefect-by-dns.test";

/// The name server in the root's `/etc/resolv.conf`: a loopback address that no other program uses.
const NAME_SERVER: (&str, u16) = ("127.83.0.1", 53);

/// The executable in its root, killed when this value is dropped.
struct Alone {
    process: Child,
    client: SourceConnectorClient<Channel>,
}

impl Alone {
    #[expect(clippy::print_stdout, reason = "its log is what is looked at")]
    async fn start(root: &Path) -> Self {
        let mut process = Command::new("chroot")
            .arg(root)
            .args(["/fivetran_source", "--port", "0"])
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        println!("{first}");
        // The rest of the output is printed; the executable would block on unread output.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| println!("{line}"));
        });
        let port: String = first
            .split("port=")
            .nth(1)
            .unwrap_or_else(|| panic!("no port: {first}"))
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let client = SourceConnectorClient::connect(format!("http://127.0.0.1:{port}"));
        Self {
            client: client.await.unwrap(),
            process,
        }
    }

    /// Runs the connection test and returns its response.
    async fn test(&mut self, more: &[(&str, &str)], url: &str) -> Response {
        let request = proto::TestRequest {
            name: "connection".to_owned(),
            configuration: configuration(url, more),
        };
        let answer = self.client.test(request).await.unwrap().into_inner();
        answer.response.unwrap()
    }

    /// Runs a historical sync, and returns its number of rows and the size of its state in bytes.
    async fn sync(&mut self, more: &[(&str, &str)], url: &str) -> (usize, usize) {
        let request = proto::UpdateRequest {
            configuration: configuration(url, more),
            selection: None,
            state_json: None,
        };
        let (operations, end) = test_support::sync(&mut self.client, request).await;
        end.unwrap();
        let state = last_state(&operations).map_or(0, |state| state.len());
        (rows(&operations), state)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a TLS proxy in front of a server and returns its port.
async fn terminate(folder: &Path, server: &str) -> (u16, JoinHandle<()>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let settings = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = server
        .trim_start_matches("http://")
        .trim_end_matches("/api")
        .to_owned();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate disconnects here.
                let Ok(mut client) = acceptor.accept(stream).await else {
                    return;
                };
                let mut behind = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut behind).await;
            });
        }
    });
    (port, serving)
}

/// Starts a name server that knows one name and one address for that name.
async fn name_server() -> JoinHandle<()> {
    let socket = UdpSocket::bind(NAME_SERVER).await.unwrap();
    let mut known = vec![];
    for label in HOST_BY_DNS.split('.') {
        known.push(u8::try_from(label.len()).unwrap());
        known.extend(label.as_bytes());
    }
    known.push(0);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            // RFC 1035: id, flags, four counts; the question: name, type, class.
            let question = &buffer[12..length];
            let name_end = question.iter().position(|byte| *byte == 0).unwrap() + 1;
            let (name, kind) = (&question[..name_end], &question[name_end..name_end + 4]);
            let is_known = name == known;
            let has_address = is_known && kind == [0, 1, 0, 1];
            let mut answer = buffer[..2].to_vec();
            answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
            answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
            answer.extend(name);
            answer.extend(kind);
            if has_address {
                // A pointer to the name in the question, and an IPv4 address with a TTL of one minute.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and the static executable: scripts/static.sh"]
async fn syncs_over_tls_by_host_name_in_an_empty_root() {
    let folder = |name: &str| PathBuf::from(env::var_os(name).expect(name));
    let (root, tls) = (folder("STATIC_ROOT"), folder("STATIC_TLS"));
    let population = Population {
        runs: 450,
        ..Population::small(7, prefect_fake::population::fixed_now())
    };
    let server = prefect_fake::Server::start(prefect_fake::Options::new(population)).await;
    let server = server.unwrap();
    let (port, terminator) = terminate(&tls, &server.url()).await;
    let names = name_server().await;
    let mut alone = Alone::start(&root).await;
    let url = format!("https://{HOST}:{port}/api");
    let authority = std::fs::read_to_string(tls.join("ca.pem")).unwrap();
    let trusted = [("ca_certificate", authority.as_str())];

    println!("test of {url}, trusting nobody in particular:");
    let answer = alone.test(&[], &url).await;
    println!("  {answer:?}");
    assert!(
        matches!(&answer, Response::Failure(text) if text.contains("the TLS connection fails")),
        "the built-in roots do not know the authority"
    );

    let other = format!("https://nowhere.test:{port}/api");
    println!("test of {other}:");
    let answer = alone.test(&trusted, &other).await;
    println!("  {answer:?}");
    assert!(matches!(&answer, Response::Failure(text) if text.contains("is not known")));

    for host in [HOST, HOST_BY_DNS] {
        let url = format!("https://{host}:{port}/api");
        println!("test of {url}, trusting its authority:");
        let answer = alone.test(&trusted, &url).await;
        println!("  {answer:?}");
        assert_eq!(answer, Response::Success(true));
        println!("sync of {url}:");
        let (rows, state) = alone.sync(&trusted, &url).await;
        println!("  {rows} rows, a state of {state} bytes");
        assert!(rows > 450 && state > 0);
    }
    terminator.abort();
    names.abort();
}
