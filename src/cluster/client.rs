//! The API server: one function that asks it, and asks again where that can help.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request, Response};
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::{Client, Error};
use serde_json::Value;
use url::form_urlencoded;

use super::errors::{code, said};
pub(crate) use super::kubeconfig::Place;
use super::object::{Id, items, text};

/// How long a server that answered before may be silent, or ask for patience.
const PATIENCE: Duration = Duration::from_mins(1);
/// All kinds of a server in one answer, where it knows how.
const ALL_KINDS: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
/// Objects of one page of a list.
const PAGE: usize = 250;

/// A kind as the API server knows it.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    /// Its name in paths.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

type Kinds = Arc<HashMap<String, Kind>>;

/// A cluster that can be asked.
pub(crate) struct Cluster {
    place: Place,
    /// The client, and how often its credentials were renewed.
    client: Mutex<(Client, u32)>,
    /// The context's namespace.
    pub namespace: String,
    kinds: Mutex<HashMap<String, Kinds>>,
    answered: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Reads the configuration; nothing is asked yet.
    ///
    /// # Errors
    /// There is no configuration, or it is wrong.
    pub(crate) async fn connect(place: &Place) -> anyhow::Result<Self> {
        let (client, namespace) = place.client().await?;
        let (client, place) = (Mutex::new((client, 0)), place.clone());
        Ok(Self { place, client, namespace, kinds: Mutex::default(), answered: AtomicBool::new(false) })
    }

    /// Asks once more and again while the server is restarted or asks for patience; every request that crudctl sends may be repeated.
    pub(crate) async fn call(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, &Value)>,
    ) -> Result<Value, Error> {
        Ok(self.call_status(method, path, content).await?.1)
    }

    /// `call`, with the HTTP status.
    pub(crate) async fn call_status(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, &Value)>,
    ) -> Result<(u16, Value), Error> {
        let (status, text) = self.ask(method, path, content).await?;
        Ok((status, serde_json::from_str(&text).map_err(Error::SerdeError)?))
    }

    /// Text at a path (a log).
    pub(crate) async fn text(&self, path: &str) -> Result<String, Error> {
        Ok(self.ask(&Method::GET, path, None).await?.1)
    }

    async fn ask(&self, method: &Method, path: &str, content: Option<(&str, &Value)>) -> Result<(u16, String), Error> {
        let since = Instant::now();
        let mut pauses = Pauses::default();
        loop {
            let answer = async {
                let response = self.open(method, path, content).await?;
                let status = response.status().as_u16();
                let bytes = response.into_body().collect().await?.to_bytes();
                Ok((status, String::from_utf8(bytes.to_vec()).map_err(Error::FromUtf8)?))
            };
            let error = match answer.await {
                Err(error) if transient(&error) => error,
                other => return other,
            };
            let left = PATIENCE.saturating_sub(since.elapsed());
            // Who never answered is told about at once: the address may be wrong.
            if !self.answered.load(Ordering::Relaxed) || left.is_zero() {
                return Err(error);
            }
            tokio::time::sleep(pauses.after(&error).min(left)).await;
        }
    }

    /// Sends a request once; twice where the credentials ran out meanwhile.
    pub(super) async fn open(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, &Value)>,
    ) -> Result<Response<Body>, Error> {
        let (client, renewals) = locked(&self.client).clone();
        let answer = judged(client.send(request(method, path, content)?).await?).await;
        match answer {
            Err(error) if code(&error) == Some(401) && self.answered.load(Ordering::Relaxed) => {
                let Some(client) = self.renewed(renewals).await else { return Err(error) };
                judged(client.send(request(method, path, content)?).await?).await
            }
            answer => {
                if matches!(&answer, Ok(_) | Err(Error::Api(_))) {
                    self.answered.store(true, Ordering::Relaxed);
                }
                answer
            }
        }
    }

    /// A client with credentials that are read anew: a plugin is run, files are read. Once for all who ask at a time.
    async fn renewed(&self, renewals: u32) -> Option<Client> {
        let (client, now) = locked(&self.client).clone();
        if now != renewals {
            return Some(client);
        }
        // Where that fails, the refusal says what is wrong.
        let (fresh, _) = self.place.client().await.ok()?;
        let mut client = locked(&self.client);
        if client.1 == renewals {
            *client = (fresh, renewals + 1);
        }
        Some(client.0.clone())
    }

    /// The object at a path, none where there is none.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.call(&Method::GET, path, None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if code(&error) == Some(404) => Ok(None),
            Err(error) => Err(said(error)),
        }
    }

    /// All objects at a path that match, page by page.
    pub(crate) async fn list(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
        Ok(self.list_at(path, query, |_| true).await.map_err(said)?.0)
    }

    /// The same, of them those that are kept, as they are then, and of which version the list is: a watch goes on from there.
    pub(super) async fn list_at(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut keep: impl FnMut(&mut Value) -> bool,
    ) -> Result<(Vec<Value>, String), Error> {
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let mut page = match self.call(&Method::GET, &page_url(path, query, &next), None).await {
                Ok(page) => page,
                // The list changed too much since its first page.
                Err(error) if code(&error) == Some(410) && !next.is_empty() => {
                    (all, next) = (Vec::new(), String::new());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (api, kind) = (page["apiVersion"].clone(), text(&page, "/kind").trim_end_matches("List").to_owned());
            if let Value::Array(items) = page["items"].take() {
                for mut item in items {
                    // Items of a list leave out what the list says.
                    if item["kind"].is_null() {
                        item["apiVersion"] = api.clone();
                        item["kind"] = kind.as_str().into();
                    }
                    if keep(&mut item) {
                        all.push(item);
                    }
                }
            }
            text(&page, "/metadata/continue").clone_into(&mut next);
            if next.is_empty() {
                return Ok((all, text(&page, "/metadata/resourceVersion").to_owned()));
            }
        }
    }

    /// Removes an object and, in the background, what it owns; whether it was there.
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> anyhow::Result<bool> {
        match self.call(&Method::DELETE, path, Some(("application/json", options))).await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(404) => Ok(false),
            Err(error) => Err(said(error)),
        }
    }

    /// A kind, none where the server does not know it.
    pub(crate) async fn kind(&self, api_version: &str, kind: &str) -> anyhow::Result<Option<Kind>> {
        let known = locked(&self.kinds).get(api_version).cloned();
        let kinds = match known {
            Some(kinds) => kinds,
            None => {
                let kinds = Arc::new(self.ask_kinds(api_version).await?);
                let mut all = locked(&self.kinds);
                all.insert(api_version.to_owned(), Arc::clone(&kinds));
                kinds
            }
        };
        Ok(kinds.get(kind).cloned())
    }

    async fn ask_kinds(&self, api_version: &str) -> anyhow::Result<HashMap<String, Kind>> {
        let list = self.get(&group_path(api_version)).await?.unwrap_or_default();
        Ok(items(&list, "/resources")
            .iter()
            .filter(|r| !text(r, "/name").contains('/'))
            .map(|r| {
                let kind = Kind { plural: text(r, "/name").into(), namespaced: r["namespaced"] == true };
                (text(r, "/kind").to_owned(), kind)
            })
            .collect())
    }

    /// Learns the kinds of these objects in as few requests as can be: one a version, or two for all that the server has.
    ///
    /// # Errors
    /// The server can't be asked.
    pub(crate) async fn learn(&self, objects: &[Value]) -> anyhow::Result<()> {
        let mut versions: BTreeSet<&str> = objects.iter().map(|o| text(o, "/apiVersion")).collect();
        versions.retain(|version| !locked(&self.kinds).contains_key(*version));
        if versions.len() > 2 {
            let (core, groups) = tokio::try_join!(self.get("/api"), self.get("/apis"))?;
            let mut all = locked(&self.kinds);
            for answer in [core, groups].into_iter().flatten().filter(|a| a["kind"] == "APIGroupDiscoveryList") {
                all.extend(discovered(&answer));
            }
        }
        // What is not among them is asked for by its own: an old server, a version that was just added.
        futures_util::future::try_join_all(versions.iter().map(|version| self.kind(version, ""))).await?;
        Ok(())
    }

    /// Asks for kinds anew: a definition was added.
    pub(crate) fn forget_kinds(&self) {
        locked(&self.kinds).clear();
    }

    /// The path of all objects of a kind; none where the server does not know the kind.
    pub(crate) async fn collection(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<Option<String>> {
        let Some(found) = self.kind(api_version, kind).await? else { return Ok(None) };
        let group = group_path(api_version);
        Ok(Some(match namespace {
            Some(namespace) if found.namespaced => format!("{group}/namespaces/{namespace}/{}", found.plural),
            _ => format!("{group}/{}", found.plural),
        }))
    }

    /// The path of an object; none where the server does not know its kind.
    pub(crate) async fn path(&self, id: &Id) -> anyhow::Result<Option<String>> {
        let collection = self.collection(&id.api_version, &id.kind, id.namespace.as_deref()).await?;
        Ok(collection.map(|path| format!("{path}/{}", id.name)))
    }
}

fn group_path(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

fn page_url(path: &str, query: &[(&str, &str)], next: &str) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(query).append_pair("limit", &PAGE.to_string());
    if !next.is_empty() {
        pairs.append_pair("continue", next);
    }
    format!("{path}?{}", pairs.finish())
}

/// Kinds by versions, of an aggregated discovery.
fn discovered(answer: &Value) -> HashMap<String, Kinds> {
    let mut all = HashMap::new();
    for group in items(answer, "/items") {
        let name = text(group, "/metadata/name");
        for version in items(group, "/versions") {
            let number = text(version, "/version");
            let known = items(version, "/resources").iter().map(|r| {
                let kind = Kind { plural: text(r, "/resource").into(), namespaced: r["scope"] == "Namespaced" };
                (text(r, "/responseKind/kind").to_owned(), kind)
            });
            let key = if name.is_empty() { number.to_owned() } else { format!("{name}/{number}") };
            all.insert(key, Arc::new(known.collect()));
        }
    }
    all
}

fn request(method: &Method, path: &str, content: Option<(&str, &Value)>) -> Result<Request<Body>, Error> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((kind, _)) = content {
        request = request.header(CONTENT_TYPE, kind);
    }
    if ["/api", "/apis"].contains(&path) {
        request = request.header(ACCEPT, ALL_KINDS);
    }
    let body = content.map(|(_, body)| body.to_string().into_bytes()).unwrap_or_default();
    request.body(body.into()).map_err(Error::HttpError)
}

/// A refusal as an error, with how long the server asks to wait.
async fn judged(response: Response<Body>) -> Result<Response<Body>, Error> {
    let code = response.status();
    if !code.is_client_error() && !code.is_server_error() {
        return Ok(response);
    }
    let wish = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    let bytes = response.into_body().collect().await?.to_bytes();
    // Proxies say what they say.
    let mut status = serde_json::from_slice::<Status>(&bytes)
        .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&bytes).trim(), "no answer of an API server"));
    status.code = code.as_u16();
    if let Some(seconds) = wish {
        status.details.get_or_insert_with(|| StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![],
            retry_after_seconds: 0,
        });
        status.details.iter_mut().for_each(|details| details.retry_after_seconds = seconds);
    }
    Err(Error::Api(Box::new(status)))
}

/// Whether the same request may be answered soon.
pub(super) fn transient(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 429 | 500 | 502 | 503 | 504) && !decided(status),
        Error::HyperError(_) | Error::Service(_) => true,
        _ => false,
    }
}

/// Refusals that look passing and are not: a budget that forbids an eviction, a webhook that can't be called.
fn decided(status: &Status) -> bool {
    let by_budget = status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == "DisruptionBudget");
    by_budget || (status.code == 500 && !status.message.contains("etcdserver"))
}

/// How long to wait before each time a request is repeated.
#[derive(Debug, Default)]
pub(super) struct Pauses(u32);

impl Pauses {
    /// As long as the server asks for, else longer each time up to 2 s, and never all at once.
    pub(super) fn after(&mut self, error: &Error) -> Duration {
        let wish = if let Error::Api(status) = error { status.details.as_ref() } else { None };
        if let Some(seconds) = wish.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0) {
            return Duration::from_secs(seconds.into()) + random(Duration::from_millis(100));
        }
        self.0 = (self.0 + 1).min(5);
        let pause = Duration::from_millis(125 << (self.0 - 1));
        pause / 2 + random(pause / 2)
    }
}

fn random(limit: Duration) -> Duration {
    let number = std::hash::RandomState::new().build_hasher().finish();
    Duration::from_nanos(number % u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(1))
}
