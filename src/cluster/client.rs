//! The API server: where it is, who we are, one function that asks it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};
use serde_json::Value;
use url::form_urlencoded;

use super::errors::{code, said};
use super::object::{Id, text};

/// How long a server that answered before may be silent, or ask for patience.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the server may leave a request without a byte. It gives up the slowest itself after that: a webhook has ten seconds, or what
/// its `timeoutSeconds` says, 30 at most.
const SILENCE: Duration = Duration::from_secs(35);
/// Objects of one page of a list.
const PAGE: usize = 500;

/// Which cluster, as whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The kubeconfig; none: `KUBECONFIG` (several are merged), `~/.kube/config`, or the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; none: the current one.
    pub context: Option<String>,
    /// The task's environment, which stands above the process's.
    pub environment: Arc<BTreeMap<String, String>>,
}

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
    client: Client,
    /// The context's namespace.
    pub namespace: String,
    kinds: Mutex<HashMap<String, Kinds>>,
    answered: AtomicBool,
}

impl Cluster {
    /// Reads the configuration; nothing is asked yet.
    ///
    /// # Errors
    /// There is no configuration, or it is wrong.
    pub(crate) async fn connect(place: &Place) -> anyhow::Result<Self> {
        let mut config = config(place).await?;
        config.read_timeout = Some(SILENCE);
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(said).context("the kubeconfig can't be used")?;
        Ok(Self { client, namespace, kinds: Mutex::default(), answered: AtomicBool::new(false) })
    }

    /// Asks once more and again while the server is restarted or asks for patience; every request that crudctl sends may be repeated.
    pub(crate) async fn call(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, &Value)>,
    ) -> Result<Value, Error> {
        serde_json::from_str(&self.ask(method, path, content).await?).map_err(Error::SerdeError)
    }

    /// Text at a path (a log).
    pub(crate) async fn text(&self, path: &str) -> Result<String, Error> {
        self.ask(&Method::GET, path, None).await
    }

    async fn ask(&self, method: &Method, path: &str, content: Option<(&str, &Value)>) -> Result<String, Error> {
        let since = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let answer = self.client.request_text(request(method, path, content)?).await;
            if matches!(&answer, Ok(_) | Err(Error::Api(_))) {
                self.answered.store(true, Ordering::Relaxed);
            }
            let error = match answer {
                Err(error) if transient(&error) => error,
                other => return other,
            };
            // Who never answered is told about at once: the address may be wrong.
            if !self.answered.load(Ordering::Relaxed) || since.elapsed() > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(wished(&error).unwrap_or(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
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
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let mut page = match self.call(&Method::GET, &page_url(path, query, &next), None).await {
                Ok(page) => page,
                // The list changed too much since its first page.
                Err(error) if code(&error) == Some(410) && !next.is_empty() => {
                    (all, next) = (Vec::new(), String::new());
                    continue;
                }
                Err(error) => return Err(said(error)),
            };
            let (api, kind) = (page["apiVersion"].clone(), text(&page, "/kind").trim_end_matches("List").to_owned());
            if let Value::Array(items) = page["items"].take() {
                for mut item in items {
                    // Items of a list leave out what the list says.
                    if item["kind"].is_null() {
                        item["apiVersion"] = api.clone();
                        item["kind"] = kind.as_str().into();
                    }
                    all.push(item);
                }
            }
            text(&page, "/metadata/continue").clone_into(&mut next);
            if next.is_empty() {
                return Ok(all);
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
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(api_version).cloned();
        let kinds = match known {
            Some(kinds) => kinds,
            None => {
                let kinds = Arc::new(self.ask_kinds(api_version).await?);
                let mut all = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(api_version.to_owned(), Arc::clone(&kinds));
                kinds
            }
        };
        Ok(kinds.get(kind).cloned())
    }

    async fn ask_kinds(&self, api_version: &str) -> anyhow::Result<HashMap<String, Kind>> {
        let list = self.get(&group_path(api_version)).await?.unwrap_or_default();
        let resources = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(resources
            .iter()
            .filter(|r| !text(r, "/name").contains('/'))
            .map(|r| {
                let kind = Kind { plural: text(r, "/name").into(), namespaced: r["namespaced"] == true };
                (text(r, "/kind").to_owned(), kind)
            })
            .collect())
    }

    /// Asks for kinds anew: a definition was added.
    pub(crate) fn forget_kinds(&self) {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clear();
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

fn request(method: &Method, path: &str, content: Option<(&str, &Value)>) -> Result<Request<Vec<u8>>, Error> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((kind, _)) = content {
        request = request.header("content-type", kind);
    }
    let body = content.map(|(_, body)| body.to_string().into_bytes()).unwrap_or_default();
    request.body(body).map_err(Error::HttpError)
}

/// Whether the same request may be answered soon.
fn transient(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 429 | 502 | 503 | 504),
        Error::HyperError(_) | Error::Service(_) => true,
        _ => false,
    }
}

/// How long the server asks to wait.
fn wished(error: &Error) -> Option<Duration> {
    let Error::Api(status) = error else { return None };
    let seconds = u64::from(status.details.as_ref()?.retry_after_seconds);
    (seconds > 0).then(|| Duration::from_secs(seconds.min(10)))
}

async fn config(place: &Place) -> anyhow::Result<Config> {
    let named = |name: &str| place.environment.get(name).cloned().or_else(|| std::env::var(name).ok());
    let files: Vec<PathBuf> = match (&place.kubeconfig, named("KUBECONFIG").filter(|v| !v.is_empty())) {
        (Some(path), _) => vec![path.clone()],
        (None, Some(list)) => std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect(),
        (None, None) => named("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for file in files.iter().filter(|f| place.kubeconfig.is_some() || f.exists()) {
        let read = Kubeconfig::read_from(file).with_context(|| format!("can't read {}", file.display()))?;
        merged = Some(match merged {
            None => read,
            Some(before) => before.merge(read).with_context(|| format!("can't merge {}", file.display()))?,
        });
    }
    let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
    match merged {
        Some(kubeconfig) => Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?),
        None => Config::incluster().map_err(|_| {
            let tried: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
            anyhow::anyhow!(
                "there is no kubeconfig: looked for {} (hint: set KUBECONFIG, or `kubeconfig`)",
                tried.join(", ")
            )
        }),
    }
}
