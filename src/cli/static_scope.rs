//! Variables that are known before any host is: those written in playbooks and roles, and extra variables. Names of imported files
//! may use them.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::language::template::{Scope, Templar, Variable};
use crate::language::{Frame, RenderStatic, Vault};
use crate::text::{Diagnostic, Node, python};

struct StaticScope {
    frame: Arc<Frame>,
    extra: Arc<IndexMap<String, Node>>,
    vault: Arc<Vault>,
}

impl StaticScope {
    fn roles(&self) -> impl Iterator<Item = &crate::language::Role> {
        self.frame.levels().filter_map(|level| level.role.as_deref())
    }

    /// All mappings that variables come from, the strongest first.
    fn maps(&self) -> impl Iterator<Item = &Node> {
        let params = self.roles().filter_map(|role| role.params.as_ref());
        let frames = self.frame.levels().filter_map(|level| level.keywords.vars.as_ref());
        let vars = self.roles().filter_map(|role| role.vars.as_ref());
        let defaults = self.roles().filter_map(|role| role.defaults.as_ref());
        params.chain(frames).chain(vars).chain(defaults)
    }
}

impl Scope for StaticScope {
    fn variable(&self, name: &str) -> Option<Variable> {
        let role = || self.roles().next();
        match name {
            "role_path" => return role().map(|role| Variable::Json(role.path.display().to_string().into())),
            "role_name" | "ansible_role_name" => return role().map(|role| Variable::Json(role.name.as_str().into())),
            "playbook_dir" => {
                let file = self.frame.levels().last().map(|level| super::common::directory(&level.file))?;
                let dir = std::path::absolute(&file).unwrap_or(file);
                return Some(Variable::Json(dir.display().to_string().into()));
            }
            _ => {}
        }
        let node = self.extra.get(name).or_else(|| self.maps().find_map(|map| map.get(name)));
        node.cloned().map(Variable::Node)
    }

    fn names(&self) -> Vec<String> {
        let written = self.maps().flat_map(|map| map.entries().iter().map(|(key, _)| key.key_text()));
        self.extra.keys().cloned().chain(written).collect()
    }

    fn search_paths(&self) -> Vec<PathBuf> {
        let roles = self.roles().map(|role| role.path.clone());
        roles.chain(self.frame.levels().map(|level| super::common::directory(&level.file))).collect()
    }

    fn decrypt(&self, vaulted: &str) -> anyhow::Result<String> {
        self.vault.decrypt(vaulted)
    }
}

/// Renders what stands in a frame.
pub fn values(
    templar: &Templar,
    extra: &IndexMap<String, Node>,
    vault: &Arc<Vault>,
) -> impl Fn(&Node, &Arc<Frame>) -> Result<Value, Diagnostic> + Send + Sync + use<> {
    let (templar, extra, vault) = (templar.clone(), Arc::new(extra.clone()), Arc::clone(vault));
    move |node, frame| {
        let scope: Arc<dyn Scope> =
            Arc::new(StaticScope { frame: Arc::clone(frame), extra: Arc::clone(&extra), vault: Arc::clone(&vault) });
        templar.value(node, &scope)
    }
}

/// Renders names in imports.
pub fn render(templar: &Templar, extra: &IndexMap<String, Node>, vault: &Arc<Vault>) -> RenderStatic {
    let values = values(templar, extra, vault);
    Arc::new(move |node, frame| values(node, frame).map(|value| python::str_of(&value)))
}
