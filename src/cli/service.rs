//! What the verbs of a service share: its project, its hosts, and the playbook that does the work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use include_dir::{Dir, include_dir};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::args::{Common, OutputArgs, Selection};
use super::cluster;
use super::common::{self, Start};
use super::exit::Exit;
use super::failure::Failure;
use crate::engine::event::{Event, Reporter, Status};
use crate::engine::{Ended, Setup};
use crate::language::{Inventory, check};
use crate::project::Project;
use crate::text::{Node, Place, Source};

/// The playbooks that the program brings along.
static PLAYBOOKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/playbooks");

/// Options of all verbs that act on a service.
#[derive(Debug, Clone, Default, Args)]
pub struct ServiceArgs {
    /// A host: `USER@ADDRESS[:PORT]`; more than one may be given [default: those of crudctl.yaml, else this machine]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// The project's directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Seconds to wait for another operator's lock
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub lock_wait: u64,
    /// Where to, as whom
    #[command(flatten)]
    pub common: Common,
    /// In which form
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A service with everything to act on it.
pub struct Service {
    /// Its project.
    pub project: Project,
    /// Configuration and events.
    pub start: Start,
    args: ServiceArgs,
}

impl Service {
    /// Reads the project.
    ///
    /// # Errors
    /// There is none, or it is wrong.
    pub fn load(args: &ServiceArgs) -> Result<Self, Failure> {
        let project = Project::load(&args.project).map_err(|error| Failure::of(Exit::Static, vec![error]))?;
        let start = common::start(&args.common, args.output.form());
        Ok(Self { project, start, args: args.clone() })
    }

    /// Everything for a run on the service's hosts; `more` are variables for the playbook.
    ///
    /// # Errors
    /// A host that can't be understood, a secret that is missing.
    pub fn setup(&self, check_mode: bool, more: &[(&str, Value)]) -> Result<Setup, Failure> {
        let mut args = self.args.common.clone();
        args.check |= check_mode;
        args.diff |= check_mode;
        let project_inventory = self.project.inventory.clone();
        let from_inventory = !args.inventory.is_empty() || (self.args.host.is_empty() && project_inventory.is_some());
        if args.inventory.is_empty() {
            args.inventory = vec![match (&project_inventory, from_inventory) {
                (Some(path), true) => self.args.project.join(path).display().to_string(),
                _ => "/dev/null".into(),
            }];
        }
        let dir = self.args.project.clone();
        let mut setup = common::setup(&self.start, &args, &Selection::default(), &[dir])?;
        if from_inventory {
            setup.options.r#become = true;
        } else {
            let hosts = if self.args.host.is_empty() { &self.project.hosts } else { &self.args.host };
            add_hosts(&mut setup.inventory, hosts)?;
            if hosts.is_empty() && !nix::unistd::geteuid().is_root() {
                setup.options.r#become = true;
            }
            if hosts.iter().any(|h| !h.starts_with("root@")) {
                setup.options.r#become = true;
            }
        }
        self.put_variables(&mut setup, more)?;
        Ok(setup)
    }

    /// Everything for a run on the service's cluster, which is done from here; `more` are variables for the playbook.
    ///
    /// # Errors
    /// A secret that is missing.
    pub fn cluster_setup(&self, check_mode: bool, more: &[(&str, Value)]) -> Result<Setup, Failure> {
        let mut args = self.args.common.clone();
        args.check |= check_mode;
        args.diff |= check_mode;
        args.inventory = vec!["/dev/null".into()];
        let dirs = [self.args.project.clone()];
        let mut setup = common::setup(&self.start, &args, &Selection::default(), &dirs)?;
        add_hosts(&mut setup.inventory, &[])?;
        let mut all = vec![("kube", cluster::variables(&self.project)?)];
        all.extend_from_slice(more);
        self.put_variables(&mut setup, &all)?;
        Ok(setup)
    }

    /// The playbook's variables, below those that the user gives by `-e`.
    fn put_variables(&self, setup: &mut Setup, more: &[(&str, Value)]) -> Result<(), Failure> {
        let place = Place::synthetic(crate::project::FILE);
        let mut vars = IndexMap::new();
        for (name, value) in
            self.variables(setup)?.into_iter().chain(more.iter().map(|(n, v)| ((*n).to_owned(), v.clone())))
        {
            vars.insert(name, Node::from_json(&value, &place));
        }
        vars.extend(std::mem::take(&mut setup.options.extra_vars));
        setup.options.extra_vars = vars;
        Ok(())
    }

    fn variables(&self, setup: &Setup) -> Result<Map<String, Value>, Failure> {
        let p = &self.project;
        let mut env: Map<String, Value> = p.service.env.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        for name in &p.service.secrets {
            let Ok(value) = std::env::var(name) else {
                return Err(Failure::new(Exit::Usage, format!("the secret `{name}` is not set in the environment")));
            };
            setup.events.secrets().track_text(&value);
            env.insert(name.clone(), value.into());
        }
        let absolute = |path: &Path| {
            let path = self.args.project.join(path);
            std::path::absolute(&path).unwrap_or(path).display().to_string()
        };
        let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".into());
        let machine = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
        let (cert, key) = p.proxy.tls.as_ref().map(|t| (absolute(&t.cert), absolute(&t.key))).unwrap_or_default();
        let vars = json!({
            "app": p.name,
            "package": absolute(&p.image.build.folder()),
            "port": p.service.port,
            "health": p.service.health,
            "health_timeout": p.service.health_timeout,
            "env": env,
            "memory": p.service.memory,
            "database": p.database.name(),
            "docker_source": p.docker.source.name(),
            "proxy_host": p.proxy.host.clone().unwrap_or_default(),
            "proxy_port": p.proxy.port,
            "tls_cert": cert,
            "tls_key": key,
            "lock_owner": format!("{user}@{machine}"),
            "lock_wait": self.args.lock_wait,
            "remove_volumes": false,
        });
        Ok(match vars {
            Value::Object(map) => map,
            _ => Map::new(),
        })
    }

    /// Holds the project to what runs on a machine without a registry.
    ///
    /// # Errors
    /// Its image is built by a Dockerfile.
    pub fn expect_cargo(&self) -> Result<(), Failure> {
        if self.project.image.build.dockerfile.is_none() {
            return Ok(());
        }
        let why = "`image.build.dockerfile` is for `build-push` and `deploy`: `up` brings a cargo package to a machine";
        Err(Failure::new(Exit::Usage, why))
    }

    /// Runs a playbook: the project's own of this name, else the one that the program brings along.
    ///
    /// # Errors
    /// It is wrong, or can't be read.
    pub fn run(&self, name: &str, setup: Setup) -> Result<Ended, Failure> {
        run_playbook(&self.args.project, name, setup)
    }
}

/// Runs a playbook: the project's own of this name, else the one that the program brings along.
///
/// # Errors
/// It is wrong, or can't be read.
pub fn run_playbook(project: &Path, name: &str, setup: Setup) -> Result<Ended, Failure> {
    let own = project.join("playbooks").join(format!("{name}.yml"));
    let loaded = if own.is_file() && !is_bundled(&own, name) {
        setup.loader.playbook(&own)
    } else {
        let text = PLAYBOOKS.get_file(format!("{name}.yml")).and_then(|f| f.contents_utf8()).unwrap_or_default();
        let dir = std::path::absolute(project).unwrap_or_else(|_| project.to_owned());
        setup.loader.playbook_from(&Source::new(format!("{name}.yml"), text), &dir)
    };
    let playbook = loaded.map_err(|errors| Failure::of(Exit::Static, errors))?;
    let errors = check::check(&playbook, &setup.templar, &setup.loader);
    if !errors.is_empty() {
        return Err(Failure::of(Exit::Static, errors));
    }
    common::run(setup, vec![playbook])
}

/// Whether a file is the playbook that the program brings along (as in crudctl's own repository).
fn is_bundled(path: &Path, name: &str) -> bool {
    let bundled = PLAYBOOKS.get_file(format!("{name}.yml")).map(include_dir::File::contents);
    std::fs::read(path).ok().as_deref() == bundled
}

/// `USER@ADDRESS[:PORT]`s; none: this machine.
pub fn add_hosts(inventory: &mut Inventory, hosts: &[String]) -> Result<(), Failure> {
    if hosts.is_empty() {
        inventory.add_host("localhost", &[], Map::from_iter([("ansible_connection".to_owned(), json!("local"))]));
    }
    for host in hosts {
        let (user, address) = match host.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, host.as_str()),
        };
        let (name, port) = match address.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => {
                let port: u16 = port
                    .parse()
                    .map_err(|_| Failure::new(Exit::Usage, format!("`{port}` in `{host}` is no port number")))?;
                (name, Some(port))
            }
            _ => (address, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(Failure::new(Exit::Usage, format!("`{host}` names no host: USER@ADDRESS[:PORT] is wanted")));
        }
        let mut vars = Map::new();
        vars.insert("ansible_connection".into(), "ssh".into());
        if let Some(user) = user {
            vars.insert("ansible_user".into(), user.into());
        }
        if let Some(port) = port {
            vars.insert("ansible_port".into(), port.into());
        }
        inventory.add_host(name, &[], vars);
    }
    Ok(())
}

/// Modules whose `rc` 7 means that another holds the lock.
const LOCKING: [&str; 2] = ["crudctl_lock", "crudctl_rollout"];

/// What a run did, as its exit status tells it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Tasks that changed something (or would).
    pub changed: usize,
    /// Whether a release did not become well.
    pub rolled_back: bool,
    /// Whether another operator holds the lock.
    pub locked: bool,
    /// Releases by host, where they were asked for.
    pub releases: IndexMap<String, Value>,
}

/// Watches a run.
#[derive(Clone, Default)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    /// Whether progress is data: the lines of a log.
    print_progress: bool,
}

impl Watch {
    /// One to which progress is data.
    pub fn printing() -> Self {
        Self { print_progress: true, ..Self::default() }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The exit status of the run that was watched.
    pub fn exit(&self, ended: &Ended) -> Exit {
        let seen = self.seen();
        match Exit::of(ended) {
            Exit::Failed if seen.rolled_back => Exit::RolledBack,
            Exit::Failed if seen.locked => Exit::Locked,
            other => other,
        }
    }
}

impl Reporter for Watch {
    fn event(&mut self, event: &Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TaskEnded(result) => {
                seen.changed += usize::from(result.status == Status::Changed);
                if result.status == Status::Failed && !result.ignored {
                    seen.rolled_back |= result.result.contains_key("explanation");
                    seen.locked |=
                        LOCKING.contains(&result.task.action.as_str()) && result.result.get("rc") == Some(&json!(7));
                }
                if let Some(releases) = result.result.get("releases") {
                    seen.releases.insert(result.host.clone(), releases.clone());
                }
            }
            Event::Progress { line, .. } if self.print_progress => super::say(line),
            _ => {}
        }
    }
}
