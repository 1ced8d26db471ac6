//! The inventory plugin `generator`: hosts and groups from the combinations of layers of values.

use std::path::PathBuf;
use std::sync::Arc;

use super::inventory::Inventory;
use super::template::{Scope, Templar, Variable};
use crate::text::{Diagnostic, Kind, Node, python};

/// One combination: a value of each layer.
struct Layers(Vec<(String, Node)>);

impl Scope for Layers {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.0.iter().find(|(layer, _)| layer == name).map(|(_, value)| Variable::Node(value.clone()))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(layer, _)| layer.clone()).collect()
    }

    fn search_paths(&self) -> Vec<PathBuf> {
        vec![]
    }

    fn decrypt(&self, _: &str) -> anyhow::Result<String> {
        anyhow::bail!("a generated inventory has no vaulted values")
    }
}

/// Adds what a file of the plugin describes.
///
/// # Errors
/// A part that is missing or of another form, a name that can't be rendered or is empty.
pub(super) fn read(inventory: &mut Inventory, file: &Node) -> Result<(), Diagnostic> {
    let part = |name: &str| {
        let node = file.get(name).filter(|node| matches!(node.kind, Kind::Map(_)));
        node.ok_or_else(|| Diagnostic::error(format!("the plugin `generator` needs a mapping `{name}`"), &file.place))
    };
    let (hosts, layers) = (part("hosts")?, part("layers")?);
    let name = hosts.get("name").ok_or_else(|| Diagnostic::error("`hosts` needs a `name`", &hosts.place))?;
    let mut combinations: Vec<Vec<(String, Node)>> = vec![vec![]];
    for (layer, values) in layers.entries() {
        let Kind::Seq(values) = &values.kind else {
            return Err(Diagnostic::error("a layer is a list of values", &values.place));
        };
        let with = |combination: &Vec<(String, Node)>, value: &Node| {
            let mut all = combination.clone();
            all.push((layer.key_text(), value.clone()));
            all
        };
        combinations = combinations.iter().flat_map(|one| values.iter().map(move |value| with(one, value))).collect();
    }
    let templar = Templar::default();
    for combination in combinations {
        let scope: Arc<dyn Scope> = Arc::new(Layers(combination));
        let host = text(&templar, name, &scope)?;
        inventory.ensure_host(&host);
        parents(inventory, &host, true, hosts, &templar, &scope)?;
    }
    Ok(())
}

fn text(templar: &Templar, node: &Node, scope: &Arc<dyn Scope>) -> Result<String, Diagnostic> {
    Ok(python::str_of(&templar.value(node, scope)?))
}

/// The groups that `parents` of a host or group names, and theirs.
fn parents(
    inventory: &mut Inventory,
    child: &str,
    is_host: bool,
    of: &Node,
    templar: &Templar,
    scope: &Arc<dyn Scope>,
) -> Result<(), Diagnostic> {
    for parent in of.get("parents").map(Node::items).unwrap_or_default() {
        let name = parent.get("name").map(|name| text(templar, name, scope)).transpose()?.unwrap_or_default();
        if name.is_empty() {
            return Err(Diagnostic::error(format!("Element {child} has a parent with no name."), &parent.place));
        }
        inventory.ensure_group(&name);
        for (key, value) in parent.get("vars").map(Node::entries).unwrap_or_default() {
            // Lists and mappings keep their templates: they may use variables of the play.
            let value = match value.kind {
                Kind::Str(..) => templar.render(value, scope)?,
                _ => value.clone(),
            };
            inventory.set_group_var(&name, &key.key_text(), value);
        }
        if is_host {
            inventory.add_to_group(child, &name);
        } else {
            inventory.add_child(&name, child);
        }
        parents(inventory, &name, false, parent, templar, scope)?;
    }
    Ok(())
}
