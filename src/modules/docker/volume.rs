//! `docker_volume`: volumes of the host's engine.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters as query;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answers::{DockerHost, found, said};
use super::container_values::text;
use super::engine;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Makes a volume of the engine, or removes it.
///
/// A volume that exists with other options is left as it is, unless `recreate` says that its data may be lost.
///
/// ```yaml
/// - docker_volume:
///     name: data
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerVolume {
    /// The volume.
    #[serde(alias = "volume_name")]
    name: String,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Its driver.
    #[serde(default = "local")]
    driver: String,
    /// Options of its driver.
    #[serde(default)]
    driver_options: BTreeMap<String, Value>,
    /// Labels.
    #[serde(default)]
    labels: Option<BTreeMap<String, Value>>,
    /// When it is made anew, which loses its data.
    #[serde(default)]
    recreate: Recreate,
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

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Recreate {
    Always,
    #[default]
    Never,
    OptionsChanged,
}

fn local() -> String {
    "local".to_owned()
}

/// What has to be done.
#[derive(Debug, Default)]
pub(super) struct Drift {
    remove: bool,
    create: bool,
}

impl ControllerModule for DockerVolume {
    type Drift = Drift;

    async fn check<'a>(&'a self, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let existing = found(docker.inspect_volume(&self.name).await)?;
            let mut drift = Drift::default();
            let outcome = Outcome::ok().with("volume", serde_json::to_value(&existing)?);
            match (existing, self.state) {
                (None, State::Absent) => {}
                (Some(_), State::Absent) => drift.remove = true,
                (None, State::Present) => drift.create = true,
                (Some(volume), State::Present) => {
                    let has = |map: &std::collections::HashMap<String, String>, wanted: &BTreeMap<String, Value>| {
                        wanted.iter().all(|(name, value)| map.get(name) == Some(&text(value)))
                    };
                    let same = volume.driver == self.driver
                        && has(&volume.options, &self.driver_options)
                        && self.labels.as_ref().is_none_or(|labels| has(&volume.labels, labels));
                    let anew =
                        self.recreate == Recreate::Always || (!same && self.recreate == Recreate::OptionsChanged);
                    (drift.remove, drift.create) = (anew, anew);
                }
            }
            Ok(if drift.remove || drift.create {
                Verdict::Drift { drift, outcome: Outcome { changed: true, ..outcome } }
            } else {
                Verdict::Converged(outcome)
            })
        })
        .await
    }

    async fn apply<'a>(&'a self, drift: Drift, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            if drift.remove {
                found(docker.remove_volume(&self.name, None::<query::RemoveVolumeOptions>).await)?;
            }
            if drift.create {
                let texts = |map: &BTreeMap<String, Value>| map.iter().map(|(k, v)| (k.clone(), text(v))).collect();
                let request = VolumeCreateRequest {
                    name: Some(self.name.clone()),
                    driver: Some(self.driver.clone()),
                    driver_opts: Some(texts(&self.driver_options)),
                    labels: self.labels.as_ref().map(texts),
                    ..VolumeCreateRequest::default()
                };
                docker.create_volume(request).await.map_err(said).context("the volume can't be made")?;
            }
            let volume = found(docker.inspect_volume(&self.name).await)?;
            Ok(Outcome::changed().with("volume", serde_json::to_value(volume)?))
        })
        .await
    }
}
