//! A kind's objects in a namespace, kept as the server has them: one list, then a watch that goes on from it.
//!
//! A watch ends often: the server ends it, is restarted, forgets the version (410 Gone: the list is asked for again), asks for patience
//! (429, 503), or the connection is lost. All of that is passing; whoever waits has a time limit of its own.

use std::collections::HashMap;
use std::collections::hash_map::Values;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::Method;
use kube::Error;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::Notify;
use url::form_urlencoded;

use super::client::{Cluster, Pauses, transient};
use super::errors::code;
use super::object::text;

/// Seconds after which the server ends a watch: a connection that is dead and does not say so is not trusted for long.
const LASTS: &str = "25";
/// A watch that ends sooner than this, and told nothing, is not asked for again at once.
const SOON: Duration = Duration::from_secs(1);

/// Says which objects are kept, and takes from them what nobody looks at.
pub(super) type Keep = Box<dyn Fn(&mut Value) -> bool + Send + Sync>;

/// Objects that are kept as the server has them.
pub(super) struct Feed {
    path: String,
    query: Vec<(&'static str, String)>,
    keep: Keep,
    /// Do without where it is forbidden.
    optional: bool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// By their names.
    items: HashMap<String, Arc<Value>>,
    version: String,
}

/// Whether the version that a watch wanted to go on from is forgotten.
fn gone(error: &Error) -> bool {
    code(error) == Some(410)
}

impl Feed {
    /// Of the objects at a path that match a selector (`labelSelector` or `fieldSelector`, and its text).
    pub(super) fn new(path: String, selector: Option<(&'static str, String)>, keep: Keep) -> Self {
        Self { path, query: selector.into_iter().collect(), keep, optional: false, held: Mutex::default() }
    }

    /// The same, done without where it is forbidden.
    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what is there now.
    pub(super) fn see<T>(&self, look: impl FnOnce(Values<'_, String, Arc<Value>>) -> T) -> T {
        look(self.held().items.values())
    }

    /// Looks at one that is there now.
    pub(super) fn get<T>(&self, name: &str, look: impl FnOnce(&Arc<Value>) -> T) -> Option<T> {
        self.held().items.get(name).map(look)
    }

    /// Asks for all of them.
    pub(super) async fn list(&self, cluster: &Cluster) -> Result<(), Error> {
        let query: Vec<(&str, &str)> = self.query.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (items, version) = cluster.list_at(&self.path, &query, |item| (self.keep)(item)).await?;
        let items = items.into_iter().map(|item| (text(&item, "/metadata/name").to_owned(), Arc::new(item))).collect();
        *self.held() = Held { items, version };
        Ok(())
    }

    /// Follows what becomes of them; ends only by an error that does not pass.
    pub(super) async fn follow(&self, cluster: &Cluster, changed: &Notify) -> Error {
        let mut pauses = Pauses::default();
        loop {
            let began = Instant::now();
            let mut told = false;
            let ended = self.once(cluster, changed, &mut told).await;
            if told {
                pauses = Pauses::default();
            }
            match ended {
                Ok(()) if told || began.elapsed() > SOON => {}
                Ok(()) => tokio::time::sleep(SOON).await,
                Err(error) if gone(&error) => self.held().version.clear(),
                Err(error) if transient(&error) => tokio::time::sleep(pauses.after(&error)).await,
                Err(error) if self.optional && code(&error) == Some(403) => std::future::pending().await,
                Err(error) => return error,
            }
        }
    }

    async fn once(&self, cluster: &Cluster, changed: &Notify, told: &mut bool) -> Result<(), Error> {
        if self.held().version.is_empty() {
            self.list(cluster).await?;
            changed.notify_one();
        }
        let version = self.held().version.clone();
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.query)
            .extend_pairs([("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", LASTS)])
            .append_pair("resourceVersion", &version)
            .finish();
        let url = format!("{}?{query}", self.path);
        let mut lines = Lines { body: cluster.open(&Method::GET, &url, None).await?.into_body(), buffer: vec![] };
        while let Some(mut event) = lines.next().await? {
            let mut object = event["object"].take();
            if event["type"] == "ERROR" {
                return Err(Error::Api(serde_json::from_value(object).map_err(Error::SerdeError)?));
            }
            *told = true;
            let name = text(&object, "/metadata/name").to_owned();
            let mut held = self.held();
            text(&object, "/metadata/resourceVersion").clone_into(&mut held.version);
            if event["type"] == "BOOKMARK" {
                continue;
            }
            if event["type"] != "DELETED" && (self.keep)(&mut object) {
                held.items.insert(name, Arc::new(object));
            } else {
                held.items.remove(&name);
            }
            drop(held);
            changed.notify_one();
        }
        Ok(())
    }
}

/// The lines of a watch, each an event.
struct Lines {
    body: Body,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next; none where the server ended the watch. A part of a line is what a lost connection leaves.
    async fn next(&mut self) -> Result<Option<Value>, Error> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=looked + at).collect();
                return serde_json::from_slice(&line).map(Some).map_err(Error::SerdeError);
            }
            looked = self.buffer.len();
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
