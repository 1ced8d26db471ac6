//! A proxy before a registry without TLS: counts requests, and breaks those that a test wants broken. One request a connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `name: value` lines.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Whether it is about an upload, and carries bytes.
    pub(crate) fn sends_blob(&self) -> bool {
        self.path.contains("/blobs/uploads/") && !self.body.is_empty()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// This answer, with header lines and body, in place of the registry's.
    Answer(u16, &'static str, String),
    /// So many bytes of the body reach the registry, then both connections are reset.
    CutAfter(usize),
    /// The registry gets it; its answer is lost.
    LoseAnswer,
    /// The registry's answer, with the text replaced.
    Replace(String, String),
}

type Decide = dyn Fn(&Request) -> Fate + Send + Sync;

/// The proxy; it listens until the test's process ends.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    pub(crate) fn before(registry: u16, decide: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (decide, log): (Arc<Decide>, _) = (Arc::new(decide), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (decide, log) = (Arc::clone(&decide), Arc::clone(&log));
                // A connection that ends early is what these tests are about.
                std::thread::spawn(move || drop(serve(client, registry, &*decide, &log)));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().expect("no panic"))
    }
}

fn serve(client: TcpStream, registry: u16, decide: &Decide, log: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = [0u8];
    if client.peek(&mut first)? == 0 || !first[0].is_ascii_uppercase() {
        // A TLS handshake: there is none here.
        return client.shutdown(Shutdown::Both);
    }
    let request = read(&mut reader)?;
    let fate = decide(&request);
    log.lock().expect("no panic").push(request.clone());
    let mut client = client;
    if let Fate::Answer(status, headers, body) = &fate {
        let length = body.len();
        return write!(
            client,
            "HTTP/1.1 {status} Test\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }
    let mut server = TcpStream::connect(("127.0.0.1", registry))?;
    write!(server, "{} {} HTTP/1.1\r\n", request.method, request.path)?;
    for line in request.headers.iter().filter(|line| !line.to_lowercase().starts_with("connection:")) {
        write!(server, "{line}\r\n")?;
    }
    write!(server, "connection: close\r\n\r\n")?;
    if let Fate::CutAfter(bytes) = fate {
        server.write_all(&request.body[..bytes.min(request.body.len())])?;
        server.shutdown(Shutdown::Both)?;
        return client.shutdown(Shutdown::Both);
    }
    server.write_all(&request.body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    match fate {
        Fate::LoseAnswer => client.shutdown(Shutdown::Both),
        Fate::Replace(from, to) => client.write_all(String::from_utf8_lossy(&answer).replace(&from, &to).as_bytes()),
        _ => client.write_all(&answer),
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => request.headers.push(line.to_owned()),
        }
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(request)
}
