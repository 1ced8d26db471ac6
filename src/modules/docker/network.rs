//! `docker_network`: networks of the host's engine.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bollard::Docker;
use bollard::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answers::{DockerHost, found, said};
use super::container_values::text;
use super::engine;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Makes a network of the engine be as the task says, with the containers that are to be in it.
///
/// What the task does not name is left as it is; another driver or option makes the network anew.
///
/// ```yaml
/// - docker_network:
///     name: backend
///     ipam_config:
///       - subnet: 172.30.0.0/24
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerNetwork {
    /// The network.
    #[serde(alias = "network_name")]
    name: String,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Its driver.
    #[serde(default)]
    driver: Option<String>,
    /// Options of its driver.
    #[serde(default)]
    driver_options: BTreeMap<String, Value>,
    /// Containers that are in it.
    #[serde(default)]
    connected: Option<Vec<String>>,
    /// Leave other containers in it.
    #[serde(default, alias = "incremental")]
    appends: bool,
    /// Make it anew each time.
    #[serde(default)]
    force: bool,
    /// No way out of it.
    #[serde(default)]
    internal: Option<bool>,
    /// Containers of no service may join it.
    #[serde(default)]
    attachable: Option<bool>,
    /// It is the swarm's own.
    #[serde(default)]
    ingress: Option<bool>,
    /// Only the configuration of others.
    #[serde(default)]
    config_only: Option<bool>,
    /// The network whose configuration it has.
    #[serde(default)]
    config_from: Option<String>,
    /// With IPv4.
    #[serde(default)]
    enable_ipv4: Option<bool>,
    /// With IPv6.
    #[serde(default)]
    enable_ipv6: Option<bool>,
    /// Who gives out addresses.
    #[serde(default)]
    ipam_driver: Option<String>,
    /// Options of that driver.
    #[serde(default)]
    ipam_driver_options: BTreeMap<String, Value>,
    /// Its ranges of addresses.
    #[serde(default)]
    ipam_config: Option<Vec<Ipam>>,
    /// Labels.
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    /// `local`, `global`, `swarm`.
    #[serde(default)]
    scope: Option<String>,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

/// A range of addresses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ipam {
    /// The range.
    #[serde(default)]
    subnet: Option<String>,
    /// Where in it containers get their addresses.
    #[serde(default)]
    iprange: Option<String>,
    /// The way out.
    #[serde(default)]
    gateway: Option<String>,
    /// Addresses of others.
    #[serde(default)]
    aux_addresses: BTreeMap<String, String>,
}

/// What has to be done.
#[derive(Debug, Default)]
pub(super) struct Drift {
    remove: bool,
    create: bool,
    leave: Vec<String>,
    join: Vec<String>,
}

impl ControllerModule for DockerNetwork {
    type Drift = Drift;

    async fn check<'a>(&'a self, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let existing =
                found(docker.inspect_network(&self.name, None).await)?.map(serde_json::to_value).transpose()?;
            let mut drift = Drift::default();
            let mut why = Vec::new();
            let members: Vec<String> = existing
                .as_ref()
                .and_then(|network| network["Containers"].as_object())
                .into_iter()
                .flatten()
                .filter_map(|(_, member)| member["Name"].as_str().map(str::to_owned))
                .collect();
            match (&existing, self.state) {
                (None, State::Absent) => {}
                (Some(_), State::Absent) => {
                    drift.remove = true;
                    drift.leave = members;
                }
                (None, State::Present) => {
                    drift.create = true;
                    drift.join = self.connected.clone().unwrap_or_default();
                }
                (Some(network), State::Present) => {
                    why = self.differences(network);
                    if !why.is_empty() || self.force {
                        (drift.remove, drift.create) = (true, true);
                        drift.leave.clone_from(&members);
                        drift.join = self.connected.clone().unwrap_or(members);
                    } else if let Some(wanted) = &self.connected {
                        drift.join = wanted.iter().filter(|name| !members.contains(name)).cloned().collect();
                        if !self.appends {
                            drift.leave = members.into_iter().filter(|name| !wanted.contains(name)).collect();
                        }
                    }
                }
            }
            let acts = drift.remove || drift.create || !drift.leave.is_empty() || !drift.join.is_empty();
            let outcome = Outcome::ok().with("network", existing.unwrap_or_default());
            if !acts {
                return Ok(Verdict::Converged(outcome));
            }
            let outcome = if why.is_empty() { outcome } else { outcome.with("differences", why) };
            Ok(Verdict::Drift { drift, outcome: Outcome { changed: true, ..outcome } })
        })
        .await
    }

    async fn apply<'a>(&'a self, drift: Drift, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move { self.bring_about(&docker, drift).await }).await
    }
}

impl DockerNetwork {
    async fn bring_about(&self, docker: &Docker, drift: Drift) -> anyhow::Result<Outcome> {
        for container in &drift.leave {
            let request = NetworkDisconnectRequest { container: container.clone(), force: Some(true) };
            found(docker.disconnect_network(&self.name, request).await)?;
        }
        if drift.remove {
            found(docker.remove_network(&self.name).await)?;
        }
        if drift.create {
            let request: NetworkCreateRequest = serde_json::from_value(self.body())?;
            docker.create_network(request).await.map_err(said).context("the network can't be made")?;
        }
        for container in &drift.join {
            let request: NetworkConnectRequest = serde_json::from_value(json!({"Container": container}))?;
            let joined = docker.connect_network(&self.name, request).await.map_err(said);
            joined.with_context(|| format!("the container {container} can't join the network"))?;
        }
        let network = found(docker.inspect_network(&self.name, None).await)?;
        Ok(Outcome::changed().with("network", serde_json::to_value(network)?))
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "Name": self.name, "Driver": self.driver.as_deref().unwrap_or("bridge"), "Internal": self.internal,
            "Attachable": self.attachable, "Ingress": self.ingress, "ConfigOnly": self.config_only, "Scope": self.scope,
            "EnableIPv4": self.enable_ipv4, "EnableIPv6": self.enable_ipv6, "Options": texts(&self.driver_options),
            "Labels": texts(&self.labels),
        });
        if let Some(from) = &self.config_from {
            body["ConfigFrom"] = json!({"Network": from});
        }
        let ranges: Vec<Value> = self.ipam_config.iter().flatten().map(Ipam::value).collect();
        if !ranges.is_empty() || self.ipam_driver.is_some() {
            body["IPAM"] = json!({
                "Driver": self.ipam_driver.as_deref().unwrap_or("default"), "Config": ranges,
                "Options": texts(&self.ipam_driver_options),
            });
        }
        body
    }

    fn differences(&self, network: &Value) -> Vec<String> {
        let mut out = Vec::new();
        let mut compare = |name: &str, wanted: Option<Value>, now: &Value| {
            if let Some(wanted) = wanted
                && wanted != *now
                && !(wanted == json!(false) && now.is_null())
            {
                out.push(name.to_owned());
            }
        };
        compare("driver", self.driver.clone().map(Value::from), &network["Driver"]);
        compare("internal", self.internal.map(Value::from), &network["Internal"]);
        compare("attachable", self.attachable.map(Value::from), &network["Attachable"]);
        compare("ingress", self.ingress.map(Value::from), &network["Ingress"]);
        compare("config_only", self.config_only.map(Value::from), &network["ConfigOnly"]);
        compare("scope", self.scope.clone().map(Value::from), &network["Scope"]);
        compare("enable_ipv4", self.enable_ipv4.map(Value::from), &network["EnableIPv4"]);
        compare("enable_ipv6", self.enable_ipv6.map(Value::from), &network["EnableIPv6"]);
        compare("ipam_driver", self.ipam_driver.clone().map(Value::from), &network["IPAM"]["Driver"]);
        for (name, value) in texts(&self.driver_options) {
            compare("driver_options", Some(value), &network["Options"][name.as_str()]);
        }
        for (name, value) in texts(&self.labels) {
            compare("labels", Some(value), &network["Labels"][name.as_str()]);
        }
        if let Some(ranges) = &self.ipam_config {
            let now = network["IPAM"]["Config"].as_array().cloned().unwrap_or_default();
            for range in ranges {
                let wanted = range.value();
                let has = |now: &Value| wanted.as_object().is_some_and(|w| w.iter().all(|(k, v)| now[k] == *v));
                if !now.iter().any(has) {
                    out.push("ipam_config".to_owned());
                }
            }
        }
        out
    }
}

impl Ipam {
    fn value(&self) -> Value {
        let mut out = Map::new();
        for (name, value) in [("Subnet", &self.subnet), ("IPRange", &self.iprange), ("Gateway", &self.gateway)] {
            if let Some(value) = value {
                out.insert(name.into(), json!(value));
            }
        }
        if !self.aux_addresses.is_empty() {
            out.insert("AuxiliaryAddresses".into(), json!(self.aux_addresses));
        }
        out.into()
    }
}

fn texts(map: &BTreeMap<String, Value>) -> Map<String, Value> {
    map.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect()
}
