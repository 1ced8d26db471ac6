//! A started server, the databases behind it, and a small HTTP client.
#![allow(
    clippy::allow_attributes,
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test program uses its own part of this"
)]

pub mod databases;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The declaration of a resource `books`, which has a field of every type.
pub const BOOKS: &str = "
description: What stands on the shelf.
fields:
  title: { type: string, required: true, min_length: 1 }
  pages: { type: integer, min: 1, default: 100 }
  price: { type: number }
  lent: { type: boolean, default: false }
  kind: { type: enum, values: [novel, poems] }
  isbn: { type: string, unique: true, pattern: '^[0-9]+$' }
  owner: { type: email }
  code: { type: uuid }
  bought: { type: timestamp }
  notes: { type: text }
  extra: { type: json }
indexes:
  - [kind, title]
";

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A running `crud-server`. Killed when dropped.
pub struct Server {
    child: Child,
    pub at: SocketAddr,
    /// From the start of the process to its line "ready".
    pub ready_after: Option<Duration>,
    /// Behind a mutex so that several threads may send requests.
    lines: Mutex<mpsc::Receiver<String>>,
}

/// The binary with a clean environment.
pub fn command(env: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crud-server"));
    command.env_clear().env("BIND", "127.0.0.1").env("PORT", "0").envs(env.iter().copied()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Server {
    /// Starts and waits until it is ready.
    pub fn start(env: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut server = Self::launch(env, arguments);
        let started = Instant::now();
        server.wait_for("\"ready\"");
        server.ready_after = Some(started.elapsed());
        server
    }

    /// Starts and waits until it listens.
    pub fn launch(env: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut child = command(env, arguments).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    // Nobody reads any more, but the server must not meet a closed pipe.
                }
            }
        });
        let mut server =
            Self { child, at: SocketAddr::from(([127, 0, 0, 1], 0)), ready_after: None, lines: Mutex::new(lines) };
        let line = server.wait_for("\"listening\"");
        let line: Value = serde_json::from_str(&line).expect("a JSON line");
        server.at = line["address"].as_str().expect("an address").parse().expect("an address");
        server
    }

    /// The next log line that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + Duration::from_mins(1);
        let mut seen = Vec::new();
        let lines = self.lines.get_mut().expect("no test panics while it reads");
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with {text} ({error}); the log: {seen:#?}"),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Waits for the end and answers the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("waited").code()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).expect("an answer")
    }

    pub fn try_send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.at)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.at);
        if !body.is_empty() || method != "GET" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        // A server that refuses the body may answer before all of it is sent.
        let sent = stream.write_all(body);
        let mut raw = Vec::new();
        let read = stream.read_to_end(&mut raw);
        if raw.is_empty() {
            sent?;
            read?;
        }
        parse(&raw, method == "HEAD")
            .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no whole answer"))
    }
}

fn parse(raw: &[u8], bodiless: bool) -> Option<Answer> {
    let split = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..split]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    let mut body = &raw[split + 4..];
    let mut whole = Vec::new();
    let header =
        |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    if header("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let end = body.windows(2).position(|window| window == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
            if size == 0 {
                break;
            }
            whole.extend_from_slice(body.get(end + 2..end + 2 + size)?);
            body = body.get(end + 4 + size..)?;
        }
    } else {
        let size = header("content-length").and_then(|value| value.parse::<usize>().ok());
        if !bodiless && size.is_some_and(|size| size > body.len()) {
            return None;
        }
        whole.extend_from_slice(body);
    }
    Some(Answer { status, headers, body: String::from_utf8(whole).ok()? })
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().expect("it runs");
            self.child.wait().expect("waited");
        }
    }
}
