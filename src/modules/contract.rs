//! What a module is.
//!
//! A *host module* is pure: [`HostModule::check`] returns a read-only script and the parser of its reply, [`HostModule::apply`] a script
//! that brings about what the check found missing. The engine decides when, and in which batch, scripts travel; that one rule gives
//! batches, check mode, diffs, plans and tests without a host. A *controller module* does its work from here, over the host's [`Access`].
//!
//! The verdict of a check is also its script's exit status, so that a host can go on by itself behind a converged check:
//! [`CONVERGED`], [`DRIFT`], [`ASK`] (only the parser knows); any other status is a failure.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::host::{Reply, Script};
use crate::text::{Diagnostic, Node};

/// A check's exit status: the host is as asked.
pub const CONVERGED: i32 = 0;
/// A check's exit status: something differs.
pub const DRIFT: i32 = 10;
/// A check's exit status: the parser decides.
pub const ASK: i32 = 11;

/// What differs, for people: texts before and after, with headers.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct Diff {
    /// Name of the state before (a path).
    pub before_header: String,
    /// Name of the state after.
    pub after_header: String,
    /// Text before.
    pub before: String,
    /// Text after.
    pub after: String,
}

/// What a module reports: the values that `register` keeps.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Whether something changed (or would change, in check mode).
    pub changed: bool,
    /// The reason of a failure.
    pub failed: Option<String>,
    /// Whether the module left the work out (`creates` exists, check mode can't tell).
    pub skipped: bool,
    /// The result's values besides `changed`, `failed`, `msg`, `diff`.
    pub values: Map<String, Value>,
    /// For people.
    pub msg: Option<String>,
    /// What changed, as text.
    pub diff: Vec<Diff>,
    /// Facts that it found (`ansible_facts`).
    pub facts: Map<String, Value>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// Nothing had to change.
    pub fn ok() -> Self {
        Self::default()
    }

    /// Something changed.
    pub fn changed() -> Self {
        Self { changed: true, ..Self::default() }
    }

    /// It failed for this reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { failed: Some(reason.into()), ..Self::default() }
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.values.insert(key.to_owned(), value.into());
        self
    }

    /// With a message.
    #[must_use]
    pub fn message(mut self, msg: impl Into<String>) -> Self {
        self.msg = Some(msg.into());
        self
    }

    /// With one more diff.
    #[must_use]
    pub fn diff(mut self, diff: Diff) -> Self {
        self.diff.push(diff);
        self
    }
}

/// What a check found.
pub enum Verdict<D> {
    /// As asked.
    Converged(Outcome),
    /// `drift` says what differs, `outcome` what the result will be as far as it is known (its `changed` is set by the engine).
    Drift {
        /// For [`HostModule::apply`].
        drift: D,
        /// What check mode reports, the diff included.
        outcome: Outcome,
    },
    /// It can't be done.
    Failed(Outcome),
}

impl<D> Verdict<D> {
    /// A failure with its reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(Outcome::failed(reason))
    }

    /// A drift without more to tell.
    pub fn drift(drift: D) -> Self {
        Self::Drift { drift, outcome: Outcome::changed() }
    }
}

/// The parser of a check's reply.
pub type ParseCheck<D> = Box<dyn FnOnce(&Reply) -> anyhow::Result<Verdict<D>> + Send>;
/// The parser of an apply's reply.
pub type ParseApply = Box<dyn FnOnce(&Reply) -> anyhow::Result<Applied> + Send>;

/// How a module finds out.
pub enum Check<D> {
    /// By a read-only script whose exit status is the verdict.
    Ask {
        /// The script.
        script: Script,
        /// The parser of its reply (any status, 0 and 10 among them).
        parse: ParseCheck<D>,
        /// An apply that needs nothing of the reply: it may travel with the check and run at once after status [`DRIFT`].
        inline: Option<Apply>,
    },
    /// Without asking (`command` always acts; `fail` always fails).
    Known(Verdict<D>),
}

impl<D> Check<D> {
    /// A script and its parser.
    pub fn ask(script: Script, parse: impl FnOnce(&Reply) -> anyhow::Result<Verdict<D>> + Send + 'static) -> Self {
        Self::Ask { script, parse: Box::new(parse), inline: None }
    }

    /// With an apply that may travel along.
    #[must_use]
    pub fn with_inline(mut self, apply: Apply) -> Self {
        if let Self::Ask { inline, .. } = &mut self {
            *inline = Some(apply);
        }
        self
    }
}

/// What changes the host.
pub struct Apply {
    /// The script.
    pub script: Script,
    /// The parser of its reply.
    pub parse: ParseApply,
}

impl Apply {
    /// A script and its parser.
    pub fn new(script: Script, parse: impl FnOnce(&Reply) -> anyhow::Result<Applied> + Send + 'static) -> Self {
        Self { script, parse: Box::new(parse) }
    }
}

/// How an apply goes on.
pub enum Applied {
    /// It ended.
    Done(Outcome),
    /// One more script is needed.
    Again(Apply),
}

/// What a module may know of its surroundings.
#[derive(Clone)]
pub struct Context {
    /// Whether nothing may change.
    pub check_mode: bool,
    /// Whether the check is made before the task's turn: a module that would act without asking asks instead.
    pub ahead: bool,
    /// Whether diffs are wanted (a module may leave out costly ones otherwise).
    pub diff: bool,
    /// Facts of the host gathered so far, by their names with the `ansible_` prefix left out (`distribution`, `service_mgr`, …).
    pub facts: Arc<Map<String, Value>>,
    /// Directories of this machine in which a relative `src` is looked up, the best first; each with its `files/`, `templates/`.
    pub search: Arc<Vec<PathBuf>>,
    /// Renders template files.
    pub templates: Arc<dyn RenderText>,
    /// The task's `environment`, already exported to scripts: here for controller modules.
    pub environment: Arc<BTreeMap<String, String>>,
    /// The host's name in the inventory.
    pub host: Arc<str>,
    /// The user whom scripts run as, where `become` names one.
    pub become_user: Option<Arc<str>>,
}

impl Context {
    /// The file that a relative `src` names: looked up in `DIR/SUB/src`, then `DIR/src`, in each directory of the search path.
    ///
    /// # Errors
    /// When none exists; the message lists where it was looked for.
    pub fn find_file(&self, sub: &str, src: &str) -> anyhow::Result<PathBuf> {
        let path = Path::new(src);
        if path.is_absolute() {
            anyhow::ensure!(path.exists(), "could not find `{src}`");
            return Ok(path.to_owned());
        }
        let candidates: Vec<PathBuf> =
            self.search.iter().flat_map(|dir| [dir.join(sub).join(src), dir.join(src)]).collect();
        candidates.iter().find(|p| p.exists()).cloned().ok_or_else(|| {
            let tried: Vec<String> = candidates.iter().map(|p| p.display().to_string()).collect();
            anyhow::anyhow!("could not find `{src}`; looked for {}", tried.join(", "))
        })
    }
}

/// Renders template text with the variables of the task at hand.
pub trait RenderText: Send + Sync {
    /// Renders a file's text; `options` are `template`'s own (block_start_string, trim_blocks, …) as JSON.
    fn render(&self, path: &Path, text: &str, options: &Map<String, Value>) -> Result<String, Diagnostic>;
}

/// A module whose work is done by scripts on the host.
pub trait HostModule: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What differs between host and task.
    type Drift: Send + 'static;

    /// How to find out. An error is about the arguments (their combination, a missing local file).
    fn check(&self, cx: &Context) -> anyhow::Result<Check<Self::Drift>>;

    /// What to do about it.
    fn apply(&self, drift: Self::Drift, cx: &Context) -> anyhow::Result<Apply>;
}

/// A raw, two-way stream of bytes.
pub trait ByteStream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> ByteStream for T {}

/// The task's host as controller modules reach it: a real session, or a substitute in tests.
pub trait Access: Send + Sync {
    /// Runs a script as the task's user.
    fn run(&self, script: Script) -> BoxFuture<'_, anyhow::Result<Reply>>;
    /// Starts a program on the host as the task's user; the stream is its stdin and stdout.
    fn open(&self, argv: Vec<String>) -> BoxFuture<'_, anyhow::Result<Box<dyn ByteStream>>>;
    /// Connects to a TCP address as seen from the host.
    fn connect(&self, address: String, port: u16) -> BoxFuture<'_, anyhow::Result<Box<dyn ByteStream>>>;
    /// Drops the connection and waits until the host can be reached again (`wait_for_connection`, after a reboot).
    fn reconnect(&self, timeout: std::time::Duration) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Whether the host is this machine itself, as this user.
    fn is_local(&self) -> bool;
    /// A progress line for the user (a long wait: what for, since when).
    fn progress(&self, line: &str);
}

/// A module whose work is done from this machine.
pub trait ControllerModule: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What differs.
    type Drift: Send + 'static;

    /// Finds out; changes nothing.
    fn check<'a>(
        &'a self,
        cx: &'a Context,
        host: &'a dyn Access,
    ) -> impl Future<Output = anyhow::Result<Verdict<Self::Drift>>> + Send + 'a;

    /// Changes it.
    fn apply<'a>(
        &'a self,
        drift: Self::Drift,
        cx: &'a Context,
        host: &'a dyn Access,
    ) -> impl Future<Output = anyhow::Result<Outcome>> + Send + 'a;
}

/// A drift whose type only its module knows.
pub type AnyDrift = Box<dyn Any + Send>;

/// A task's module with its typed parameters, as the engine holds it.
pub enum Prepared {
    /// By scripts on the host.
    Host(Arc<dyn HostStep>),
    /// From this machine.
    Controller(Arc<dyn ControllerStep>),
}

/// [`HostModule`] without its types.
pub trait HostStep: Send + Sync {
    /// See [`HostModule::check`].
    fn check(&self, cx: &Context) -> anyhow::Result<Check<AnyDrift>>;
    /// See [`HostModule::apply`].
    fn apply(&self, drift: AnyDrift, cx: &Context) -> anyhow::Result<Apply>;
}

/// [`ControllerModule`] without its types.
pub trait ControllerStep: Send + Sync {
    /// See [`ControllerModule::check`].
    fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> BoxFuture<'a, anyhow::Result<Verdict<AnyDrift>>>;
    /// See [`ControllerModule::apply`].
    fn apply<'a>(
        &'a self,
        drift: AnyDrift,
        cx: &'a Context,
        host: &'a dyn Access,
    ) -> BoxFuture<'a, anyhow::Result<Outcome>>;
}

fn erase<D: Send + 'static>(verdict: Verdict<D>) -> Verdict<AnyDrift> {
    match verdict {
        Verdict::Converged(outcome) => Verdict::Converged(outcome),
        Verdict::Drift { drift, outcome } => Verdict::Drift { drift: Box::new(drift), outcome },
        Verdict::Failed(outcome) => Verdict::Failed(outcome),
    }
}

fn recall<D: 'static>(drift: AnyDrift) -> anyhow::Result<D> {
    drift.downcast::<D>().map(|d| *d).map_err(|_| anyhow::anyhow!("a drift came back to another module"))
}

impl<M: HostModule> HostStep for M {
    fn check(&self, cx: &Context) -> anyhow::Result<Check<AnyDrift>> {
        Ok(match HostModule::check(self, cx)? {
            Check::Ask { script, parse, inline } => {
                Check::Ask { script, parse: Box::new(move |reply| parse(reply).map(erase)), inline }
            }
            Check::Known(verdict) => Check::Known(erase(verdict)),
        })
    }

    fn apply(&self, drift: AnyDrift, cx: &Context) -> anyhow::Result<Apply> {
        HostModule::apply(self, recall(drift)?, cx)
    }
}

impl<M: ControllerModule> ControllerStep for M {
    fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> BoxFuture<'a, anyhow::Result<Verdict<AnyDrift>>> {
        Box::pin(async move { ControllerModule::check(self, cx, host).await.map(erase) })
    }

    fn apply<'a>(
        &'a self,
        drift: AnyDrift,
        cx: &'a Context,
        host: &'a dyn Access,
    ) -> BoxFuture<'a, anyhow::Result<Outcome>> {
        Box::pin(async move { ControllerModule::apply(self, recall(drift)?, cx, host).await })
    }
}

/// A module's entry in its group's table.
pub struct Descriptor {
    /// Its names without a collection's name, the canonical first (`apt`; `service`, …).
    pub name: &'static str,
    /// The collections that have it (`ansible.builtin`, `community.general`), the canonical first.
    pub collections: &'static [&'static str],
    /// The parameter that takes free-form text (`command: uptime`), if it takes any.
    pub free_form: Option<&'static str>,
    /// Types the (rendered) arguments. Arguments that still hold templates are taken as whatever their parameter needs,
    /// so this is also the static check.
    pub prepare: fn(&Node) -> Result<Prepared, Diagnostic>,
    /// The JSON schema of its parameters; its descriptions are the reference page.
    pub schema: fn() -> schemars::Schema,
}

impl Descriptor {
    /// A host module's entry.
    pub const fn host<M: HostModule>(name: &'static str, collections: &'static [&'static str]) -> Self {
        Self {
            name,
            collections,
            free_form: None,
            prepare: |args| Ok(Prepared::Host(Arc::new(crate::text::typed::<M>(args)?))),
            schema: || schemars::schema_for!(M),
        }
    }

    /// A controller module's entry.
    pub const fn controller<M: ControllerModule>(name: &'static str, collections: &'static [&'static str]) -> Self {
        Self {
            name,
            collections,
            free_form: None,
            prepare: |args| Ok(Prepared::Controller(Arc::new(crate::text::typed::<M>(args)?))),
            schema: || schemars::schema_for!(M),
        }
    }

    /// With a parameter for free-form text.
    #[must_use]
    pub const fn free_form(mut self, parameter: &'static str) -> Self {
        self.free_form = Some(parameter);
        self
    }
}
