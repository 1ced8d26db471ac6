//! Inventories: hosts, groups and their variables, from INI, YAML, directories, scripts and plain lists; and host patterns.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use super::generator;
use super::ini;
use super::loader::{Loader, files_below};
use super::pattern;
use crate::text::{Diagnostic, Kind, Node, Place, Source, parse};

/// A group.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub children: IndexSet<String>,
    pub hosts: IndexSet<String>,
    pub vars: IndexMap<String, Node>,
    /// From `group_vars/`, in the order in which directories were read.
    pub files: Files,
}

/// Variables from `group_vars/`: those beside inventories, and those beside playbooks.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    inventory: IndexMap<String, Node>,
    play: IndexMap<String, Node>,
}

/// Whose `group_vars/` and `host_vars/` are read: a playbook's win over an inventory's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// An inventory.
    Inventory,
    /// A playbook.
    Playbook,
}

/// Hosts and groups.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    groups: IndexMap<String, Group>,
    hosts: IndexMap<String, IndexMap<String, Node>>,
    host_files: IndexMap<String, IndexMap<String, Node>>,
    /// From `group_vars/`, of groups that may yet be made.
    group_files: IndexMap<String, Files>,
    sources: Vec<String>,
    /// Whether mappings of one name are joined (`hash_behaviour`).
    merge: bool,
}

impl Inventory {
    /// An inventory of these sources: paths (INI, YAML, directories, executable scripts) and lists (`a,b,`).
    ///
    /// # Errors
    /// A source that does not exist or can't be understood.
    pub fn load(sources: &[String], loader: &Loader, merge: bool) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut inventory = Self { merge, ..Self::default() };
        let mut warnings = vec![];
        for name in ["all", "ungrouped"] {
            inventory.groups.entry(name.to_owned()).or_default();
        }
        for source in sources {
            if source.contains(',') {
                for host in source.split(',').map(str::trim).filter(|h| !h.is_empty()) {
                    for host in pattern::expand(host) {
                        inventory.add_address(&host);
                    }
                }
                inventory.sources.push(source.clone());
                continue;
            }
            let path = PathBuf::from(source);
            let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
            inventory.sources.push(shown);
            if source == "/dev/null" {
                continue;
            }
            if !path.exists() {
                warnings.push(
                    Diagnostic::plain(format!("Unable to parse {} as an inventory source", path.display())).warning(),
                );
                continue;
            }
            inventory.read(&path, loader, &mut warnings)?;
        }
        for source in sources.iter().filter(|s| !s.contains(',')) {
            let path = PathBuf::from(source);
            let dir = if path.is_dir() { path } else { path.parent().map(Path::to_owned).unwrap_or_default() };
            inventory.load_vars_dir(&dir, Beside::Inventory, loader)?;
        }
        inventory.settle();
        Ok((inventory, warnings))
    }

    #[expect(clippy::only_used_in_recursion, reason = "warnings of what is below a directory")]
    fn read(&mut self, path: &Path, loader: &Loader, warnings: &mut Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
        if path.is_dir() {
            let mut names: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(|e| vec![Diagnostic::plain(format!("{}: {e}", path.display()))])?
                .filter_map(|e| e.ok().map(|e| e.path()))
                .collect();
            names.sort();
            const IGNORED: &[&str] =
                &["orig", "cfg", "retry", "pyc", "pyo", "swp", "bak", "rpmnew", "rpmsave", "md", "txt", "j2"];
            for name in names {
                let file = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let ending = name.extension().unwrap_or_default().to_string_lossy().into_owned();
                if file.starts_with('.')
                    || file.ends_with('~')
                    || IGNORED.contains(&ending.as_str())
                    || matches!(file.as_str(), "group_vars" | "host_vars")
                {
                    continue;
                }
                self.read(&name, loader, warnings)?;
            }
            return Ok(());
        }
        use std::os::unix::fs::PermissionsExt as _;
        let executable = path.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
        let text = std::fs::read(path).map_err(|e| vec![Diagnostic::plain(format!("{}: {e}", path.display()))])?;
        if executable && text.starts_with(b"#!") {
            return self.script(path).map_err(|e| vec![e]);
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if matches!(ending.as_str(), "yml" | "yaml" | "json") {
            let node = loader.load_yaml(path).map_err(|e| vec![e])?;
            return self.yaml(&node).map_err(|e| vec![e]);
        }
        let text = String::from_utf8(text)
            .map_err(|_| vec![Diagnostic::plain(format!("{} is no UTF-8 text", path.display()))])?;
        let source = Source::new(path.display().to_string(), text);
        // A file without ending may be YAML, too; one that starts with a document mark is.
        if source.text.trim_start().starts_with("---")
            || (source.text.trim_start().starts_with("all:") && !source.text.contains('['))
        {
            let parsed = parse(&source).map_err(|e| vec![e])?;
            return self.yaml(&parsed.first(&source)).map_err(|e| vec![e]);
        }
        ini::read(self, &source)
    }

    /// A dynamic inventory: a program that answers `--list` (and `--host NAME`, where it gives no `_meta`).
    fn script(&mut self, path: &Path) -> Result<(), Diagnostic> {
        let run = |args: &[&str]| -> Result<Value, Diagnostic> {
            let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let output = std::process::Command::new(&full).args(args).output().map_err(|e| {
                Diagnostic::plain(format!("could not run the inventory script {}: {e}", path.display()))
            })?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr);
                return Err(Diagnostic::plain(format!(
                    "Inventory script ({}) had an execution error: {}",
                    path.display(),
                    text.trim()
                )));
            }
            serde_json::from_slice(&output.stdout)
                .map_err(|e| Diagnostic::plain(format!("{}: its output is no JSON: {e}", path.display())))
        };
        let place = Place::synthetic(&path.display().to_string());
        let Value::Object(listing) = run(&["--list"])? else {
            return Err(Diagnostic::plain(format!("{} does not give a mapping of groups", path.display())));
        };
        let meta = listing.get("_meta").and_then(|m| m.get("hostvars")).and_then(Value::as_object).cloned();
        for (name, value) in &listing {
            if name == "_meta" {
                continue;
            }
            self.groups.entry(name.clone()).or_default();
            let (hosts, children, vars) = match value {
                Value::Array(_) => (Some(value), None, None),
                Value::Object(map) => (map.get("hosts"), map.get("children"), map.get("vars")),
                _ => continue,
            };
            let names = |v: Option<&Value>| -> Vec<String> {
                v.and_then(Value::as_array)
                    .map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
                    .unwrap_or_default()
            };
            for host in names(hosts) {
                self.add_to_group(&host, name);
            }
            for child in names(children) {
                self.add_child(name, &child);
            }
            for (key, value) in vars.and_then(Value::as_object).into_iter().flatten() {
                self.set_group_var(name, key, Node::from_json(value, &place));
            }
        }
        let hosts: Vec<String> = self.hosts.keys().cloned().collect();
        match meta {
            Some(meta) => {
                for (host, vars) in meta {
                    self.hosts.entry(host.clone()).or_default();
                    for (key, value) in vars.as_object().into_iter().flatten() {
                        self.set_host_var(&host, key, Node::from_json(value, &place));
                    }
                }
            }
            None => {
                for host in hosts {
                    let vars = run(&["--host", &host])?;
                    for (key, value) in vars.as_object().into_iter().flatten() {
                        self.set_host_var(&host, key, Node::from_json(value, &place));
                    }
                }
            }
        }
        Ok(())
    }

    fn yaml(&mut self, node: &Node) -> Result<(), Diagnostic> {
        if node.is_null() {
            return Ok(());
        }
        if !matches!(node.kind, Kind::Map(_)) {
            return Err(Diagnostic::error("a YAML inventory is a mapping of groups", &node.place));
        }
        if let Some(plugin) = node.get("plugin") {
            let name = plugin.key_text();
            return match name.strip_prefix("ansible.builtin.").unwrap_or(&name) {
                "generator" => generator::read(self, node),
                _ => Err(Diagnostic::error(format!("the inventory plugin `{name}` is not supported"), &plugin.place)
                    .hint("write the inventory as INI or YAML, or as a script that answers --list")),
            };
        }
        for (name, group) in node.entries() {
            self.yaml_group(&name.key_text(), group)?;
        }
        Ok(())
    }

    fn yaml_group(&mut self, name: &str, node: &Node) -> Result<(), Diagnostic> {
        self.groups.entry(name.to_owned()).or_default();
        if node.is_null() {
            return Ok(());
        }
        if !matches!(node.kind, Kind::Map(_)) {
            return Err(Diagnostic::error(format!("the group `{name}` must be a mapping"), &node.place));
        }
        for (key, value) in node.entries() {
            let text = key.key_text();
            if value.is_null() {
                continue;
            }
            match text.as_str() {
                "vars" => {
                    for (key, value) in value.entries() {
                        self.set_group_var(name, &key.key_text(), value.clone());
                    }
                }
                "children" => {
                    for (child, group) in value.entries() {
                        let child = child.key_text();
                        self.yaml_group(&child, group)?;
                        self.add_child(name, &child);
                    }
                }
                "hosts" => {
                    let names: Vec<(String, Option<&Node>)> = match &value.kind {
                        Kind::Map(entries) => entries.iter().map(|(k, v)| (k.key_text(), Some(v))).collect(),
                        Kind::Str(text, _) | Kind::Data(text) => vec![(text.clone(), None)],
                        _ => return Err(Diagnostic::error("`hosts` of a group must be a mapping", &value.place)),
                    };
                    for (pattern, vars) in names {
                        for host in pattern::expand(&pattern) {
                            self.add_to_group(&host, name);
                            for (key, value) in vars.map(Node::entries).unwrap_or_default() {
                                self.set_host_var(&host, &key.key_text(), value.clone());
                            }
                        }
                    }
                }
                other => {
                    return Err(Diagnostic::error(format!("`{other}` is no key of a group"), &key.place)
                        .hint("a group has hosts, children and vars"));
                }
            }
        }
        Ok(())
    }

    /// Reads `group_vars/` and `host_vars/` of a directory: those of a later directory win.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn load_vars_dir(&mut self, dir: &Path, beside: Beside, loader: &Loader) -> Result<(), Vec<Diagnostic>> {
        let merge = self.merge;
        let mut errors = vec![];
        let mut read = |base: &Path, name: &str| -> Vec<(String, Node)> {
            let mut out = vec![];
            let mut files: Vec<PathBuf> = vec![];
            let inner = base.join(name);
            if inner.is_dir() {
                files.extend(files_below(&inner));
            } else if inner.is_file() {
                files.push(inner);
            }
            files.extend(
                ["yml", "yaml", "json"].iter().map(|e| base.join(format!("{name}.{e}"))).filter(|p| p.is_file()),
            );
            for file in files {
                match loader.vars_file(&file) {
                    Ok(node) => out.extend(node.entries().iter().map(|(k, v)| (k.key_text(), v.clone()))),
                    Err(error) => errors.push(error),
                }
            }
            out
        };
        let (groups, hosts) = (dir.join("group_vars"), dir.join("host_vars"));
        if groups.is_dir() {
            for (name, group) in &mut self.groups {
                put(group.files.of(beside), read(&groups, name), merge);
            }
            for name in names_in(&groups).into_iter().filter(|name| !self.groups.contains_key(name)) {
                let vars = read(&groups, &name);
                put(self.group_files.entry(name).or_default().of(beside), vars, merge);
            }
        }
        if hosts.is_dir() {
            let names: Vec<String> = self
                .hosts
                .keys()
                .cloned()
                .chain(["localhost".to_owned()])
                .collect::<IndexSet<_>>()
                .into_iter()
                .collect();
            for name in names {
                let vars = read(&hosts, &name);
                if !vars.is_empty() {
                    put(self.host_files.entry(name).or_default(), vars, merge);
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Hosts without a group belong to `ungrouped`; all groups are below `all`.
    fn settle(&mut self) {
        let grouped: HashSet<String> = self
            .groups
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "all" | "ungrouped"))
            .flat_map(|(_, g)| g.hosts.iter().cloned())
            .collect();
        let all: Vec<String> = self.hosts.keys().cloned().collect();
        let ungrouped = self.groups.entry("ungrouped".into()).or_default();
        ungrouped.hosts.retain(|host| !grouped.contains(host));
        for host in all {
            if !grouped.contains(&host) {
                ungrouped.hosts.insert(host);
            }
        }
    }

    /// The sources, as they were named (paths are absolute).
    pub fn sources(&self) -> Vec<String> {
        self.sources.clone()
    }

    fn add_address(&mut self, host: &str) {
        let (name, port) = pattern::split_port(host);
        self.hosts.entry(name.clone()).or_default();
        if let Some(port) = port {
            let place = Place::synthetic("<inventory>");
            self.set_host_var(&name, "ansible_port", Node::new(Kind::Int(i64::from(port)), place));
        }
        self.groups.entry("ungrouped".into()).or_default().hosts.insert(name);
    }

    pub(super) fn set_group_var(&mut self, group: &str, name: &str, value: Node) {
        put(&mut self.groups.entry(group.to_owned()).or_default().vars, [(name.to_owned(), value)], self.merge);
    }

    pub(super) fn set_host_var(&mut self, host: &str, name: &str, value: Node) {
        put(self.hosts.entry(host.to_owned()).or_default(), [(name.to_owned(), value)], self.merge);
    }

    pub(super) fn add_child(&mut self, group: &str, child: &str) {
        self.groups.entry(child.to_owned()).or_default();
        if group != child {
            self.groups.entry(group.to_owned()).or_default().children.insert(child.to_owned());
        }
    }

    pub(super) fn ensure_host(&mut self, host: &str) {
        self.hosts.entry(host.to_owned()).or_default();
    }

    pub(super) fn ensure_group(&mut self, group: &str) {
        let files = self.group_files.shift_remove(group).unwrap_or_default();
        self.groups.entry(group.to_owned()).or_insert_with(|| Group { files, ..Group::default() });
    }

    /// Adds a host (and groups); true where that changed anything.
    pub fn add_host(&mut self, name: &str, groups: &[String], vars: Map<String, Value>) -> bool {
        let mut changed = !self.hosts.contains_key(name);
        self.hosts.entry(name.to_owned()).or_default();
        let place = Place::synthetic("add_host");
        for (key, value) in vars {
            let node = Node::from_json(&value, &place);
            let old = self.hosts.entry(name.to_owned()).or_default().insert(key, node);
            changed |= old.is_none_or(|old| old.to_json() != value);
        }
        for group in groups.iter().filter(|g| *g != "all") {
            changed |= self.add_to_group(name, group);
        }
        self.settle();
        changed
    }

    /// Puts a host into a group; true where it was not there.
    pub fn add_to_group(&mut self, host: &str, group: &str) -> bool {
        self.hosts.entry(host.to_owned()).or_default();
        if group == "all" {
            self.groups.entry("all".into()).or_default().hosts.insert(host.to_owned());
            return false;
        }
        if !self.groups.contains_key(group) {
            let files = self.group_files.shift_remove(group).unwrap_or_default();
            self.groups.insert(group.to_owned(), Group { files, ..Group::default() });
        }
        let added = self.groups.entry(group.to_owned()).or_default().hosts.insert(host.to_owned());
        if group != "ungrouped"
            && let Some(ungrouped) = self.groups.get_mut("ungrouped")
        {
            ungrouped.hosts.shift_remove(host);
        }
        added
    }

    /// Whether the inventory names this host.
    pub fn contains(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// All hosts, in the order in which Ansible goes through them: those of `all` itself, then group by group.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts_of("all")
    }

    /// Hosts of each group, those of its children included.
    pub fn groups(&self) -> IndexMap<String, Vec<String>> {
        self.groups.keys().map(|name| (name.clone(), self.hosts_of(name))).collect()
    }

    /// Children of each group.
    pub fn children(&self) -> IndexMap<String, Vec<String>> {
        let owned = |name: &str| name.to_owned();
        self.groups
            .iter()
            .map(|(name, group)| {
                let children = if name == "all" {
                    let tops: IndexSet<&str> = ["ungrouped"].into_iter().chain(self.tops()).collect();
                    tops.into_iter().map(owned).collect()
                } else {
                    group.children.iter().cloned().collect()
                };
                (name.clone(), children)
            })
            .collect()
    }

    pub(super) fn group_names(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// Hosts of a group and of those below it: level by level, as Ansible walks them.
    pub(super) fn hosts_of(&self, group: &str) -> Vec<String> {
        let mut members: IndexSet<&String> = IndexSet::new();
        let mut level: IndexSet<&str> = IndexSet::from([group]);
        if group == "all" {
            members.extend(self.groups.get("all").into_iter().flat_map(|g| &g.hosts));
            level = IndexSet::from(["ungrouped"]);
            level.extend(self.tops());
        }
        let mut seen: HashSet<&str> = HashSet::new();
        while !level.is_empty() {
            let mut next = IndexSet::new();
            for name in level {
                if let Some(found) = self.groups.get(name).filter(|_| seen.insert(name)) {
                    members.extend(&found.hosts);
                    next.extend(found.children.iter().map(String::as_str));
                }
            }
            level = next;
        }
        if group == "all" {
            members.extend(self.hosts.keys());
        }
        members.into_iter().cloned().collect()
    }

    /// Groups that stand below no other than `all`, in order; those that `all` names are told there.
    fn tops(&self) -> Vec<&str> {
        let all = self.groups.get("all");
        let named: HashSet<&String> = self.groups.values().flat_map(|g| &g.children).collect();
        let told = all.into_iter().flat_map(|g| &g.children);
        let top = self.groups.keys().filter(|g| *g != "all" && !named.contains(g));
        told.chain(top).map(String::as_str).filter(|name| *name != "ungrouped").collect()
    }

    /// Hosts that stand in the group itself.
    pub fn own_hosts(&self, group: &str) -> Vec<String> {
        self.groups.get(group).map(|g| g.hosts.iter().cloned().collect()).unwrap_or_default()
    }

    /// Groups of a host, sorted, without `all`.
    pub fn groups_of(&self, host: &str) -> Vec<String> {
        let direct = self.groups.iter().filter(|(_, g)| g.hosts.contains(host)).map(|(name, _)| name.as_str());
        let mut names: HashSet<&str> = direct.collect();
        let mut open: Vec<&str> = names.iter().copied().collect();
        while let Some(child) = open.pop() {
            for (parent, _) in self.groups.iter().filter(|(_, g)| g.children.contains(child)) {
                if names.insert(parent) {
                    open.push(parent);
                }
            }
        }
        let mut names: Vec<String> = names.into_iter().filter(|name| *name != "all").map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Depth of a group below `all`: nearer ones win over farther ones.
    fn depth(&self, group: &str) -> usize {
        fn down(inventory: &Inventory, group: &str, seen: &mut Vec<String>) -> usize {
            if seen.iter().any(|s| s == group) {
                return 0;
            }
            seen.push(group.to_owned());
            let parents =
                inventory.groups.iter().filter(|(_, g)| g.children.contains(group)).map(|(name, _)| name.clone());
            let depth = parents.map(|p| down(inventory, &p, seen) + 1).max().unwrap_or(1);
            seen.pop();
            depth
        }
        if group == "all" { 0 } else { down(self, group, &mut vec![]) }
    }

    /// Variables that a host has from its groups, merged: `all` first, then by depth, priority and name.
    pub fn group_vars(&self, host: &str) -> IndexMap<String, Node> {
        let implicit = !self.contains(host);
        let mut names = if implicit { vec![] } else { self.groups_of(host) };
        let priority = |name: &str| -> i64 {
            let value = self.groups.get(name).and_then(|g| g.vars.get("ansible_group_priority")).map(Node::to_json);
            value.and_then(|v| v.as_i64().or_else(|| v.as_str()?.parse().ok())).unwrap_or(1)
        };
        names.sort_by_key(|name| (self.depth(name), priority(name), name.clone()));
        names.insert(0, "all".into());
        // The lowest first, as Ansible has it: a source for all groups by their depth, then the next source; files of `all` before the others'.
        let groups: Vec<&Group> = names.iter().filter_map(|n| self.groups.get(n)).collect();
        let (all, others) = groups.split_at(groups.len().min(1));
        let own = groups.iter().map(|group| &group.vars);
        let files = [all, others].into_iter().flat_map(|groups| {
            let beside_inventories = groups.iter().map(|group| &group.files.inventory);
            beside_inventories.chain(groups.iter().map(|group| &group.files.play))
        });
        let mut vars = IndexMap::new();
        for source in own.chain(files) {
            put(&mut vars, source.iter().map(|(k, v)| (k.clone(), v.clone())), self.merge);
        }
        vars.shift_remove("ansible_group_priority");
        vars
    }

    /// A host's own variables.
    pub fn host_vars(&self, host: &str) -> IndexMap<String, Node> {
        let mut vars = self.hosts.get(host).cloned().unwrap_or_default();
        if let Some(files) = self.host_files.get(host) {
            put(&mut vars, files.iter().map(|(k, v)| (k.clone(), v.clone())), self.merge);
        }
        vars
    }

    /// Whether mappings of one name are joined.
    pub fn merges(&self) -> bool {
        self.merge
    }

    /// Hosts that a pattern names, in the inventory's order.
    ///
    /// # Errors
    /// A pattern that can't be understood.
    pub fn matching(&self, pattern: &str) -> Result<Vec<String>, Diagnostic> {
        pattern::matching(self, pattern)
    }
}

impl Files {
    fn of(&mut self, beside: Beside) -> &mut IndexMap<String, Node> {
        match beside {
            Beside::Inventory => &mut self.inventory,
            Beside::Playbook => &mut self.play,
        }
    }
}

/// Sets variables: over those of their names, or joined with them.
fn put(vars: &mut IndexMap<String, Node>, values: impl IntoIterator<Item = (String, Node)>, merge: bool) {
    for (name, value) in values {
        let value = match vars.get(&name).filter(|_| merge) {
            Some(known) => known.merged(&value),
            None => value,
        };
        vars.insert(name, value);
    }
}

/// The groups that a `group_vars/` directory has files (or directories) of.
fn names_in(dir: &Path) -> IndexSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let stem = ["yml", "yaml", "json"].iter().find_map(|end| name.strip_suffix(&format!(".{end}")));
            let plain = stem.map_or_else(|| name.clone(), str::to_owned);
            (!name.starts_with('.') && !name.ends_with('~')).then_some(plain)
        })
        .collect();
    names.sort();
    names.into_iter().collect()
}
