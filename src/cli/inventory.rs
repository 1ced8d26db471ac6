//! `crudctl inventory`, and `ansible-inventory`: hosts, groups and variables as they are read.

use std::path::PathBuf;

use clap::Args;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::args::{Common, Selection};
use super::common;
use super::exit::Exit;
use super::failure::Failure;
use super::say;
use crate::language::Inventory;
use crate::report::Output;
use crate::text::yaml_out;

/// Show hosts, groups and variables
#[derive(Debug, Args)]
pub struct InventoryVerb {
    /// All of it, as JSON
    #[arg(long, conflicts_with_all = ["graph", "host"])]
    list: bool,
    /// Groups and hosts as a tree
    #[arg(long, conflicts_with = "host")]
    graph: bool,
    /// The variables of one host, as JSON
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The tree's root
    #[arg(default_value = "all")]
    group: String,
    /// Show variables in the tree, too
    #[arg(long)]
    vars: bool,
    /// As YAML
    #[arg(short, long)]
    yaml: bool,
    /// The playbook's directory, whose `group_vars/` and `host_vars/` are read
    #[arg(long, value_name = "DIR")]
    playbook_dir: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl InventoryVerb {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let start = common::start(&self.common, Output::Plain);
        let dirs = [self.playbook_dir.clone().unwrap_or_else(|| PathBuf::from("."))];
        let setup = common::setup(&start, &self.common, &Selection::default(), &dirs)?;
        let view = View { inventory: &setup.inventory };
        if let Some(host) = &self.host {
            if !setup.inventory.contains(host) {
                return Err(Failure::new(Exit::Error, format!("there is no host `{host}` in the inventory")));
            }
            self.show(&Value::Object(view.vars(host)));
        } else if self.graph {
            if !setup.inventory.groups().contains_key(&self.group) && self.group != "all" {
                return Err(Failure::new(Exit::Error, format!("there is no group `{}` in the inventory", self.group)));
            }
            let mut out = format!("@{}:\n", self.group);
            view.graph(&self.group, 1, self.vars, &mut out);
            say(out.trim_end());
        } else if self.list {
            let limited = match &setup.options.limit {
                Some(limit) => Some(setup.inventory.matching(limit)?),
                None => None,
            };
            self.show(&if self.yaml && limited.is_none() {
                json!({"all": view.nested("all")})
            } else {
                view.list(limited.as_deref())
            });
        } else {
            return Err(Failure::new(Exit::Usage, "one of `--list`, `--graph` and `--host` is needed"));
        }
        Ok(Exit::Ok)
    }

    fn show(&self, value: &Value) {
        if self.yaml {
            let options = yaml_out::Options {
                indent: 2,
                width: 80,
                sort_keys: true,
                flow: yaml_out::Flow::None,
                unicode: true,
                blocks: false,
                style: None,
            };
            say(yaml_out::dump(value, &options).trim_end());
        } else {
            say(&crate::text::python::dumps(value, Some(4)));
        }
    }
}

struct View<'a> {
    inventory: &'a Inventory,
}

impl View<'_> {
    /// A host's own variables and those of its groups, as they are written; vaulted ones stay encrypted.
    fn vars(&self, host: &str) -> Map<String, Value> {
        let mut all: IndexMap<String, Value> = IndexMap::new();
        for vars in [self.inventory.group_vars(host), self.inventory.host_vars(host)] {
            all.extend(vars.into_iter().map(|(name, node)| (name, node.to_json())));
        }
        all.into_iter().collect()
    }

    fn children(&self, group: &str) -> Vec<String> {
        self.inventory.children().get(group).cloned().unwrap_or_default()
    }

    fn own_hosts(&self, group: &str) -> Vec<String> {
        if group == "all" { vec![] } else { self.inventory.own_hosts(group) }
    }

    fn graph(&self, group: &str, depth: usize, vars: bool, out: &mut String) {
        for child in self.children(group) {
            out.push_str(&format!("{}--@{child}:\n", "  |".repeat(depth)));
            self.graph(&child, depth + 1, vars, out);
        }
        for host in self.own_hosts(group) {
            out.push_str(&format!("{}--{host}\n", "  |".repeat(depth)));
            if vars {
                for (name, value) in self.vars(&host) {
                    let value = crate::text::python::str_of(&value);
                    out.push_str(&format!("{}--{{{name} = {value}}}\n", "  |".repeat(depth + 1)));
                }
            }
        }
    }

    /// A group as an inventory in YAML has it: children and hosts below it, variables at the hosts.
    fn nested(&self, group: &str) -> Value {
        let mut out = Map::new();
        let children: Map<String, Value> =
            self.children(group).into_iter().map(|child| (child.clone(), self.nested(&child))).collect();
        if !children.is_empty() {
            out.insert("children".into(), children.into());
        }
        let hosts: Map<String, Value> =
            self.own_hosts(group).into_iter().map(|host| (host.clone(), self.vars(&host).into())).collect();
        if !hosts.is_empty() && group != "all" {
            out.insert("hosts".into(), hosts.into());
        }
        out.into()
    }

    fn list(&self, limited: Option<&[String]>) -> Value {
        let keep = |host: &String| limited.is_none_or(|limited| limited.contains(host));
        let mut hostvars = Map::new();
        for host in self.inventory.hosts().iter().filter(|host| keep(host)) {
            let vars = self.vars(host);
            if !vars.is_empty() {
                hostvars.insert(host.clone(), vars.into());
            }
        }
        let mut out = Map::new();
        out.insert("_meta".into(), json!({"hostvars": hostvars}));
        for group in self.inventory.groups().keys().chain([&"all".to_owned()]) {
            let hosts: Vec<String> = self.own_hosts(group).into_iter().filter(|host| keep(host)).collect();
            let children = self.children(group);
            let mut entry = Map::new();
            if !children.is_empty() {
                entry.insert("children".into(), children.into());
            }
            if !hosts.is_empty() && group != "all" {
                entry.insert("hosts".into(), hosts.into());
            }
            if !entry.is_empty() {
                out.insert(group.clone(), entry.into());
            }
        }
        Value::Object(out)
    }
}
