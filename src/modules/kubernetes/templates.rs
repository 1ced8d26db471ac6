//! The manifests of a service, from templates: the project's own of a name, else those that the program brings along.

use std::path::Path;

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};
use serde_json::{Map, Value};

use crate::cluster::object;
use crate::modules::Context;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/kubernetes");

/// The objects of these templates, in their order.
pub(super) fn objects(cx: &Context, names: &[String]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for name in names {
        let file = format!("kubernetes/{name}.yml");
        let (path, text) = match cx.find_file("templates", &file) {
            Ok(path) => {
                let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
                (path, text)
            }
            Err(missing) => match TEMPLATES.get_file(format!("{name}.yml")).and_then(|f| f.contents_utf8()) {
                Some(text) => (Path::new("templates").join(&file), text.to_owned()),
                None => bail!("{missing:#}, and crudctl has no template of this name"),
            },
        };
        let text = cx.templates.render(&path, &text, &Map::new())?;
        all.extend(object::read(&path.display().to_string(), &text)?);
    }
    Ok(all)
}
