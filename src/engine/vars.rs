//! Variables: who sees which value under a name.
//!
//! The order is that of Ansible's "Understanding variable precedence" (highest first): loop variables, magic variables, extra vars,
//! parameters of includes and roles, `set_fact` and `register`, `include_vars`, `vars` of tasks and blocks, vars of roles,
//! `vars_files`, `vars_prompt`, `vars` of the play, facts, the host's and its groups' inventory variables, defaults of roles.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use super::host::Host;
use crate::language::template::{Scope, Scopes, Variable};
use crate::language::{Frame, FrameKind, Inventory, Role, Vault};
use crate::text::{Kind, Node, Place};

/// Version of Ansible whose language this is, as `ansible_version` reports it.
const LANGUAGE: (u32, u32, u32) = (2, 19, 14);

/// What all scopes of a run share.
pub(super) struct Variables {
    /// `-e`.
    pub extra: IndexMap<String, Node>,
    /// Hosts and groups; `add_host` changes it.
    pub inventory: RwLock<Inventory>,
    /// The hosts, made when first used.
    hosts: RwLock<IndexMap<String, Arc<Host>>>,
    /// Whether mappings of one name are joined.
    merge: bool,
    /// Decrypts.
    pub vault: Arc<Vault>,
    /// Values that are the same for all (`ansible_check_mode`, …).
    pub magic: Map<String, Value>,
    /// Whether facts are variables of their own.
    pub inject_facts: bool,
}

impl Variables {
    /// Those of a run.
    pub(super) fn new(
        extra: IndexMap<String, Node>,
        inventory: Inventory,
        vault: Arc<Vault>,
        mut magic: Map<String, Value>,
        inject_facts: bool,
    ) -> Self {
        let (major, minor, revision) = LANGUAGE;
        let full = format!("{major}.{minor}.{revision}");
        magic.insert(
            "ansible_version".into(),
            json!({"full": full, "string": full, "major": major, "minor": minor, "revision": revision}),
        );
        let merge = inventory.merges();
        Self { extra, merge, inventory: RwLock::new(inventory), hosts: RwLock::default(), vault, magic, inject_facts }
    }

    /// The inventory, to read.
    pub(super) fn inventory(&self) -> std::sync::RwLockReadGuard<'_, Inventory> {
        self.inventory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host of this name; a name that no inventory has gets a host of its own (`delegate_to`).
    pub(super) fn host(&self, name: &str) -> Arc<Host> {
        if let Some(host) = self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(host);
        }
        let host = Host::new(name);
        {
            let inventory = self.inventory();
            let mut vars = host.write();
            vars.groups = Arc::new(inventory.group_vars(name));
            vars.inventory = Arc::new(inventory.host_vars(name));
        }
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(host)))
    }

    /// Takes the inventory's variables over again, after it changed.
    pub(super) fn refresh(&self) {
        let hosts: Vec<Arc<Host>> =
            self.hosts.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let inventory = self.inventory();
        for host in hosts {
            let mut vars = host.write();
            vars.groups = Arc::new(inventory.group_vars(&host.name));
            vars.inventory = Arc::new(inventory.host_vars(&host.name));
        }
    }
}

/// What all scopes of a play share.
#[derive(Default)]
pub(super) struct PlayVars {
    /// Its name.
    pub name: String,
    /// Its directory (of the playbook).
    pub dir: PathBuf,
    /// Its frame: `vars` of the play and of what imported it.
    pub frame: Option<Arc<Frame>>,
    /// `vars_prompt`.
    pub prompts: IndexMap<String, Value>,
    /// Roles whose defaults and vars all tasks of the play see.
    pub roles: RwLock<Vec<Arc<Role>>>,
    /// All hosts of the play.
    pub all_hosts: Vec<Arc<Host>>,
    /// The hosts of this batch (`serial`).
    pub batch: RwLock<Vec<Arc<Host>>>,
}

impl PlayVars {
    /// Adds a role whose variables all tasks see from now on.
    pub(super) fn export(&self, role: &Arc<Role>) {
        let mut roles = self.roles.write().unwrap_or_else(PoisonError::into_inner);
        if !roles.iter().any(|r| Arc::ptr_eq(r, role)) {
            roles.push(Arc::clone(role));
        }
    }

    fn roles(&self) -> Vec<Arc<Role>> {
        self.roles.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names of the batch's hosts; only those that are still active, if so asked.
    pub(super) fn batch_names(&self, active: bool) -> Vec<Value> {
        let batch = self.batch.read().unwrap_or_else(PoisonError::into_inner);
        batch.iter().filter(|h| !active || h.is_active()).map(|h| Value::from(&*h.name)).collect()
    }
}

/// The variables of one task (or loop item) on one host.
#[derive(Clone)]
pub(super) struct TaskScope {
    /// The run's.
    pub run: Arc<Variables>,
    /// The play's.
    pub play: Option<Arc<PlayVars>>,
    /// The host.
    pub host: Arc<Host>,
    /// The task's frame.
    pub frame: Option<Arc<Frame>>,
    /// Loop variables and other values that stand above all.
    pub locals: IndexMap<String, Value>,
    /// Whether the task runs in check mode.
    pub check_mode: bool,
    /// Names that were looked up, where someone wants to know.
    pub used: Option<Arc<Mutex<HashSet<String>>>>,
}

impl TaskScope {
    /// As a scope for templates.
    pub(super) fn scope(&self) -> Arc<dyn Scope> {
        Arc::new(self.clone())
    }

    /// With one more local.
    #[must_use]
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        let mut scope = self.clone();
        scope.locals.insert(name.to_owned(), value);
        scope
    }

    /// The same task seen from another host (`delegate_to`): that host's own variables.
    pub(super) fn on(&self, host: Arc<Host>) -> Self {
        Self { host, ..self.clone() }
    }

    fn levels(&self) -> impl Iterator<Item = &Frame> {
        self.frame.iter().flat_map(|frame| frame.levels())
    }

    /// The role of the task and those that brought it in, the innermost first.
    fn role_chain(&self) -> Vec<&Arc<Role>> {
        let mut chain: Vec<&Arc<Role>> = vec![];
        for role in self.levels().filter_map(|level| level.role.as_ref()) {
            if !chain.iter().any(|r| Arc::ptr_eq(r, role)) {
                chain.push(role);
            }
        }
        chain
    }

    fn include_params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Node> + 'a {
        let includes = self.levels().filter(|level| level.kind == FrameKind::Include);
        includes.filter_map(move |level| entry(level.keywords.vars.as_ref(), name))
    }

    fn role_params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Node> + 'a {
        let roles = self.levels().filter(|level| level.kind == FrameKind::Role);
        roles.filter_map(|level| Some((level.role.as_ref()?, level))).flat_map(move |(role, level)| {
            let both = [entry(role.params.as_ref(), name), entry(level.keywords.vars.as_ref(), name)];
            both.into_iter().flatten()
        })
    }

    fn frame_vars<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Node> + 'a {
        let within = self.levels().take_while(|level| level.kind != FrameKind::Play);
        let local = within.filter(|level| matches!(level.kind, FrameKind::Task | FrameKind::Block));
        local.filter_map(move |level| entry(level.keywords.vars.as_ref(), name))
    }

    /// The roles whose variables are seen, the nearest first: the task's own, those that it depends on, those that brought it in.
    fn roles(&self) -> impl Iterator<Item = Arc<Role>> {
        let play = self.play.as_ref().map(|play| play.roles()).unwrap_or_default();
        let mut chain: Vec<Arc<Role>> = self.role_chain().into_iter().cloned().collect();
        if let Some(own) = chain.first() {
            let dependencies = own.all_dependencies();
            chain.splice(1..1, dependencies);
        }
        chain.into_iter().chain(play.into_iter().rev())
    }

    fn play_vars(&self, name: &str) -> impl Iterator<Item = Variable> {
        let prompt = self.play.as_ref().and_then(|play| play.prompts.get(name)).cloned();
        let frame = self.play.as_ref().and_then(|play| play.frame.as_ref());
        let written: Vec<Node> = frame
            .into_iter()
            .flat_map(|frame| frame.levels())
            .filter_map(|level| entry(level.keywords.vars.as_ref(), name))
            .collect();
        prompt.map(Variable::Json).into_iter().chain(written.into_iter().map(Variable::Node))
    }

    fn host_set(&self, name: &str) -> impl Iterator<Item = Variable> {
        let vars = self.host.read();
        let set = vars.set.get(name).cloned().map(Variable::Json);
        set.into_iter().chain(vars.included.get(name).cloned().map(Variable::Node))
    }

    /// Facts, and what the inventory says.
    fn host_low(&self, name: &str) -> impl Iterator<Item = Variable> {
        let vars = self.host.read();
        let fact = vars.injected.get(name).filter(|_| self.run.inject_facts).and_then(|key| vars.facts.get(key));
        let own = [vars.inventory.get(name), vars.groups.get(name)].map(|found| found.cloned().map(Variable::Node));
        let implicit = || {
            if self.run.inventory().contains(&self.host.name) {
                return None;
            }
            // The implicit localhost has the interpreter of this machine, as in Ansible.
            match name {
                "ansible_connection" if matches!(&*self.host.name, "localhost" | "127.0.0.1" | "::1") => {
                    Some(Variable::Json("local".into()))
                }
                "ansible_python_interpreter" => program("python3").map(|path| Variable::Json(path.into())),
                _ => None,
            }
        };
        let fallback = if own.iter().all(Option::is_none) { implicit() } else { None };
        fact.cloned().map(Variable::Json).into_iter().chain(own.into_iter().flatten()).chain(fallback)
    }

    fn magic(&self, name: &str) -> Option<Variable> {
        let json = |value: Value| Some(Variable::Json(value));
        match name {
            "omit" => Some(Variable::Node(Node::new(Kind::Omit, Place::synthetic("omit")))),
            "vars" => Some(Variable::Scope(self.scope())),
            "hostvars" => Some(Variable::Scopes(Arc::new(HostScopes(Arc::clone(&self.run))))),
            "inventory_hostname" => json(Value::from(&*self.host.name)),
            "inventory_hostname_short" => {
                json(Value::from(self.host.name.split('.').next().unwrap_or(&self.host.name)))
            }
            "group_names" => json(Value::from(self.run.inventory().groups_of(&self.host.name))),
            "groups" => json(groups(&self.run.inventory())),
            "ansible_facts" => json(Value::Object((*self.host.read().facts).clone())),
            "ansible_check_mode" => json(Value::Bool(self.check_mode)),
            _ => self.magic_of_play(name).or_else(|| self.run.magic.get(name).cloned().map(Variable::Json)),
        }
    }

    fn magic_of_play(&self, name: &str) -> Option<Variable> {
        let play = self.play.as_ref()?;
        let names = |roles: &mut dyn Iterator<Item = String>| {
            Value::from(roles.collect::<IndexSet<_>>().into_iter().collect::<Vec<_>>())
        };
        let value = match name {
            "playbook_dir" => Value::from(play.dir.display().to_string()),
            "ansible_play_name" => Value::from(play.name.clone()),
            "ansible_play_hosts" | "play_hosts" => {
                Value::Array(play.all_hosts.iter().filter(|h| h.is_active()).map(|h| Value::from(&*h.name)).collect())
            }
            "ansible_play_hosts_all" => Value::Array(play.all_hosts.iter().map(|h| Value::from(&*h.name)).collect()),
            "ansible_play_batch" => Value::Array(play.batch_names(true)),
            "ansible_play_role_names" | "role_names" => names(&mut play.roles().iter().map(|r| r.name.clone())),
            "role_name" => Value::from(short_role(&self.role()?.name)),
            "ansible_role_name" => Value::from(self.role()?.name.clone()),
            "role_path" => Value::from(self.role()?.path.display().to_string()),
            "role_uuid" => Value::from(self.role()?.path.display().to_string()),
            "ansible_parent_role_names" => {
                Value::from(self.role_chain().into_iter().skip(1).map(|r| r.name.clone()).collect::<Vec<_>>())
            }
            "ansible_parent_role_paths" => Value::from(
                self.role_chain().into_iter().skip(1).map(|r| r.path.display().to_string()).collect::<Vec<_>>(),
            ),
            "ansible_dependent_role_names" => names(&mut play.roles().iter().flat_map(|r| r.parents.clone())),
            "ansible_role_names" => names(&mut play.roles().iter().map(|r| r.name.clone())),
            "ansible_search_path" => {
                Value::from(self.search().iter().map(|p| p.display().to_string()).collect::<Vec<_>>())
            }
            _ => return None,
        };
        Some(Variable::Json(value))
    }

    /// The role that the task belongs to.
    pub(super) fn role(&self) -> Option<&Arc<Role>> {
        self.frame.as_ref()?.role.as_ref()
    }

    /// Directories in which relative files are looked up, the best first.
    pub(super) fn search(&self) -> Vec<PathBuf> {
        let mut dirs: IndexSet<PathBuf> = self.role_chain().into_iter().map(|role| role.path.clone()).collect();
        for level in self.levels() {
            if let Some(dir) = level.file.parent() {
                dirs.insert(dir.to_owned());
            }
        }
        if let Some(play) = &self.play {
            dirs.insert(play.dir.clone());
        }
        dirs.into_iter().collect()
    }

    fn find(&self, name: &str) -> Option<Variable> {
        if let Some(value) = self.locals.get(name) {
            return Some(Variable::Json(value.clone()));
        }
        if let Some(magic) = self.magic(name) {
            return Some(magic);
        }
        let mut all = self.values(name);
        let first = all.next()?;
        Some(if self.run.merge { joined(first, all) } else { first })
    }

    /// All values of a name, the highest first; each is looked for when it is asked for.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Variable> + 'a {
        let of_roles = move |part: fn(&Role) -> Option<&Node>| {
            later(move || self.roles().filter_map(move |role| entry(part(&role), name)).map(Variable::Node))
        };
        let extra = self.run.extra.get(name).cloned();
        let params = self.include_params(name).chain(self.role_params(name));
        extra
            .into_iter()
            .chain(params)
            .map(Variable::Node)
            .chain(later(|| self.host_set(name)))
            .chain(self.frame_vars(name).map(Variable::Node))
            .chain(of_roles(|role| role.vars.as_ref()))
            .chain(later(|| self.host.read().files.get(name).cloned().map(Variable::Node)))
            .chain(later(|| self.play_vars(name)))
            .chain(later(|| self.host_low(name)))
            .chain(of_roles(|role| role.defaults.as_ref()))
    }
}

/// An iterator that is made when it is come to.
fn later<I: IntoIterator>(make: impl FnOnce() -> I) -> impl Iterator<Item = I::Item> {
    std::iter::once_with(make).flatten()
}

/// A mapping joined with the lower mappings of its name, down to the first that is none.
fn joined(first: Variable, lower: impl Iterator<Item = Variable>) -> Variable {
    let mapping = |variable: &Variable| match variable {
        Variable::Node(node) => Some(node.clone()),
        Variable::Json(value) => Some(Node::from_json(value, &Place::synthetic("variables"))),
        _ => None,
    };
    let mapping = |variable: &Variable| mapping(variable).filter(|node| matches!(node.kind, Kind::Map(_)));
    let Some(top) = mapping(&first) else { return first };
    Variable::Node(lower.map_while(|variable| mapping(&variable)).fold(top, |all, low| low.merged(&all)))
}

impl Scope for TaskScope {
    fn variable(&self, name: &str) -> Option<Variable> {
        if let Some(used) = &self.used {
            used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        self.find(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: IndexSet<String> = self.locals.keys().cloned().collect();
        names.extend(self.run.extra.keys().cloned());
        for level in self.levels() {
            names.extend(keys(level.keywords.vars.as_ref()));
        }
        let play_roles = self.play.as_ref().map(|p| p.roles()).unwrap_or_default();
        for role in self.role_chain().into_iter().chain(&play_roles) {
            for node in [&role.params, &role.vars, &role.defaults] {
                names.extend(keys(node.as_ref()));
            }
        }
        if let Some(play) = &self.play {
            names.extend(play.prompts.keys().cloned());
            for level in play.frame.iter().flat_map(|f| f.levels()) {
                names.extend(keys(level.keywords.vars.as_ref()));
            }
            names.extend(PLAY_MAGIC.iter().filter(|n| self.magic_of_play(n).is_some()).map(|n| (*n).to_owned()));
        }
        let vars = self.host.read();
        names.extend(vars.set.keys().cloned());
        names.extend(vars.included.keys().cloned());
        names.extend(vars.files.keys().cloned());
        names.extend(vars.injected.keys().cloned());
        names.extend(vars.inventory.keys().cloned());
        names.extend(vars.groups.keys().cloned());
        names.extend(self.run.magic.keys().cloned());
        names.extend(MAGIC.iter().map(|n| (*n).to_owned()));
        names.into_iter().collect()
    }

    fn search_paths(&self) -> Vec<PathBuf> {
        self.search()
    }

    fn decrypt(&self, vaulted: &str) -> anyhow::Result<String> {
        self.run.vault.decrypt(vaulted)
    }
}

/// Names that [`TaskScope::magic`] always answers and that `vars` and `hostvars` list.
const MAGIC: &[&str] = &[
    "inventory_hostname",
    "inventory_hostname_short",
    "group_names",
    "groups",
    "ansible_facts",
    "ansible_check_mode",
    "omit",
];
const PLAY_MAGIC: &[&str] = &[
    "playbook_dir",
    "ansible_play_name",
    "ansible_play_hosts",
    "play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_batch",
    "ansible_play_role_names",
    "role_names",
    "role_name",
    "ansible_role_name",
    "role_path",
    "ansible_role_names",
    "ansible_dependent_role_names",
];

/// `hostvars`: the variables of every host, without those of the play.
struct HostScopes(Arc<Variables>);

impl Scopes for HostScopes {
    fn names(&self) -> Vec<String> {
        self.0.inventory().hosts()
    }

    fn scope(&self, name: &str) -> Option<Arc<dyn Scope>> {
        let known = self.0.inventory().contains(name)
            || self.0.hosts.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
            || matches!(name, "localhost" | "127.0.0.1" | "::1");
        known.then(|| {
            let scope = TaskScope {
                run: Arc::clone(&self.0),
                play: None,
                host: self.0.host(name),
                frame: None,
                locals: IndexMap::new(),
                check_mode: self.0.magic.get("ansible_check_mode").and_then(Value::as_bool).unwrap_or(false),
                used: None,
            };
            scope.scope()
        })
    }
}

fn groups(inventory: &Inventory) -> Value {
    let all: HashMap<String, Vec<String>> = inventory.groups().into_iter().collect();
    let mut map = Map::new();
    for (group, hosts) in inventory.groups() {
        map.insert(group, Value::from(hosts));
    }
    for always in ["all", "ungrouped"] {
        if !all.contains_key(always) {
            map.insert(always.to_owned(), Value::Array(vec![]));
        }
    }
    Value::Object(map)
}

/// The last part of a collection's role's name.
fn short_role(name: &str) -> &str {
    if name.matches('.').count() >= 2 { name.rsplit('.').next().unwrap_or(name) } else { name }
}

/// A program's path, looked up in `PATH`.
fn program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .map(|file| file.display().to_string())
}

fn entry(map: Option<&Node>, name: &str) -> Option<Node> {
    map?.get(name).cloned()
}

fn keys(map: Option<&Node>) -> Vec<String> {
    map.map(|m| m.entries().iter().map(|(k, _)| k.key_text()).collect()).unwrap_or_default()
}
