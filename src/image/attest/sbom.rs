//! A bill of materials in CycloneDX 1.5: the crates that are compiled into a binary, in the versions of Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{CYCLONEDX, Statement};
use crate::image::{build, oci};

/// Lists the crates of a cargo package: those that it depends on, directly or not, on the target that images are built for, but not those that are
/// only for its tests or build scripts. The same lock file gives the same text; `epoch` (seconds since 1970) is the time that it claims.
///
/// # Errors
/// Cargo does not tell.
pub async fn sbom(package: &Path, epoch: i64) -> Result<Statement> {
    let manifest = std::fs::canonicalize(package.join("Cargo.toml")).context("the cargo package")?;
    let text = document(&build::resolved(package).await?, &manifest, &oci::rfc3339(epoch)?)?;
    Ok(Statement { media_type: CYCLONEDX, text: serde_json::to_vec(&text)?.into(), annotations: Vec::new() })
}

/// From what `cargo metadata` says.
fn document(metadata: &Value, manifest: &Path, time: &str) -> Result<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let uses: BTreeMap<String, BTreeSet<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let compiled =
                |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let dependencies = list(&node["deps"]);
            (
                text(&node["id"]),
                dependencies.iter().filter(compiled).map(|dependency| text(&dependency["pkg"])).collect(),
            )
        })
        .collect();
    let is_root =
        |(_, package): &(&String, &Value)| package["manifest_path"].as_str().is_some_and(|p| Path::new(p) == manifest);
    let (root, _) = packages.iter().find(is_root).context("`cargo metadata` does not name the package")?;
    let mut reached = BTreeSet::from([root.clone()]);
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        for next in uses.get(&id).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    let name = |id: &String| {
        let package = &packages[id];
        format!("{}@{}", text(&package["name"]), text(&package["version"]))
    };
    let component = |id: &String, kind: &str| {
        let package = &packages[id];
        let mut component = json!({
            "type": kind,
            "bom-ref": name(id),
            "name": package["name"],
            "version": package["version"],
        });
        if package["source"].as_str().is_some_and(|source| source.starts_with("registry+")) {
            component["purl"] = format!("pkg:cargo/{}", name(id)).into();
        }
        if let Some(licence) = package["license"].as_str() {
            // Older crates write `A/B` for `A OR B`.
            component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
        }
        component
    };
    anyhow::ensure!(reached.iter().all(|id| packages.contains_key(id)), "`cargo metadata` leaves out a package");
    let mut components: Vec<_> = reached.iter().filter(|id| *id != root).map(|id| component(id, "library")).collect();
    components.sort_by_key(|component| text(&component["bom-ref"]));
    let mut dependencies: Vec<_> = reached
        .iter()
        .map(|id| {
            let mut on: Vec<_> = uses.get(id).into_iter().flatten().map(name).collect();
            on.sort();
            json!({"ref": name(id), "dependsOn": on})
        })
        .collect();
    dependencies.sort_by_key(|dependency| text(&dependency["ref"]));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "tools": {"components": [{"type": "application", "name": "crudctl", "version": env!("CARGO_PKG_VERSION")}]},
            "component": component(root, "application"),
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_compiled_in_is_listed() {
        let package = |name: &str, source: Value| {
            let manifest = format!("/w/{name}/Cargo.toml");
            json!({"id": name, "name": name, "version": "1.0.0", "source": source, "license": "MIT/Apache-2.0", "manifest_path": manifest})
        };
        let registry = || json!("registry+somewhere");
        let dependency = |name: &str, kinds: Value| json!({"pkg": name, "dep_kinds": kinds});
        let metadata = json!({
            "packages": [package("app", Value::Null), package("b", registry()), package("c", registry()), package("t", registry())],
            "resolve": {"nodes": [
                {"id": "app", "deps": [
                    dependency("b", json!([{"kind": null}, {"kind": "dev"}])), dependency("t", json!([{"kind": "dev"}])),
                ]},
                {"id": "b", "deps": [dependency("c", json!([{"kind": null}])), dependency("t", json!([{"kind": "build"}]))]},
                {"id": "c", "deps": []},
            ]},
        });
        let document = document(&metadata, Path::new("/w/app/Cargo.toml"), "2026-01-01T00:00:00Z").unwrap();
        let names: Vec<_> = document["components"].as_array().unwrap().iter().map(|c| c["purl"].clone()).collect();
        assert_eq!(names, ["pkg:cargo/b@1.0.0", "pkg:cargo/c@1.0.0"]);
        assert_eq!(document["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(document["metadata"]["component"]["bom-ref"], "app@1.0.0");
        assert_eq!(document["dependencies"][0], json!({"ref": "app@1.0.0", "dependsOn": ["b@1.0.0"]}));
    }
}
