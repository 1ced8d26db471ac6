//! Something between crudctl and the API server: counts requests, asks for patience, or is cut.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::cluster::{Cluster, lab};

/// What it does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// It goes on to the API server.
    Pass,
    /// 429, and to come back after a second.
    Busy,
    /// Nothing gets through, in no direction, and nobody is told.
    Cut,
}

#[derive(Default)]
struct State {
    mode: AtomicU8,
    seen: Mutex<Vec<String>>,
}

impl State {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }
}

/// A proxy in front of the API server, which it asks as the lab's administrator.
pub(crate) struct Proxy {
    state: Arc<State>,
    port: u16,
    behind: Child,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(lab().join("bin/kubectl"));
        command.env("KUBECONFIG", lab().join("admin.kubeconfig")).args(["proxy", "--port=0", "--accept-paths=.*"]);
        let mut behind = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("kubectl");
        let mut line = String::new();
        BufReader::new(behind.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        let to: u16 = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A connection that breaks is its client's matter.
                std::thread::spawn(move || drop(serve(stream, to, &state)));
            }
        });
        Self { state, port, behind }
    }

    /// A kubeconfig that leads here, in the test's folder.
    pub(crate) fn kubeconfig(&self, cluster: &Cluster) -> std::path::PathBuf {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}], \
             users: [{{name: u, user: {{}}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}",
            self.port
        );
        cluster.write("proxy.kubeconfig", &text)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// The requests since it was asked last: method and path.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.seen.lock().expect("requests"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.behind.kill();
        let _ = self.behind.wait();
    }
}

fn serve(stream: TcpStream, to: u16, state: &State) -> std::io::Result<()> {
    let mut client = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(bytes) = lower.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let first = head.lines().next().unwrap_or_default();
    state.seen.lock().expect("requests").push(first.rsplit_once(' ').map_or(first, |(request, _)| request).to_owned());
    let mut stream = stream;
    if state.is(Mode::Busy) {
        let answer =
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";
        return stream.write_all(answer.as_bytes());
    }
    // What was on its way is lost.
    if wait_out(state) {
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", to))?;
    write!(server, "{head}Connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    let mut buffer = vec![0; 1 << 16];
    server.set_read_timeout(Some(Duration::from_millis(100)))?;
    loop {
        let read = server.read(&mut buffer);
        if wait_out(state) {
            return Ok(());
        }
        match read {
            Ok(0) => return stream.shutdown(std::net::Shutdown::Both),
            Ok(bytes) => stream.write_all(&buffer[..bytes])?,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether it was cut; ends when it is no more.
fn wait_out(state: &State) -> bool {
    let cut = state.is(Mode::Cut);
    while state.is(Mode::Cut) {
        std::thread::sleep(Duration::from_millis(50));
    }
    cut
}
