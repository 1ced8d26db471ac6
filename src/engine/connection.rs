//! Which way a task reaches its host: transport and user from variables, keywords and options; sessions are kept and shared.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::event::{Event, Events};
use super::options::Options;
use super::settings::Settings;
use super::vars::TaskScope;
use crate::host::script::Script;
use crate::host::{Become, ConnectError, Entry, Reply, Secret, Session, SshTarget, Target, Transport};
use crate::language::Config;
use crate::language::template::{Templar, Variable};
use crate::modules::contract::{Access, ByteStream};
use crate::text::{Diagnostic, Kind};

/// A connection as a task asks for it.
#[derive(Clone)]
pub(super) struct Route {
    /// Where to.
    pub target: Target,
    /// As which other user.
    pub who: Option<Become>,
}

impl Route {
    /// Equal keys share a session. Hosts of different names don't, even where they are one machine: they work side by side.
    fn key(&self) -> String {
        match &self.target.transport {
            Transport::Local => format!("local|{}", self.target.name),
            Transport::Ssh(ssh) => {
                let password = ssh.password.as_ref().map(|p| p.expose().to_owned());
                format!(
                    "{}|{}|{:?}|{:?}|{:?}|{:?}|{:?}|{}",
                    self.target.name,
                    ssh.host,
                    ssh.port,
                    ssh.user,
                    ssh.private_key,
                    password,
                    ssh.common_args,
                    ssh.host_key_checking
                )
            }
        }
    }
}

/// Reads connection variables in the scope of the host that is connected to.
pub(super) struct Resolver<'a> {
    /// Renders.
    pub templar: &'a Templar,
    /// The task's variables, on the host that does the work.
    pub scope: &'a TaskScope,
    /// Command line.
    pub options: &'a Options,
    /// Configuration.
    pub config: &'a Config,
}

impl Resolver<'_> {
    fn variable(&self, name: &str) -> Result<Option<Value>, Diagnostic> {
        use crate::language::template::Scope as _;
        match self.scope.variable(name) {
            None => Ok(None),
            Some(Variable::Json(value)) => Ok(Some(value)),
            Some(Variable::Node(node)) => {
                let node = self.templar.render(&node, &self.scope.scope())?;
                Ok(if matches!(node.kind, Kind::Omit) { None } else { Some(node.to_json()) })
            }
            Some(_) => Ok(None),
        }
    }

    fn text(&self, names: &[&str]) -> Result<Option<String>, Diagnostic> {
        for name in names {
            match self.variable(name)? {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => return Ok(Some(text)),
                Some(other) => return Ok(Some(other.to_string())),
            }
        }
        Ok(None)
    }

    fn flag(&self, names: &[&str]) -> Result<Option<bool>, Diagnostic> {
        Ok(self.text(names)?.map(|text| is_yes(&text)))
    }

    /// The route, with the task's keywords.
    ///
    /// # Errors
    /// A template that can't be rendered, or a connection that crudctl doesn't have.
    pub(super) fn route(&self, settings: &Settings) -> Result<Route, Diagnostic> {
        let connection = match self.text(&["ansible_connection"])? {
            Some(connection) => Some(connection),
            None => settings.connection.clone().or_else(|| self.options.connection.clone()),
        };
        let name = self.scope.host.name.to_string();
        let connection = connection.unwrap_or_else(|| "ssh".into());
        let transport = match connection.rsplit('.').next().unwrap_or(&connection) {
            "local" => Transport::Local,
            "ssh" | "smart" | "paramiko" | "paramiko_ssh" => Transport::Ssh(self.ssh(&name, settings)?),
            _ => {
                return Err(Diagnostic::plain(format!("the connection plugin `{connection}` was not found"))
                    .hint("crudctl has `ssh` and `local`"));
            }
        };
        Ok(Route { target: Target { name, transport }, who: self.other_user(settings)? })
    }

    fn ssh(&self, name: &str, settings: &Settings) -> Result<SshTarget, Diagnostic> {
        let split = |text: Option<String>| -> Result<Vec<String>, Diagnostic> {
            text.map_or(Ok(vec![]), |text| {
                shlex::split(&text)
                    .ok_or_else(|| Diagnostic::plain(format!("unbalanced quotes in ssh arguments `{text}`")))
            })
        };
        let mut common_args = self.options.ssh_args.clone();
        common_args.extend(split(self.text(&["ansible_ssh_args"])?)?);
        common_args.extend(split(self.text(&["ansible_ssh_common_args"])?)?);
        common_args.extend(split(self.text(&["ansible_ssh_extra_args"])?)?);
        let port = match self.text(&["ansible_port", "ansible_ssh_port"])? {
            Some(port) => Some(port),
            None => settings.port.clone(),
        };
        let port = port
            .map(|port| port.parse().map_err(|_| Diagnostic::plain(format!("`{port}` is no port number"))))
            .transpose()?;
        let user = self.text(&["ansible_user", "ansible_ssh_user"])?;
        let key = self.text(&["ansible_private_key_file", "ansible_ssh_private_key_file"])?;
        let timeout = self.text(&["ansible_timeout", "ansible_ssh_timeout"])?.and_then(|t| t.parse().ok());
        Ok(SshTarget {
            host: self.text(&["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| name.to_owned()),
            port,
            user: user.or_else(|| settings.remote_user.clone()).or_else(|| self.options.remote_user.clone()),
            private_key: key.map(|key| expand_home(&key)).or_else(|| self.options.private_key.clone()),
            password: self
                .text(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?
                .map(|p| Secret::new(p.as_str()))
                .or_else(|| self.options.password.clone()),
            common_args,
            connect_timeout: timeout.map_or(self.options.timeout, Duration::from_secs),
            host_key_checking: self
                .flag(&["ansible_host_key_checking", "ansible_ssh_host_key_checking"])?
                .unwrap_or(self.config.host_key_checking),
        })
    }

    fn other_user(&self, settings: &Settings) -> Result<Option<Become>, Diagnostic> {
        let wanted = match self.flag(&["ansible_become"])? {
            Some(wanted) => wanted,
            None => settings.r#become.unwrap_or(self.options.r#become),
        };
        if !wanted {
            return Ok(None);
        }
        let method = match self.text(&["ansible_become_method"])? {
            Some(method) => method,
            None => settings
                .become_method
                .clone()
                .or_else(|| self.options.become_method.clone())
                .unwrap_or_else(|| "sudo".into()),
        };
        let short = method.rsplit('.').next().unwrap_or(&method).to_owned();
        let own = |what: &str| format!("ansible_{short}_{what}");
        let user = match self.text(&["ansible_become_user", &own("user")])? {
            Some(user) => user,
            None => settings
                .become_user
                .clone()
                .or_else(|| self.options.become_user.clone())
                .unwrap_or_else(|| "root".into()),
        };
        let password = self
            .text(&["ansible_become_password", "ansible_become_pass", &own("pass"), &own("password")])?
            .map(|p| Secret::new(p.as_str()))
            .or_else(|| self.options.become_password.clone());
        let flags = self.text(&["ansible_become_flags", &own("flags")])?.or_else(|| settings.become_flags.clone());
        let exe = self.text(&["ansible_become_exe", &own("exe")])?.or_else(|| settings.become_exe.clone());
        Ok(Some(Become { method: short, user, password, flags, exe }))
    }
}

/// What Ansible takes for true in a string.
pub(super) fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1" | "y" | "t")
}

fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

type Slot = Arc<OnceCell<Session>>;

/// The run's sessions: one a route, opened when first used.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<HashMap<String, Slot>>,
    /// Round trips of sessions that were closed.
    closed: std::sync::atomic::AtomicU64,
}

impl Sessions {
    /// The session of this route; opens it if need be.
    pub(super) async fn get(&self, route: &Route, events: &Events) -> Result<Session, ConnectError> {
        let slot = Arc::clone(self.open.lock().await.entry(route.key()).or_default());
        let session = slot
            .get_or_try_init(|| async {
                let began = Instant::now();
                let session = Session::connect(&route.target).await?;
                let seconds = began.elapsed().as_secs_f64();
                events.emit(Event::Connected { host: route.target.name.clone(), seconds });
                Ok(session)
            })
            .await?;
        Ok(session.clone())
    }

    /// The session of this route, where it is open.
    pub(super) async fn known(&self, route: &Route) -> Option<Session> {
        self.open.lock().await.get(&route.key()).and_then(|slot| slot.get().cloned())
    }

    /// The sessions with a host that are open.
    pub(super) async fn of(&self, host: &str) -> Vec<Session> {
        let open = self.open.lock().await;
        open.values().filter_map(|slot| slot.get()).filter(|session| session.name() == host).cloned().collect()
    }

    /// Closes the session of this route: the next use opens another.
    pub(super) async fn drop_route(&self, route: &Route) {
        let slot = self.open.lock().await.remove(&route.key());
        if let Some(session) = slot.and_then(|slot| slot.get().cloned()) {
            self.closed.fetch_add(session.round_trips(), std::sync::atomic::Ordering::Relaxed);
            session.close().await;
        }
    }

    /// Closes all sessions; returns the round trips that they took.
    pub(super) async fn close(&self) -> u64 {
        let slots: Vec<Slot> = self.open.lock().await.drain().map(|(_, slot)| slot).collect();
        let sessions: Vec<Session> = slots.iter().filter_map(|slot| slot.get().cloned()).collect();
        let total = sessions.iter().map(Session::round_trips).sum::<u64>();
        futures_util::future::join_all(sessions.iter().map(Session::close)).await;
        total + self.closed.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// A task's host, for controller modules.
pub(super) struct HostAccess {
    /// The session.
    pub session: Session,
    /// The user.
    pub who: Option<Become>,
    /// The task's environment.
    pub environment: Vec<(String, String)>,
    /// For progress lines.
    pub events: Events,
    /// The host's name.
    pub host: String,
    /// The task's number.
    pub task: u64,
}

impl Access for HostAccess {
    fn run(&self, script: Script) -> BoxFuture<'_, anyhow::Result<Reply>> {
        Box::pin(async move {
            let entry = Entry { apply: Some(script), environment: self.environment.clone(), ..Entry::default() };
            let mut replies = self.session.run(self.who.clone(), vec![entry]);
            let reply = replies.recv().await.ok_or_else(|| anyhow::anyhow!("the host gave no reply"))??;
            reply.apply.ok_or_else(|| anyhow::anyhow!("the host gave no reply"))
        })
    }

    fn open(&self, argv: Vec<String>) -> BoxFuture<'_, anyhow::Result<Box<dyn ByteStream>>> {
        Box::pin(self.session.open(self.who.clone(), argv))
    }

    fn connect(&self, address: String, port: u16) -> BoxFuture<'_, anyhow::Result<Box<dyn ByteStream>>> {
        Box::pin(async move { self.session.connect_tcp(&address, port).await })
    }

    fn reconnect(&self, timeout: Duration) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.session.reconnect(timeout))
    }

    fn is_local(&self) -> bool {
        self.session.is_local() && self.who.is_none()
    }

    fn progress(&self, line: &str) {
        self.events.emit(Event::Progress { host: self.host.clone(), task: self.task, line: line.to_owned() });
    }
}
