//! `docker_container`: a container of the host's engine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bollard::Docker;
use bollard::models::{ContainerCreateBody, NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters as query;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answers::{DockerHost, found, said};
use super::container_spec::{Mode, Spec, names, sort_sets, sorted};
use super::container_values::{bind, duration, env_file, ports, range, size, text};
use super::docker_image::pull;
use super::{engine, port_owner};
use crate::host::Script;
use crate::host::script::quote_path;
use crate::modules::contract::Diff;
use crate::modules::guarded::yes;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Makes a container be as the task says, and run, stop or be gone.
///
/// What the task names is compared with the container that exists; where that differs it is made anew. What the task does not name is
/// left as it is. The image counts too: another image under the same name makes the container anew.
///
/// ```yaml
/// - docker_container:
///     name: employees
///     image: registry.example.org/team/employees:1.2
///     ports: ["127.0.0.1:8080:8080"]
///     env: { LOG_LEVEL: info }
///     volumes: ["data:/data"]
///     restart_policy: unless-stopped
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct DockerContainer {
    /// The container.
    name: String,
    /// What it should be.
    #[serde(default)]
    state: State,
    /// Its image.
    #[serde(default)]
    image: Option<String>,
    /// When the image is pulled: `missing` (`false`), `always` (`true`), `never`.
    #[serde(default)]
    pull: Pull,
    /// Don't compare images.
    #[serde(default)]
    ignore_image: bool,
    /// Its command: a list, or a text that is split as a shell splits.
    #[serde(default)]
    command: Option<Value>,
    /// Its entrypoint.
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    /// Its environment.
    #[serde(default)]
    env: BTreeMap<String, Value>,
    /// A file of the host with more of it; `env` is stronger.
    #[serde(default)]
    env_file: Option<String>,
    /// Published ports, `[[IP:]HOST:]CONTAINER[/PROTOCOL]`.
    #[serde(default, alias = "ports")]
    published_ports: Option<Vec<String>>,
    /// The address that ports are published at.
    #[serde(default)]
    default_host_ip: Option<String>,
    /// Publish all exposed ports.
    #[serde(default)]
    publish_all_ports: Option<bool>,
    /// Exposed ports.
    #[serde(default, alias = "expose", alias = "exposed")]
    exposed_ports: Vec<String>,
    /// Volumes, `SOURCE:TARGET[:MODE]`.
    #[serde(default)]
    volumes: Option<Vec<String>>,
    /// Mounts, in the engine's own words.
    #[serde(default)]
    mounts: Option<Vec<MountSpec>>,
    /// Containers whose volumes it has too.
    #[serde(default)]
    volumes_from: Option<Vec<String>>,
    /// The driver of its volumes.
    #[serde(default)]
    volume_driver: Option<String>,
    /// Paths in memory, `PATH[:OPTIONS]`.
    #[serde(default)]
    tmpfs: Option<Vec<String>>,
    /// `bridge`, `host`, `none`, `container:NAME`, or a network.
    #[serde(default)]
    network_mode: Option<String>,
    /// Networks that it joins.
    #[serde(default)]
    networks: Option<Vec<NetworkSpec>>,
    /// The first of `networks` is its `network_mode`, as the command line has it.
    #[serde(default = "yes")]
    networks_cli_compatible: bool,
    /// Containers that it resolves, `NAME[:ALIAS]`.
    #[serde(default)]
    links: Option<Vec<String>>,
    /// Names that it resolves.
    #[serde(default)]
    etc_hosts: Option<BTreeMap<String, String>>,
    /// Its name servers.
    #[serde(default)]
    dns_servers: Option<Vec<String>>,
    /// Options of its resolver.
    #[serde(default)]
    dns_opts: Option<Vec<String>>,
    /// Domains that its resolver searches.
    #[serde(default)]
    dns_search_domains: Option<Vec<String>>,
    /// Its host name.
    #[serde(default)]
    hostname: Option<String>,
    /// Its domain.
    #[serde(default)]
    domainname: Option<String>,
    /// Its hardware address.
    #[serde(default)]
    mac_address: Option<String>,
    /// When it is started again: `no`, `always`, `on-failure`, `unless-stopped`.
    #[serde(default)]
    restart_policy: Option<RestartPolicy>,
    /// How often, for `on-failure`.
    #[serde(default)]
    restart_retries: Option<i64>,
    /// How it is seen to be well.
    #[serde(default)]
    healthcheck: Option<Healthcheck>,
    /// Labels.
    #[serde(default)]
    labels: Option<BTreeMap<String, Value>>,
    /// The driver of its log.
    #[serde(default)]
    log_driver: Option<String>,
    /// Options of that driver.
    #[serde(default, alias = "log_opt")]
    log_options: Option<BTreeMap<String, Value>>,
    /// The most memory.
    #[serde(default)]
    memory: Option<String>,
    /// Memory that it is held to where there is little.
    #[serde(default)]
    memory_reservation: Option<String>,
    /// Memory and swap together.
    #[serde(default)]
    memory_swap: Option<String>,
    /// How readily it swaps, 0 to 100.
    #[serde(default)]
    memory_swappiness: Option<i64>,
    /// The size of its shared memory.
    #[serde(default)]
    shm_size: Option<String>,
    /// CPUs at once.
    #[serde(default)]
    cpus: Option<f64>,
    /// The share of CPUs.
    #[serde(default)]
    cpu_shares: Option<i64>,
    /// Microseconds of a period.
    #[serde(default)]
    cpu_period: Option<i64>,
    /// Microseconds of CPU in a period.
    #[serde(default)]
    cpu_quota: Option<i64>,
    /// The CPUs that it may use.
    #[serde(default)]
    cpuset_cpus: Option<String>,
    /// The memory nodes that it may use.
    #[serde(default)]
    cpuset_mems: Option<String>,
    /// The share of input and output.
    #[serde(default)]
    blkio_weight: Option<u16>,
    /// The most processes.
    #[serde(default)]
    pids_limit: Option<i64>,
    /// Limits, `NAME:SOFT[:HARD]`.
    #[serde(default)]
    ulimits: Option<Vec<String>>,
    /// Settings of its kernel.
    #[serde(default)]
    sysctls: Option<BTreeMap<String, Value>>,
    /// Devices, `HOST[:CONTAINER[:RIGHTS]]`.
    #[serde(default)]
    devices: Option<Vec<String>>,
    /// Capabilities that it has more.
    #[serde(default, alias = "cap_add")]
    capabilities: Option<Vec<String>>,
    /// Capabilities that it has not.
    #[serde(default)]
    cap_drop: Option<Vec<String>>,
    /// It may do all.
    #[serde(default)]
    privileged: Option<bool>,
    /// Options of its security.
    #[serde(default)]
    security_opts: Option<Vec<String>>,
    /// Its file system can't be written.
    #[serde(default)]
    read_only: Option<bool>,
    /// A process of the engine is its first.
    #[serde(default)]
    init: Option<bool>,
    /// Its user.
    #[serde(default)]
    user: Option<String>,
    /// More groups of its user.
    #[serde(default)]
    groups: Option<Vec<String>>,
    /// Its working directory.
    #[serde(default)]
    working_dir: Option<String>,
    /// Keep its input open.
    #[serde(default)]
    interactive: Option<bool>,
    /// Give it a terminal.
    #[serde(default)]
    tty: Option<bool>,
    /// Its namespace of processes.
    #[serde(default)]
    pid_mode: Option<String>,
    /// Its namespace of IPC.
    #[serde(default)]
    ipc_mode: Option<String>,
    /// Its namespace of host names.
    #[serde(default)]
    uts: Option<String>,
    /// Its namespace of users.
    #[serde(default)]
    userns_mode: Option<String>,
    /// Its namespace of control groups: `host`, `private`.
    #[serde(default)]
    cgroup_ns_mode: Option<String>,
    /// Its parent control group.
    #[serde(default)]
    cgroup_parent: Option<String>,
    /// Its runtime.
    #[serde(default)]
    runtime: Option<String>,
    /// Options of its storage.
    #[serde(default)]
    storage_opts: Option<BTreeMap<String, Value>>,
    /// Don't kill it where memory runs out: `false`.
    #[serde(default)]
    oom_killer: Option<bool>,
    /// How readily it is killed.
    #[serde(default)]
    oom_score_adj: Option<i64>,
    /// The signal that ends it.
    #[serde(default)]
    stop_signal: Option<String>,
    /// Seconds that it gets to end.
    #[serde(default)]
    stop_timeout: Option<i32>,
    /// Kill it instead.
    #[serde(default, alias = "forcekill")]
    force_kill: bool,
    /// The signal that kills it.
    #[serde(default)]
    kill_signal: Option<String>,
    /// Remove it when it ends.
    #[serde(default)]
    auto_remove: Option<bool>,
    /// Let it run in the background; `false`: wait for its end, which must be a good one.
    #[serde(default = "yes")]
    detach: bool,
    /// With `detach: false`: remove it afterwards.
    #[serde(default)]
    cleanup: bool,
    /// Accepted: with `detach: false` the result has what it wrote.
    #[serde(default)]
    #[expect(dead_code, reason = "it always has")]
    output_logs: bool,
    /// Keep its anonymous volumes when it is removed.
    #[serde(default = "yes")]
    keep_volumes: bool,
    /// It is stopped in its tracks.
    #[serde(default)]
    paused: Option<bool>,
    /// Make it anew each time.
    #[serde(default)]
    recreate: bool,
    /// Restart it each time.
    #[serde(default)]
    restart: bool,
    /// How options are compared: `strict`, `allow_more_present`, `ignore`; `*` is all.
    #[serde(default)]
    comparisons: BTreeMap<String, Comparison>,
    /// Its platform.
    #[serde(default)]
    platform: Option<String>,
    /// Accepted: options that are not named are left to the engine.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one behaviour")]
    container_default_behavior: Option<String>,
    /// Accepted: a text is split and a list is not.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one behaviour")]
    command_handling: Option<String>,
    /// What another name of the same image means.
    #[serde(default)]
    image_name_mismatch: NameMismatch,
    /// Accepted: nothing is logged.
    #[serde(default)]
    #[expect(dead_code, reason = "nothing is logged")]
    debug: bool,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    Healthy,
    Present,
    #[default]
    Started,
    Stopped,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Pull {
    #[serde(alias = "true", alias = "yes")]
    Always,
    #[default]
    #[serde(alias = "false", alias = "no")]
    Missing,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RestartPolicy {
    No,
    Always,
    #[serde(alias = "on_failure")]
    OnFailure,
    #[serde(alias = "unless_stopped")]
    UnlessStopped,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NameMismatch {
    Ignore,
    #[default]
    Recreate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Comparison {
    Ignore,
    Strict,
    AllowMorePresent,
}

/// How a container is seen to be well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Healthcheck {
    /// The command: a text for a shell, or a list that begins with `CMD`, `CMD-SHELL` or `NONE`.
    #[serde(default)]
    test: Option<Value>,
    /// Time between two checks.
    #[serde(default)]
    interval: Option<String>,
    /// Time that a check may take.
    #[serde(default)]
    timeout: Option<String>,
    /// How many failures make it unhealthy.
    #[serde(default)]
    retries: Option<i64>,
    /// Time in which failures don't count.
    #[serde(default)]
    start_period: Option<String>,
    /// Time between two checks in that time.
    #[serde(default)]
    start_interval: Option<String>,
}

/// A mount.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MountSpec {
    /// Where in the container.
    target: String,
    /// What.
    #[serde(default)]
    source: Option<String>,
    /// `bind`, `npipe`, `tmpfs`, `volume`.
    #[serde(default = "volume", rename = "type")]
    kind: String,
    /// It can't be written.
    #[serde(default)]
    read_only: Option<bool>,
    /// How mounts below it are seen.
    #[serde(default)]
    propagation: Option<String>,
    /// Don't copy what the image has there.
    #[serde(default)]
    no_copy: Option<bool>,
    /// The volume's labels.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    /// The volume's driver.
    #[serde(default)]
    volume_driver: Option<String>,
    /// Its options.
    #[serde(default)]
    volume_options: Option<BTreeMap<String, String>>,
    /// The size in memory.
    #[serde(default)]
    tmpfs_size: Option<String>,
    /// The mode in memory, octal.
    #[serde(default)]
    tmpfs_mode: Option<String>,
}

fn volume() -> String {
    "volume".to_owned()
}

/// A network that a container joins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NetworkSpec {
    /// The network.
    name: String,
    /// The container's address in it.
    #[serde(default)]
    ipv4_address: Option<String>,
    /// The container's IPv6 address in it.
    #[serde(default)]
    ipv6_address: Option<String>,
    /// Names that it has there.
    #[serde(default)]
    aliases: Vec<String>,
    /// Containers that it resolves there.
    #[serde(default)]
    links: Vec<String>,
    /// Its hardware address.
    #[serde(default)]
    mac_address: Option<String>,
}

/// What has to be done to the container.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent steps")]
pub(super) struct Drift {
    pull: bool,
    /// Remove the existing one.
    remove: bool,
    /// Make it, with this body.
    create: Option<Value>,
    /// Networks to leave.
    leave: Vec<String>,
    /// Networks to join, with their settings.
    join: Vec<(String, Value)>,
    start: bool,
    stop: bool,
    restart: bool,
    pause: Option<bool>,
    /// It runs already and is only waited for.
    wait: bool,
}

impl ControllerModule for DockerContainer {
    type Drift = Drift;

    async fn check<'a>(&'a self, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        self.docker_host.ensure_own()?;
        anyhow::ensure!(
            self.restart_retries.is_none() || self.restart_policy.is_some(),
            "`restart_retries` needs `restart_policy`"
        );
        let spec = if matches!(self.state, State::Absent) { Spec::default() } else { self.spec(host).await? };
        engine::with(host, |docker| async move { self.compare(&docker, &spec).await }).await
    }

    async fn apply<'a>(&'a self, drift: Drift, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move { self.bring_about(&docker, drift, host).await }).await
    }
}

impl DockerContainer {
    async fn inspect(&self, docker: &Docker) -> anyhow::Result<Option<Value>> {
        let details = found(docker.inspect_container(&self.name, None::<query::InspectContainerOptions>).await)?;
        Ok(details.map(serde_json::to_value).transpose()?)
    }

    async fn compare(&self, docker: &Docker, spec: &Spec) -> anyhow::Result<Verdict<Drift>> {
        let existing = self.inspect(docker).await?;
        let running = existing.as_ref().is_some_and(|c| c["State"]["Running"] == json!(true));
        let mut drift = Drift::default();
        let mut lines: Vec<(String, Value, Value)> = Vec::new();
        if self.state == State::Absent {
            if existing.is_none() {
                return Ok(Verdict::Converged(Outcome::ok()));
            }
            drift.stop = running;
            drift.remove = true;
            lines.push(("exists".into(), json!(false), json!(true)));
            return Ok(Verdict::Drift { drift, outcome: differs(&lines) });
        }
        let mut image_id = None;
        if let Some(image) = &self.image {
            let local = crate::image::deliver::inspect(docker, image).await?;
            drift.pull = match self.pull {
                Pull::Always => true,
                Pull::Missing => local.is_none(),
                Pull::Never if local.is_none() => {
                    return Ok(Verdict::failed(format!("Cannot find image with name {image}, and pull=never")));
                }
                Pull::Never => false,
            };
            image_id = local.and_then(|image| image.id);
        }
        match &existing {
            None => {
                anyhow::ensure!(self.image.is_some(), "Cannot create container when image is not specified!");
                lines.push(("exists".into(), json!(true), json!(false)));
                drift.create = Some(spec.body(self.image.as_deref().unwrap_or_default()));
            }
            Some(container) => {
                lines = self.differences(spec, container, image_id.as_deref(), drift.pull);
                if !lines.is_empty() || self.recreate {
                    if self.recreate {
                        lines.push(("recreate".into(), json!(true), json!(false)));
                    }
                    let image = self.image.clone().or_else(|| container["Config"]["Image"].as_str().map(str::to_owned));
                    drift.create = Some(spec.body(image.as_deref().unwrap_or_default()));
                    drift.remove = true;
                    drift.stop = running;
                } else {
                    self.networks_differ(container, &mut drift, &mut lines);
                }
            }
        }
        if drift.create.is_some() {
            drift.join = self.joined(&drift);
        }
        self.state_differs(existing.as_ref(), running, &mut drift, &mut lines);
        // A pull that brings nothing new is no change: that is known afterwards.
        if lines.is_empty() && !drift.pull && !drift.wait {
            let container = existing.unwrap_or_default();
            return Ok(Verdict::Converged(Outcome::ok().with("container", container)));
        }
        Ok(Verdict::Drift { drift, outcome: differs(&lines) })
    }

    fn differences(
        &self,
        spec: &Spec,
        container: &Value,
        image_id: Option<&str>,
        pulls: bool,
    ) -> Vec<(String, Value, Value)> {
        let mut container = container.clone();
        sort_sets(&mut container, SETS);
        let mut lines: Vec<(String, Value, Value)> = spec
            .differences(&container)
            .into_iter()
            .map(|(name, wanted, now)| (name.to_owned(), wanted, now))
            .collect();
        let image_counts = !self.ignore_image && self.mode("image", Mode::Strict) != Mode::Ignore;
        if let Some(id) = image_id.filter(|_| image_counts) {
            if container["Image"] != json!(id) {
                lines.push(("image".into(), json!(id), container["Image"].clone()));
            } else if self.image_name_mismatch == NameMismatch::Recreate
                && let Some(image) = &self.image
                && !names_same(image, container["Config"]["Image"].as_str().unwrap_or_default())
            {
                lines.push(("image".into(), json!(image), container["Config"]["Image"].clone()));
            }
        } else if pulls && image_counts && self.image.is_some() && image_id.is_none() {
            lines.push(("image".into(), json!(self.image), container["Config"]["Image"].clone()));
        }
        lines
    }

    fn state_differs(
        &self,
        existing: Option<&Value>,
        running: bool,
        drift: &mut Drift,
        lines: &mut Vec<(String, Value, Value)>,
    ) {
        let anew = drift.create.is_some();
        match self.state {
            State::Started | State::Healthy => {
                if anew || !running {
                    drift.start = true;
                    lines.push(("running".into(), json!(true), json!(running)));
                } else if self.restart {
                    drift.restart = true;
                    lines.push(("restarted".into(), json!(true), json!(false)));
                }
                let paused = existing.is_some_and(|c| c["State"]["Paused"] == json!(true)) && !anew;
                if let Some(wanted) = self.paused.filter(|wanted| *wanted != paused) {
                    drift.pause = Some(wanted);
                    lines.push(("paused".into(), json!(wanted), json!(paused)));
                }
                let healthy = existing.is_some_and(|c| c["State"]["Health"]["Status"] == json!("healthy"));
                drift.wait = self.state == State::Healthy && (anew || drift.start || drift.restart || !healthy);
            }
            State::Stopped if running && !anew => {
                drift.stop = true;
                lines.push(("running".into(), json!(false), json!(true)));
            }
            _ => {}
        }
    }

    /// Networks of an existing container: those that are named are joined; `comparisons: {networks: strict}` leaves others.
    fn networks_differ(&self, container: &Value, drift: &mut Drift, lines: &mut Vec<(String, Value, Value)>) {
        let Some(networks) = &self.networks else { return };
        let none = Map::new();
        let now = container["NetworkSettings"]["Networks"].as_object().unwrap_or(&none);
        for network in networks {
            let Some(endpoint) = now.get(&network.name) else {
                drift.join.push((network.name.clone(), network.settings()));
                lines.push((format!("network.{}", network.name), json!(true), json!(false)));
                continue;
            };
            if network.differs(endpoint) {
                drift.leave.push(network.name.clone());
                drift.join.push((network.name.clone(), network.settings()));
                lines.push((format!("network.{}", network.name), network.settings(), endpoint.clone()));
            }
        }
        if self.mode("networks", Mode::AllowMore) == Mode::Strict {
            for name in now.keys().filter(|name| !networks.iter().any(|network| network.name == **name)) {
                drift.leave.push(name.clone());
                lines.push((format!("network.{name}"), json!(false), json!(true)));
            }
        }
    }

    /// Networks that a new container joins after it was made: all but the one that it is made in.
    fn joined(&self, drift: &Drift) -> Vec<(String, Value)> {
        let mode =
            drift.create.as_ref().and_then(|body| body["HostConfig"]["NetworkMode"].as_str()).unwrap_or("default");
        let others = self.networks.iter().flatten().filter(|network| network.name != mode);
        others.map(|network| (network.name.clone(), network.settings())).collect()
    }

    async fn bring_about(&self, docker: &Docker, mut drift: Drift, host: &dyn Access) -> anyhow::Result<Outcome> {
        let mut changed = drift.create.is_some()
            || drift.remove
            || drift.start
            || drift.stop
            || drift.restart
            || drift.pause.is_some()
            || !drift.join.is_empty()
            || !drift.leave.is_empty();
        if let Some(image) = self.image.as_deref().filter(|_| drift.pull) {
            let before = crate::image::deliver::inspect(docker, image).await?.and_then(|image| image.id);
            pull(docker, image, self.platform.as_deref(), host).await?;
            let after = crate::image::deliver::inspect(docker, image).await?.and_then(|image| image.id);
            if before != after {
                changed = true;
                // The container was compared with the image that the name meant before.
                if drift.create.is_none() && !self.ignore_image {
                    let existing = self.inspect(docker).await?;
                    let stale = existing.as_ref().is_some_and(|container| container["Image"] != json!(after));
                    if stale {
                        let spec = self.spec(host).await?;
                        drift.create = Some(spec.body(image));
                        drift.remove = true;
                        drift.start = matches!(self.state, State::Started | State::Healthy);
                        drift.join = self.joined(&drift);
                    }
                }
            }
        }
        // The new container is made before the old one goes: a configuration that the engine refuses costs nothing.
        let mut made = None;
        if let Some(body) = drift.create.take() {
            let body: ContainerCreateBody =
                serde_json::from_value(body).context("the engine's library does not take these options")?;
            let name = if drift.remove { format!("{}.new", self.name) } else { self.name.clone() };
            if drift.remove {
                // What a killed run left under this name.
                let options = query::RemoveContainerOptionsBuilder::default().force(true).build();
                found(docker.remove_container(&name, Some(options)).await)?;
            }
            let mut options = query::CreateContainerOptionsBuilder::default().name(&name);
            if let Some(platform) = &self.platform {
                options = options.platform(platform);
            }
            docker
                .create_container(Some(options.build()), body)
                .await
                .map_err(said)
                .context("the container can't be made")?;
            made = Some(name);
        }
        if drift.stop {
            self.stop(docker).await?;
        }
        if drift.remove {
            let options = query::RemoveContainerOptionsBuilder::default().force(true).v(!self.keep_volumes).build();
            found(docker.remove_container(&self.name, Some(options)).await)?;
            if let Some(name) = made {
                let options = query::RenameContainerOptionsBuilder::default().name(&self.name).build();
                docker.rename_container(&name, options).await.map_err(said).context("the container can't be named")?;
            }
        }
        for network in &drift.leave {
            let request = NetworkDisconnectRequest { container: self.name.clone(), force: Some(true) };
            found(docker.disconnect_network(network, request).await)?;
        }
        for (network, settings) in &drift.join {
            let request: NetworkConnectRequest =
                serde_json::from_value(json!({"Container": self.name, "EndpointConfig": settings}))?;
            docker
                .connect_network(network, request)
                .await
                .map_err(said)
                .with_context(|| format!("the network `{network}`"))?;
        }
        if drift.restart {
            let options = self.stop_timeout.map(|t| query::RestartContainerOptionsBuilder::default().t(t).build());
            docker.restart_container(&self.name, options).await.map_err(said)?;
        }
        if drift.start
            && let Err(error) = docker.start_container(&self.name, None::<query::StartContainerOptions>).await
        {
            let message = port_owner::explain(docker, host, format!("{:#}", said(error))).await;
            bail!("the container {} can't be started: {message}", self.name);
        }
        match drift.pause {
            Some(true) => docker.pause_container(&self.name).await.map_err(said)?,
            Some(false) => docker.unpause_container(&self.name).await.map_err(said)?,
            None => {}
        }
        if drift.wait {
            self.wait_healthy(docker, host).await?;
        }
        let outcome = Outcome { changed, ..Outcome::ok() };
        if drift.start && !self.detach {
            return self.wait_end(docker, outcome).await;
        }
        Ok(match self.inspect(docker).await? {
            Some(container) => outcome.with("container", container),
            None => outcome,
        })
    }

    async fn stop(&self, docker: &Docker) -> anyhow::Result<()> {
        if self.force_kill {
            let options =
                self.kill_signal.as_ref().map(|s| query::KillContainerOptionsBuilder::default().signal(s).build());
            found(docker.kill_container(&self.name, options).await)?;
            return Ok(());
        }
        let options = self.stop_timeout.map(|t| query::StopContainerOptionsBuilder::default().t(t).build());
        found(docker.stop_container(&self.name, options).await)?;
        Ok(())
    }

    async fn wait_healthy(&self, docker: &Docker, host: &dyn Access) -> anyhow::Result<()> {
        let end = std::time::Instant::now() + Duration::from_mins(5);
        loop {
            let container = self.inspect(docker).await?.context("the container was removed by somebody else")?;
            let state = &container["State"];
            match state["Health"]["Status"].as_str() {
                Some("healthy") => return Ok(()),
                None | Some("none" | "") => {
                    anyhow::bail!("the container has no health check: `state: healthy` needs one")
                }
                Some("unhealthy") => {
                    let output =
                        state["Health"]["Log"].as_array().and_then(|log| log.last()).map(|l| l["Output"].clone());
                    anyhow::bail!("the container is unhealthy: {}", text(&output.unwrap_or_default()).trim());
                }
                Some(_) => {}
            }
            anyhow::ensure!(
                state["Running"] == json!(true),
                "the container ended with exit code {} before it was healthy",
                state["ExitCode"]
            );
            anyhow::ensure!(std::time::Instant::now() < end, "the container was not healthy within 300 s");
            host.progress(&format!("waiting for {} to be healthy", self.name));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// `detach: false`: its end, and what it wrote.
    async fn wait_end(&self, docker: &Docker, outcome: Outcome) -> anyhow::Result<Outcome> {
        let mut wait = std::pin::pin!(docker.wait_container(&self.name, None::<query::WaitContainerOptions>));
        let status = match wait.next().await {
            Some(Ok(end)) => end.status_code,
            // The library makes an error of a status that isn't 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(said(error)),
            None => 0,
        };
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut stream = std::pin::pin!(docker.logs(&self.name, Some(options)));
        let mut log = String::new();
        while let Some(Ok(part)) = stream.next().await {
            log.push_str(&part.to_string());
        }
        let mut container = self.inspect(docker).await?.unwrap_or_default();
        container["Output"] = json!(log);
        if self.cleanup {
            let options = query::RemoveContainerOptionsBuilder::default().force(true).v(!self.keep_volumes).build();
            found(docker.remove_container(&self.name, Some(options)).await)?;
        }
        let mut outcome = outcome.with("status", status).with("container", container);
        if status != 0 {
            let tail: Vec<&str> = log.lines().rev().take(10).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            outcome.failed = Some(format!("the container ended with exit code {status}: {}", tail.join("\n")));
        }
        Ok(outcome)
    }

    fn mode(&self, option: &str, default: Mode) -> Mode {
        match self.comparisons.get(option).or_else(|| self.comparisons.get("*")) {
            Some(Comparison::Ignore) => Mode::Ignore,
            Some(Comparison::Strict) => Mode::Strict,
            Some(Comparison::AllowMorePresent) => Mode::AllowMore,
            None => default,
        }
    }
}

/// Lists of an inspection that have no order.
const SETS: &[&str] = &[
    "/Config/Env",
    "/HostConfig/Binds",
    "/HostConfig/CapAdd",
    "/HostConfig/CapDrop",
    "/HostConfig/ExtraHosts",
    "/HostConfig/SecurityOpt",
    "/HostConfig/GroupAdd",
    "/HostConfig/VolumesFrom",
    "/HostConfig/Links",
];

/// Whether two names mean the same image: with their defaults filled in.
fn names_same(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<crate::image::Reference>().ok().map(|name| name.canonical());
    one == other || other.starts_with("sha256:") || (parse(one).is_some() && parse(one) == parse(other))
}

/// What differs, as a diff and as a result.
fn differs(lines: &[(String, Value, Value)]) -> Outcome {
    if lines.is_empty() {
        return Outcome::ok();
    }
    let list = |at: fn(&(String, Value, Value)) -> &Value| -> String {
        lines.iter().map(|line| format!("{}: {}", line.0, at(line))).collect::<Vec<_>>().join("\n") + "\n"
    };
    let diff = Diff { before: list(|line| &line.2), after: list(|line| &line.1), ..Diff::default() };
    Outcome::changed().diff(diff)
}

impl NetworkSpec {
    fn settings(&self) -> Value {
        let mut out = json!({"Aliases": self.aliases, "Links": self.links});
        if self.ipv4_address.is_some() || self.ipv6_address.is_some() {
            out["IPAMConfig"] = json!({"IPv4Address": self.ipv4_address, "IPv6Address": self.ipv6_address});
        }
        if let Some(mac) = &self.mac_address {
            out["MacAddress"] = json!(mac);
        }
        out
    }

    fn differs(&self, endpoint: &Value) -> bool {
        let has = |list: &Value, name: &String| list.as_array().is_some_and(|l| l.iter().any(|n| n == name.as_str()));
        let ip = |key: &str, wanted: &Option<String>| {
            wanted.as_ref().is_some_and(|wanted| endpoint["IPAMConfig"][key] != json!(wanted))
        };
        self.aliases.iter().any(|alias| !has(&endpoint["Aliases"], alias))
            || self.links.iter().any(|link| !has(&endpoint["Links"], link))
            || ip("IPv4Address", &self.ipv4_address)
            || ip("IPv6Address", &self.ipv6_address)
            || self.mac_address.as_ref().is_some_and(|mac| endpoint["MacAddress"] != json!(mac))
    }
}

impl DockerContainer {
    /// All options that the task names. An environment file is read from the host.
    async fn spec(&self, host: &dyn Access) -> anyhow::Result<Spec> {
        let mut spec = Spec::default();
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        if let Some(path) = &self.env_file {
            let reply = host.run(Script::new(format!("cat {}", quote_path(path)))).await?;
            anyhow::ensure!(
                reply.status == 0,
                reply.failure(&format!("reading the environment file {path} on the host"))
            );
            env = env_file(&reply.out());
        }
        env.extend(self.env.iter().map(|(name, value)| (name.clone(), text(value))));
        if !env.is_empty() {
            spec.more(
                "env",
                "/Config/Env",
                sorted(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
            );
        }
        self.process(&mut spec)?;
        self.storage(&mut spec)?;
        self.network(&mut spec)?;
        self.limits(&mut spec)?;
        self.security(&mut spec);
        for field in &mut spec.fields {
            field.mode = self.mode(field.option, field.mode);
        }
        Ok(spec)
    }

    fn process(&self, spec: &mut Spec) -> anyhow::Result<()> {
        let command = match &self.command {
            None => None,
            Some(Value::Array(items)) => Some(items.iter().map(text).collect::<Vec<_>>()),
            Some(value) => Some(words(&text(value))?),
        };
        spec.maybe("command", "/Config/Cmd", command);
        spec.maybe("entrypoint", "/Config/Entrypoint", self.entrypoint.clone());
        spec.maybe("user", "/Config/User", self.user.clone());
        spec.maybe("working_dir", "/Config/WorkingDir", self.working_dir.clone());
        spec.maybe("hostname", "/Config/Hostname", self.hostname.clone());
        spec.maybe("domainname", "/Config/Domainname", self.domainname.clone());
        spec.maybe("interactive", "/Config/OpenStdin", self.interactive);
        spec.maybe("tty", "/Config/Tty", self.tty);
        spec.maybe("stop_signal", "/Config/StopSignal", self.stop_signal.clone());
        spec.maybe("stop_timeout", "/Config/StopTimeout", self.stop_timeout);
        if let Some(labels) = &self.labels {
            let labels: Map<String, Value> =
                labels.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect();
            spec.more("labels", "/Config/Labels", labels);
        }
        if let Some(check) = &self.healthcheck {
            spec.set("healthcheck", "/Config/Healthcheck", check.value()?);
        }
        if let Some(policy) = self.restart_policy {
            let name = match policy {
                RestartPolicy::No => "no",
                RestartPolicy::Always => "always",
                RestartPolicy::OnFailure => "on-failure",
                RestartPolicy::UnlessStopped => "unless-stopped",
            };
            let value = json!({"Name": name, "MaximumRetryCount": self.restart_retries.unwrap_or(0)});
            spec.set("restart_policy", "/HostConfig/RestartPolicy", value);
        }
        if let Some(driver) = &self.log_driver {
            spec.set("log_driver", "/HostConfig/LogConfig/Type", driver.clone());
        }
        if let Some(options) = &self.log_options {
            let options: Map<String, Value> =
                options.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect();
            spec.more("log_options", "/HostConfig/LogConfig/Config", options);
        }
        spec.maybe("auto_remove", "/HostConfig/AutoRemove", self.auto_remove);
        spec.maybe("init", "/HostConfig/Init", self.init);
        spec.maybe("runtime", "/HostConfig/Runtime", self.runtime.clone());
        spec.maybe("pid_mode", "/HostConfig/PidMode", self.pid_mode.clone());
        spec.maybe("ipc_mode", "/HostConfig/IpcMode", self.ipc_mode.clone());
        spec.maybe("uts", "/HostConfig/UTSMode", self.uts.clone());
        Ok(())
    }

    fn storage(&self, spec: &mut Spec) -> anyhow::Result<()> {
        if let Some(volumes) = &self.volumes {
            let (mut binds, mut anonymous) = (Vec::new(), Vec::new());
            for volume in volumes {
                match bind(volume)? {
                    Ok(bind) => binds.push(bind),
                    Err(path) => anonymous.push(path),
                }
            }
            spec.more("volumes", "/HostConfig/Binds", sorted(binds));
            if !anonymous.is_empty() {
                spec.fields.push(super::container_spec::Field {
                    option: "volumes",
                    at: "/Config/Volumes",
                    value: names(anonymous),
                    shown: None,
                    mode: Mode::AllowMore,
                });
            }
        }
        if let Some(mounts) = &self.mounts {
            let mounts = mounts.iter().map(MountSpec::value).collect::<anyhow::Result<Vec<_>>>()?;
            spec.more("mounts", "/HostConfig/Mounts", mounts);
        }
        spec.maybe("volumes_from", "/HostConfig/VolumesFrom", self.volumes_from.clone().map(sorted));
        spec.maybe("volume_driver", "/HostConfig/VolumeDriver", self.volume_driver.clone());
        if let Some(paths) = &self.tmpfs {
            let paths: Map<String, Value> = paths
                .iter()
                .map(|path| path.split_once(':').map_or((path.clone(), json!("")), |(p, o)| (p.to_owned(), json!(o))))
                .collect();
            spec.more("tmpfs", "/HostConfig/Tmpfs", paths);
        }
        spec.maybe("read_only", "/HostConfig/ReadonlyRootfs", self.read_only);
        let shm = self.shm_size.as_deref().map(size).transpose()?;
        spec.maybe("shm_size", "/HostConfig/ShmSize", shm);
        if let Some(options) = &self.storage_opts {
            let options: Map<String, Value> =
                options.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect();
            spec.more("storage_opts", "/HostConfig/StorageOpt", options);
        }
        Ok(())
    }

    fn network(&self, spec: &mut Spec) -> anyhow::Result<()> {
        let first =
            self.networks.as_ref().and_then(|networks| networks.first()).filter(|_| self.networks_cli_compatible);
        let mode = self.network_mode.clone().or_else(|| first.map(|network| network.name.clone()));
        if let Some(mode) = mode {
            spec.set("network_mode", "/HostConfig/NetworkMode", mode.clone());
            if let Some(network) = self.networks.iter().flatten().find(|network| network.name == mode) {
                // Only a creation has it; an existing container's networks are compared by themselves.
                let value = json!({ mode: network.settings() });
                let at = "/NetworkingConfig/EndpointsConfig";
                spec.fields.push(super::container_spec::Field {
                    option: "networks",
                    at,
                    value,
                    shown: None,
                    mode: Mode::Ignore,
                });
            }
        }
        let ip = self.default_host_ip.as_deref().unwrap_or("0.0.0.0");
        let mut exposed: Vec<String> = Vec::new();
        for port in &self.exposed_ports {
            let (ports, protocol) = port.rsplit_once('/').unwrap_or((port, "tcp"));
            exposed.extend(range(ports)?.into_iter().map(|port| format!("{port}/{protocol}")));
        }
        if let Some(published) = &self.published_ports {
            let all = published.iter().any(|port| port == "all");
            let bindings = if all { Map::new() } else { ports(published, ip)? };
            exposed.extend(bindings.keys().cloned());
            spec.set("published_ports", "/HostConfig/PortBindings", bindings);
            spec.maybe("publish_all_ports", "/HostConfig/PublishAllPorts", all.then_some(true));
        }
        spec.maybe("publish_all_ports", "/HostConfig/PublishAllPorts", self.publish_all_ports);
        if !exposed.is_empty() {
            spec.more("exposed_ports", "/Config/ExposedPorts", names(exposed));
        }
        let hosts = self.etc_hosts.as_ref();
        spec.maybe(
            "etc_hosts",
            "/HostConfig/ExtraHosts",
            hosts.map(|hosts| sorted(hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect())),
        );
        spec.maybe("dns_servers", "/HostConfig/Dns", self.dns_servers.clone());
        spec.maybe("dns_opts", "/HostConfig/DnsOptions", self.dns_opts.clone());
        spec.maybe("dns_search_domains", "/HostConfig/DnsSearch", self.dns_search_domains.clone());
        if let Some(links) = &self.links {
            // An inspection names both containers by their paths.
            let shown = links.iter().map(|link| {
                let (name, alias) = link.split_once(':').unwrap_or((link, link));
                format!("/{name}:/{}/{alias}", self.name)
            });
            let shown = Some(sorted(shown.collect()));
            let (at, value) = ("/HostConfig/Links", json!(links));
            spec.fields.push(super::container_spec::Field { option: "links", at, value, shown, mode: Mode::Strict });
        }
        Ok(())
    }

    fn limits(&self, spec: &mut Spec) -> anyhow::Result<()> {
        let bytes = |text: &Option<String>| text.as_deref().map(size).transpose();
        spec.maybe("memory", "/HostConfig/Memory", bytes(&self.memory)?);
        spec.maybe("memory_reservation", "/HostConfig/MemoryReservation", bytes(&self.memory_reservation)?);
        spec.maybe("memory_swap", "/HostConfig/MemorySwap", bytes(&self.memory_swap)?);
        spec.maybe("memory_swappiness", "/HostConfig/MemorySwappiness", self.memory_swappiness);
        #[expect(clippy::cast_possible_truncation, reason = "billionths of CPUs")]
        let nano = self.cpus.map(|cpus| (cpus * 1e9).round() as i64);
        spec.maybe("cpus", "/HostConfig/NanoCpus", nano);
        spec.maybe("cpu_shares", "/HostConfig/CpuShares", self.cpu_shares);
        spec.maybe("cpu_period", "/HostConfig/CpuPeriod", self.cpu_period);
        spec.maybe("cpu_quota", "/HostConfig/CpuQuota", self.cpu_quota);
        spec.maybe("cpuset_cpus", "/HostConfig/CpusetCpus", self.cpuset_cpus.clone());
        spec.maybe("cpuset_mems", "/HostConfig/CpusetMems", self.cpuset_mems.clone());
        spec.maybe("blkio_weight", "/HostConfig/BlkioWeight", self.blkio_weight);
        spec.maybe("pids_limit", "/HostConfig/PidsLimit", self.pids_limit);
        spec.maybe("oom_killer", "/HostConfig/OomKillDisable", self.oom_killer.map(|kill| !kill));
        spec.maybe("oom_score_adj", "/HostConfig/OomScoreAdj", self.oom_score_adj);
        if let Some(limits) = &self.ulimits {
            let mut all = Vec::new();
            for limit in limits {
                let parts: Vec<&str> = limit.split(':').collect();
                let number = |at: usize| parts.get(at).or(parts.get(1)).and_then(|n| n.parse::<i64>().ok());
                let (Some(soft), Some(hard)) = (number(1), number(2)) else {
                    anyhow::bail!("`{limit}` is no limit of the form NAME:SOFT[:HARD]");
                };
                all.push(json!({"Name": parts[0], "Soft": soft, "Hard": hard}));
            }
            spec.more("ulimits", "/HostConfig/Ulimits", all);
        }
        if let Some(settings) = &self.sysctls {
            let settings: Map<String, Value> =
                settings.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect();
            spec.more("sysctls", "/HostConfig/Sysctls", settings);
        }
        if let Some(devices) = &self.devices {
            let all: Vec<Value> = devices
                .iter()
                .map(|device| {
                    let mut parts = device.split(':');
                    let host = parts.next().unwrap_or_default();
                    let inside = parts.next().unwrap_or(host);
                    json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": parts.next().unwrap_or("rwm")})
                })
                .collect();
            spec.more("devices", "/HostConfig/Devices", all);
        }
        Ok(())
    }

    fn security(&self, spec: &mut Spec) {
        let sorted_set = |list: &Option<Vec<String>>| list.clone().map(sorted);
        spec.maybe("capabilities", "/HostConfig/CapAdd", sorted_set(&self.capabilities));
        spec.maybe("cap_drop", "/HostConfig/CapDrop", sorted_set(&self.cap_drop));
        spec.maybe("privileged", "/HostConfig/Privileged", self.privileged);
        spec.maybe("security_opts", "/HostConfig/SecurityOpt", sorted_set(&self.security_opts));
        spec.maybe("groups", "/HostConfig/GroupAdd", sorted_set(&self.groups));
        spec.maybe("userns_mode", "/HostConfig/UsernsMode", self.userns_mode.clone());
        spec.maybe("cgroup_ns_mode", "/HostConfig/CgroupnsMode", self.cgroup_ns_mode.clone());
        spec.maybe("cgroup_parent", "/HostConfig/CgroupParent", self.cgroup_parent.clone());
        spec.maybe("mac_address", "/Config/MacAddress", self.mac_address.clone());
    }
}

impl Healthcheck {
    fn value(&self) -> anyhow::Result<Value> {
        let test = match &self.test {
            None => None,
            Some(Value::Array(items)) => Some(items.iter().map(text).collect::<Vec<_>>()),
            Some(value) if text(value).eq_ignore_ascii_case("none") => Some(vec!["NONE".to_owned()]),
            Some(value) => Some(vec!["CMD-SHELL".to_owned(), text(value)]),
        };
        let mut out = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(name.to_owned(), value);
            }
        };
        let time = |text: &Option<String>| anyhow::Ok(text.as_deref().map(duration).transpose()?.map(Value::from));
        add("Test", test.map(Value::from));
        add("Interval", time(&self.interval)?);
        add("Timeout", time(&self.timeout)?);
        add("StartPeriod", time(&self.start_period)?);
        add("StartInterval", time(&self.start_interval)?);
        add("Retries", self.retries.map(Value::from));
        Ok(out.into())
    }
}

impl MountSpec {
    fn value(&self) -> anyhow::Result<Value> {
        let mut out = json!({"Target": self.target, "Type": self.kind});
        if let Some(source) = &self.source {
            out["Source"] = json!(source);
        }
        if self.read_only == Some(true) {
            out["ReadOnly"] = json!(true);
        }
        if let Some(propagation) = &self.propagation {
            out["BindOptions"] = json!({"Propagation": propagation});
        }
        if self.no_copy.is_some() || self.labels.is_some() || self.volume_driver.is_some() {
            let mut options = json!({"NoCopy": self.no_copy, "Labels": self.labels});
            if let Some(driver) = &self.volume_driver {
                options["DriverConfig"] = json!({"Name": driver, "Options": self.volume_options});
            }
            out["VolumeOptions"] = options;
        }
        if self.tmpfs_size.is_some() || self.tmpfs_mode.is_some() {
            let bytes = self.tmpfs_size.as_deref().map(size).transpose()?;
            let mode = self.tmpfs_mode.as_deref().map(|mode| i64::from_str_radix(mode.trim_start_matches("0o"), 8));
            out["TmpfsOptions"] =
                json!({"SizeBytes": bytes, "Mode": mode.transpose().context("`tmpfs_mode` is octal")?});
        }
        Ok(out)
    }
}

/// A text's words as a shell splits them: quotes and backslashes, no expansion.
fn words(text: &str) -> anyhow::Result<Vec<String>> {
    let (mut all, mut current, mut inside, mut quote) = (Vec::new(), String::new(), false, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                inside = true;
            }
            (None | Some('"'), '\\') => {
                current.extend(chars.next());
                inside = true;
            }
            (None, c) if c.is_whitespace() => {
                if inside {
                    all.push(std::mem::take(&mut current));
                    inside = false;
                }
            }
            (_, c) => {
                current.push(c);
                inside = true;
            }
        }
    }
    anyhow::ensure!(quote.is_none(), "`command` has a quote without its end");
    if inside {
        all.push(current);
    }
    Ok(all)
}
