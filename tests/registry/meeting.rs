//! A web server that answers nobody before as many different paths were asked for as are expected.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Who has come.
type Guests = Arc<(Mutex<HashSet<String>>, Condvar)>;

/// The server; it goes with the test.
pub(crate) struct Meeting {
    pub(crate) port: u16,
}

impl Meeting {
    pub(crate) fn of(count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        std::thread::spawn(move || {
            let guests = Guests::default();
            for stream in listener.incoming().flatten() {
                let guests = guests.clone();
                std::thread::spawn(move || receive(stream, &guests, count));
            }
        });
        Self { port }
    }
}

/// One guest; after a minute without the others it is refused.
fn receive(mut stream: TcpStream, guests: &Guests, count: usize) {
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let (set, news) = &**guests;
    let mut here = set.lock().expect("guests");
    here.insert(path);
    news.notify_all();
    let wait = news.wait_timeout_while(here, Duration::from_mins(1), |here| here.len() < count).expect("guests");
    let (status, body) = if wait.1.timed_out() { ("504 Alone", "") } else { ("200 OK", "met\n") };
    drop(wait);
    let length = body.len();
    let body = if text.starts_with("HEAD") { "" } else { body };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
}
