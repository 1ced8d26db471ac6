//! `crudctl_release`: a new version beside the old one, proved well before anything is switched to it.

mod wait;

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    RemoveVolumeOptionsBuilder, StopContainerOptionsBuilder,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::engine;
use super::probe;
use super::releases::{self, Release as Found, label};
use crate::host::script::hex;
use crate::image::deliver::TITLE;
use crate::modules::contract::{Access, Context, ControllerModule, Outcome, Verdict};

/// First port of the host's loopback address that releases take.
const FIRST_PORT: u16 = 18_080;

/// Runs a release of a service.
///
/// `present` starts a new container beside the old one when image or configuration differ, waits until it is well, and gives its port;
/// one that does not become well is explained and removed, and the old one goes on. `finished` stops all but the newest that runs.
/// `rolled_back` starts the release before the one that runs. `absent` removes all of them.
///
/// ```yaml
/// - crudctl_release:
///     name: employees
///     image: "{{ image.image }}"
///     env: { LOG_LEVEL: info }
///     volumes: ['employees-data:/data']
///   register: release
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// The service's name.
    name: String,
    /// What should be.
    #[serde(default)]
    state: State,
    /// The image, which the engine must have.
    #[serde(default)]
    image: Option<String>,
    /// Environment of the container.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// The port that the service listens on, in its container.
    #[serde(default = "port")]
    port: u16,
    /// Path of the health check.
    #[serde(default = "health")]
    health: String,
    /// Volumes: `NAME:PATH`.
    #[serde(default)]
    volumes: Vec<String>,
    /// Share the host's network: the service is told where to listen by `PORT` and `BIND`.
    #[serde(default)]
    host_network: bool,
    /// Memory limit in bytes.
    #[serde(default)]
    memory: Option<i64>,
    /// Seconds within which a release must be well.
    #[serde(default = "timeout")]
    timeout: u64,
    /// Releases that are kept, the running one included.
    #[serde(default = "keep")]
    keep: usize,
    /// With `finished`: the release that serves, which is not always the newest.
    #[serde(default)]
    release: Option<u64>,
    /// Who makes the release.
    #[serde(default)]
    by: Option<String>,
    /// With `absent`: remove the volumes, too.
    #[serde(default)]
    remove_volumes: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Present,
    Finished,
    RolledBack,
    Absent,
}

fn port() -> u16 {
    8080
}

fn health() -> String {
    "/healthz".into()
}

fn timeout() -> u64 {
    30
}

fn keep() -> usize {
    3
}

impl Release {
    fn hash(&self, image_id: &str) -> String {
        let parts = json!({
            "image": image_id, "env": self.env, "port": self.port, "health": self.health, "volumes": self.volumes,
            "host_network": self.host_network, "memory": self.memory,
        });
        hex(&Sha256::digest(parts.to_string().as_bytes()))[..16].to_owned()
    }

    async fn image_id(&self, docker: &Docker) -> anyhow::Result<String> {
        let image = self.image.as_deref().context("`image` is required with state=present")?;
        let found =
            docker.inspect_image(image).await.with_context(|| format!("the host's engine has no image `{image}`"))?;
        found.id.context("an image without an id")
    }

    /// The release that runs as it should.
    async fn current(&self, docker: &Docker, host: &dyn Access) -> anyhow::Result<Option<Found>> {
        let wanted = self.hash(&self.image_id(docker).await?);
        let running = releases::list(docker, &self.name).await?.into_iter().find(Found::runs);
        match running.filter(|found| found.config == wanted) {
            Some(found) if probe::ask(host, found.port, &self.health).await.is_well() => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    async fn start(&self, docker: &Docker, host: &dyn Access) -> anyhow::Result<Outcome> {
        let image_id = self.image_id(docker).await?;
        let all = releases::list(docker, &self.name).await?;
        let old = all.iter().find(|r| r.runs()).cloned();
        let number = all.first().map_or(1, |r| r.release + 1);
        let port = free_port(host).await?;
        let name = format!("{}-{number}", self.name);
        let body = self.body(&image_id, number, port);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        // What a killed run left under this name is in the way.
        self.remove(docker, &name).await;
        docker
            .create_container(Some(options), body)
            .await
            .with_context(|| format!("could not make the container `{name}`"))?;
        host.progress(&format!("starting release {number}"));
        if let Err(error) = docker.start_container(&name, None).await {
            self.remove(docker, &name).await;
            anyhow::bail!("could not start the release: {error}");
        }
        match self.wait(docker, host, &name, port).await? {
            None => {
                keep_running(docker, &name).await?;
                Ok(Outcome::changed()
                    .with("release", number)
                    .with("port", port)
                    .with("container", name)
                    .with("previous", old.map_or(Value::Null, |o| o.release.into()))
                    .with("image_id", image_id))
            }
            Some(failure) => {
                self.remove(docker, &name).await;
                let mut outcome = failure.outcome(&self.name);
                let serving = match &old {
                    Some(old) => format!("release {} goes on serving", old.release),
                    None => "nothing was serving before".into(),
                };
                if let Some(reason) = &mut outcome.failed {
                    reason.push_str(&format!("\n{serving}"));
                }
                Ok(outcome.with("previous", old.map_or(Value::Null, |o| o.release.into())))
            }
        }
    }

    fn body(&self, image_id: &str, number: u64, port: u16) -> ContainerCreateBody {
        let mut env = self.env.clone();
        let inner = format!("{}/tcp", self.port);
        let mut host_config = HostConfig {
            binds: Some(self.volumes.clone()).filter(|v| !v.is_empty()),
            memory: self.memory,
            memory_swap: self.memory,
            // A release that dies at once must not be started over and over: it is kept running once it is well.
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            ..HostConfig::default()
        };
        if self.host_network {
            host_config.network_mode = Some("host".into());
            env.insert("PORT".into(), port.to_string());
            env.insert("BIND".into(), "127.0.0.1".into());
        } else {
            let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(port.to_string()) };
            host_config.port_bindings = Some(HashMap::from([(inner.clone(), Some(vec![binding]))]));
            env.entry("PORT".into()).or_insert_with(|| self.port.to_string());
        }
        let by = self.by.clone().unwrap_or_else(who);
        let labels = HashMap::from(
            [
                (label::APP, self.name.clone()),
                (label::RELEASE, number.to_string()),
                (label::CONFIG, self.hash(image_id)),
                (label::IMAGE, self.image.clone().unwrap_or_default()),
                (label::BY, by),
                (label::AT, jiff::Timestamp::now().strftime_rfc3339()),
                (label::PORT, port.to_string()),
                (label::HEALTH, self.health.clone()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        ContainerCreateBody {
            image: Some(image_id.to_owned()),
            env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(labels),
            exposed_ports: (!self.host_network).then(|| vec![inner]),
            host_config: Some(host_config),
            ..ContainerCreateBody::default()
        }
    }

    async fn remove(&self, docker: &Docker, name: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        // It may be gone already.
        let _ = docker.remove_container(name, Some(options)).await;
    }

    /// Releases that `finished` stops, and those that it removes.
    fn rest(&self, all: &[Found]) -> (Vec<Found>, Vec<Found>) {
        let mut running = all.iter().filter(|r| r.runs());
        let keep = self.release.or_else(|| running.next().map(|r| r.release));
        let stop = all.iter().filter(|r| r.runs() && Some(r.release) != keep).cloned().collect();
        let gone = all.iter().filter(|r| Some(r.release) != keep).skip(self.keep.saturating_sub(1)).cloned().collect();
        (stop, gone)
    }

    /// Removes the service's images, those of releases that failed included, but for the ones that `stay` needs.
    async fn remove_images(&self, docker: &Docker, stay: &[Found]) -> anyhow::Result<()> {
        let filters = HashMap::from([("label", vec![format!("{TITLE}={}", self.name)])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let own = format!("{}:", self.name);
        for image in docker.list_images(Some(options)).await.context("could not list the images")? {
            if stay.iter().any(|r| r.image_id == image.id) {
                continue;
            }
            // A tag such as `main-1a2b3c-dirty` moves on to the next image and leaves one without a name.
            // Older engines call that `<none>:<none>`.
            let nameless = image.repo_tags.iter().all(|tag| tag == "<none>:<none>");
            let own_tags = image.repo_tags.iter().filter(|tag| tag.starts_with(&own));
            let tags: Vec<&String> = if nameless { vec![&image.id] } else { own_tags.collect() };
            for tag in tags {
                // One that somebody else's container uses stays.
                let _ = docker.remove_image(tag, None::<RemoveImageOptions>, None).await;
            }
        }
        Ok(())
    }

    async fn finish(&self, docker: &Docker, host: &dyn Access) -> anyhow::Result<Outcome> {
        let all = releases::list(docker, &self.name).await?;
        let (stop, gone) = self.rest(&all);
        for release in &stop {
            host.progress(&format!("stopping release {}", release.release));
            let options = StopContainerOptionsBuilder::default().t(30).build();
            docker
                .stop_container(&release.id, Some(options))
                .await
                .with_context(|| format!("could not stop {}", release.container))?;
        }
        for release in &gone {
            self.remove(docker, &release.id).await;
        }
        if !gone.is_empty() {
            let stay: Vec<Found> = all.into_iter().filter(|r| gone.iter().all(|g| g.id != r.id)).collect();
            self.remove_images(docker, &stay).await?;
        }
        let mut outcome = Outcome::ok()
            .with("stopped", stop.iter().map(|r| r.release).collect::<Vec<_>>())
            .with("removed", gone.iter().map(|r| r.release).collect::<Vec<_>>());
        outcome.changed = !stop.is_empty() || !gone.is_empty();
        Ok(outcome)
    }

    async fn roll_back(&self, docker: &Docker, host: &dyn Access) -> anyhow::Result<Outcome> {
        let all = releases::list(docker, &self.name).await?;
        let current = all.iter().find(|r| r.runs()).map(|r| r.release);
        let earlier = all.iter().find(|r| !r.runs() && current.is_none_or(|c| r.release < c));
        let Some(target) = earlier else {
            anyhow::bail!("there is no earlier release of `{}` on this host", self.name);
        };
        docker
            .start_container(&target.id, None)
            .await
            .with_context(|| format!("could not start {}", target.container))?;
        let own = Self { health: target.health.clone(), ..self.copy() };
        if let Some(failure) = own.wait(docker, host, &target.id, target.port).await? {
            let _ = docker.stop_container(&target.id, None).await;
            return Ok(failure.outcome(&self.name));
        }
        keep_running(docker, &target.id).await?;
        Ok(Outcome::changed()
            .with("release", target.release)
            .with("port", target.port)
            .with("image", target.image.as_str())
            .with("previous", current.map_or(Value::Null, Value::from)))
    }

    fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            image: self.image.clone(),
            env: self.env.clone(),
            health: self.health.clone(),
            volumes: self.volumes.clone(),
            by: self.by.clone(),
            ..*self
        }
    }

    async fn take_away(&self, docker: &Docker) -> anyhow::Result<Outcome> {
        let all = releases::list(docker, &self.name).await?;
        let mut removed = vec![];
        for release in &all {
            if release.runs() {
                let options = StopContainerOptionsBuilder::default().t(10).build();
                let _ = docker.stop_container(&release.id, Some(options)).await;
            }
            self.remove(docker, &release.id).await;
            removed.push(release.container.clone());
        }
        self.remove_images(docker, &[]).await?;
        let mut volumes = vec![];
        if self.remove_volumes {
            for volume in self.volumes.iter().filter_map(|v| v.split(':').next()).filter(|v| !v.starts_with('/')) {
                let options = RemoveVolumeOptionsBuilder::default().force(false).build();
                if docker.remove_volume(volume, Some(options)).await.is_ok() {
                    volumes.push(volume.to_owned());
                }
            }
        }
        let mut outcome = Outcome::ok().with("volumes_removed", volumes.clone());
        outcome.changed = !removed.is_empty() || !volumes.is_empty();
        Ok(outcome.with("removed", removed))
    }
}

/// From now on the engine starts it again when it ends, and after a reboot.
async fn keep_running(docker: &Docker, name: &str) -> anyhow::Result<()> {
    let policy = RestartPolicy { name: Some(RestartPolicyNameEnum::UNLESS_STOPPED), maximum_retry_count: None };
    let update = ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
    docker.update_container(name, update).await.context("could not set the restart policy")
}

async fn free_port(host: &dyn Access) -> anyhow::Result<u16> {
    let taken = wait::listening(host, "/proc/net/tcp /proc/net/tcp6").await;
    (FIRST_PORT..FIRST_PORT + 1000).find(|p| !taken.contains(p)).context("no free port on the host")
}

/// Who runs this: `user@machine`.
fn who() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".into());
    let machine = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{user}@{machine}")
}

trait Rfc3339 {
    fn strftime_rfc3339(&self) -> String;
}

impl Rfc3339 for jiff::Timestamp {
    fn strftime_rfc3339(&self) -> String {
        self.to_string().split('.').next().map(|t| format!("{}Z", t.trim_end_matches('Z'))).unwrap_or_default()
    }
}

impl ControllerModule for Release {
    type Drift = ();

    async fn check(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Verdict<()>> {
        let drift = |outcome: Outcome| Verdict::Drift { drift: (), outcome };
        let found = engine::with(host, |docker| async move {
            Ok(match self.state {
                State::Present => match self.current(&docker, host).await {
                    Ok(Some(found)) => Verdict::Converged(
                        Outcome::ok()
                            .with("release", found.release)
                            .with("port", found.port)
                            .with("container", found.container)
                            .with("previous", Value::Null),
                    ),
                    Ok(None) => drift(Outcome::default()),
                    Err(error) if cx.check_mode => drift(Outcome::ok().message(format!("known after apply ({error})"))),
                    Err(error) => return Err(error),
                },
                State::Finished => {
                    let all = releases::list(&docker, &self.name).await?;
                    let (stop, gone) = self.rest(&all);
                    if stop.is_empty() && gone.is_empty() {
                        Verdict::Converged(Outcome::ok())
                    } else {
                        drift(Outcome::default())
                    }
                }
                State::RolledBack => drift(Outcome::default()),
                State::Absent => {
                    let any = !releases::list(&docker, &self.name).await?.is_empty();
                    if any || self.remove_volumes {
                        drift(Outcome::default())
                    } else {
                        Verdict::Converged(Outcome::ok())
                    }
                }
            })
        })
        .await;
        match found {
            Ok(verdict) => Ok(verdict),
            // A plan may come before there is an engine; what is not there need not be taken away.
            Err(_) if cx.check_mode => Ok(drift(Outcome::ok().message("known after apply"))),
            Err(error) => Err(error),
        }
    }

    async fn apply(&self, (): (), _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            match self.state {
                State::Present => self.start(&docker, host).await,
                State::Finished => self.finish(&docker, host).await,
                State::RolledBack => self.roll_back(&docker, host).await,
                State::Absent => self.take_away(&docker).await,
            }
        })
        .await
    }
}
