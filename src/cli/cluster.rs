//! A project as the playbooks of clusters take it: the variable `kube`.

use serde_json::{Map, Value, json};

use super::exit::Exit;
use super::failure::Failure;
use crate::project::{Database, Project};

/// Templates, in the order in which they are rendered.
const TEMPLATES: [&str; 9] =
    ["namespace", "account", "secret", "config", "storage", "deployment", "service", "ingress", "availability"];

/// The variable `kube`: the section of the project file with what follows from the rest of it.
///
/// # Errors
/// A database that a cluster can't have, a secret that is missing.
pub(super) fn variables(project: &Project) -> Result<Value, Failure> {
    let service = &project.service;
    let name = project.name.replace('_', "-");
    let external = service.env.contains_key("DATABASE_URL") || service.secrets.iter().any(|s| s == "DATABASE_URL");
    if project.database == Database::Postgres && !external {
        return Err(Failure::new(
            Exit::Usage,
            "`deploy` makes no PostgreSQL: name DATABASE_URL in `service.secrets`, and set it in the environment",
        ));
    }
    let mut env: Map<String, Value> = service.env.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    env.entry("PORT").or_insert_with(|| service.port.to_string().into());
    if !external {
        env.insert("DATABASE_URL".into(), "sqlite:///data/crud.db".into());
    }
    let mut secrets = Map::new();
    for name in &service.secrets {
        let value = std::env::var(name)
            .map_err(|_| Failure::new(Exit::Usage, format!("the secret `{name}` is not set in the environment")))?;
        secrets.insert(name.clone(), value.into());
    }
    let selector = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name});
    let mut labels = selector.clone();
    labels["app.kubernetes.io/managed-by"] = "crudctl".into();
    let mut kube = serde_json::to_value(&project.kubernetes).map_err(anyhow::Error::from)?;
    kube["namespace"] = project.kubernetes.namespace.clone().unwrap_or_else(|| name.clone()).into();
    kube["name"] = name.into();
    kube["selector"] = selector;
    kube["labels"] = labels;
    kube["env"] = env.into();
    kube["secrets"] = secrets.into();
    kube["templates"] = TEMPLATES.to_vec().into();
    if external {
        kube["storage"] = Value::Null;
    } else {
        // A file has one writer.
        (kube["replicas"], kube["autoscale"]) = (1.into(), Value::Null);
    }
    Ok(kube)
}
