//! A service on a cluster: its release is applied, watched, written down; one that does not become well makes room for the one before.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::apply::{self, Change, Known, Way};
use super::client::Cluster;
use super::errors::forbidden;
use super::object::{Id, text};
use super::order::rank;
use super::pods::Policy;
use super::prune::Set;
use super::release::{self, Record, Release, digest};
use super::status::{self, State};
use super::{diff, owned, rights, track};
use crate::modules::Diff;

/// A service and how it is rolled out.
pub(crate) struct Service<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// How patient a rollout is.
    pub policy: &'a Policy,
    /// Who does it.
    pub by: &'a str,
    /// Replace what can't be changed in place.
    pub replace: bool,
    /// Where lines of progress go.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// What a rollout would do.
pub(crate) struct Plan {
    changes: Vec<Change>,
    prune: Vec<(Id, Value)>,
    releases: Vec<Release>,
    digest: String,
    /// The set's parent as it is; null where there is none.
    parent: Value,
    is_well: bool,
}

/// How a rollout ended.
pub(crate) enum Ended {
    /// The release is well: its number.
    Well(u64),
    /// It is not, for this reason; the release that serves again, if one does, or why it does not.
    Failed {
        /// The report.
        report: String,
        /// What became of it.
        back: Back,
    },
}

/// What became of a release that failed.
pub(crate) enum Back {
    /// This one serves again.
    To(u64),
    /// There was none before.
    Nothing,
    /// It was not asked for.
    Unwanted,
    /// The one before does not become well either.
    Failed(String),
}

impl Plan {
    /// Whether there is anything to do.
    pub(crate) fn is_empty(&self) -> bool {
        !self.changes.iter().any(Change::changed) && self.prune.is_empty() && self.is_well && self.is_recorded()
    }

    /// Whether something would change.
    pub(crate) fn changes(&self) -> bool {
        self.changes.iter().any(Change::changed) || !self.prune.is_empty()
    }

    /// Whether the newest release that is well is this one.
    fn is_recorded(&self) -> bool {
        self.releases.iter().find(|r| r.status == "deployed").is_some_and(|r| r.digest == self.digest)
    }

    /// The number of the release that is deployed.
    pub(crate) fn deployed(&self) -> Option<u64> {
        self.releases.iter().find(|r| r.status == "deployed").map(|r| r.number)
    }

    /// For people.
    pub(crate) fn diffs(&self) -> Vec<Diff> {
        let written = self.changes.iter().filter(|c| c.changed()).map(Change::diff);
        written.chain(removal(&self.prune)).collect()
    }
}

/// What a removal takes away, for people.
pub(crate) fn removal(members: &[(Id, Value)]) -> Vec<Diff> {
    members.iter().map(|(id, live)| diff::between(&id.to_string(), Some(live), None)).collect()
}

impl Service<'_> {
    fn set(&self) -> Set {
        Set::of(self.namespace, self.name)
    }

    /// Asks what a rollout of these objects would do: a list for each kind, a dry run for each object that is not as crudctl left it.
    /// `before`: the plan that was made a moment ago.
    ///
    /// # Errors
    /// What the server refuses.
    pub(crate) async fn plan(&self, objects: &[Value], before: Option<Plan>) -> anyhow::Result<Plan> {
        match self.asked(objects, before).await {
            // One right that is missing is seldom the only one.
            Err(error) if forbidden(&error) => {
                let missing = rights::missing(self.cluster, self.namespace, objects).await;
                Err(missing.ok().flatten().map_or(error, anyhow::Error::msg))
            }
            other => other,
        }
    }

    async fn asked(&self, objects: &[Value], before: Option<Plan>) -> anyhow::Result<Plan> {
        let (cluster, set) = (self.cluster, self.set());
        let mut objects = objects.to_vec();
        apply::complete(cluster, &mut objects, self.namespace).await?;
        if let Some(other) = objects.iter().find(|o| !["", self.namespace].contains(&text(o, "/metadata/namespace"))) {
            bail!("{} is not in the service's namespace {}", Id::of(other)?, self.namespace);
        }
        let digest = digest(&objects);
        set.mark(&mut objects);
        // A namespace that is there may be another's: it is left as it is.
        let (namespaces, others): (Vec<Value>, Vec<Value>) =
            objects.iter().cloned().partition(|o| text(o, "/kind") == "Namespace");
        let (missing, parent, releases) = tokio::try_join!(
            self.missing(&namespaces),
            async { cluster.get(&set.path()).await },
            release::list(cluster, self.namespace, self.name)
        )?;
        let parent = parent.unwrap_or_default();
        let live = set.members(cluster, &Set::named(&parent), &others).await?;
        let prune = Set::left(&live, &others);
        let proofs = releases.iter().filter(|r| r.digest == digest).map(Release::proofs).find(|p| !p.is_empty());
        let known = Known {
            live,
            proofs: proofs.unwrap_or_default(),
            before: before.map(|plan| plan.changes).unwrap_or_default(),
            replace: self.replace,
        };
        let asked = apply::plan_known(cluster, &others, &Way::own(false), !missing.is_empty(), Some(&known)).await?;
        let is_well = asked.iter().all(|c| c.live.as_ref().is_some_and(|live| status::of(live) == State::Current));
        let changes = missing.into_iter().chain(asked).collect();
        Ok(Plan { changes, prune, releases, digest, parent, is_well })
    }

    /// Those of these namespaces that are not there.
    async fn missing(&self, namespaces: &[Value]) -> anyhow::Result<Vec<Change>> {
        let mut missing = Vec::new();
        for namespace in namespaces {
            let change = Change::unborn(namespace)?;
            let path = format!("/api/v1/namespaces/{}", change.id.name);
            match self.cluster.get(&path).await {
                Ok(None) => missing.push(change),
                Ok(Some(_)) => {}
                // Who may not look at it was given it.
                Err(error) if forbidden(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }

    /// Looks whether all rights are there, then makes the namespace, where it is among the objects and not there.
    ///
    /// # Errors
    /// Rights are missing; the server refuses.
    pub(crate) async fn prepare(&self, plan: &Plan) -> anyhow::Result<()> {
        let wanted: Vec<Value> = plan.changes.iter().map(|c| c.wanted.clone()).collect();
        if let Some(missing) = rights::missing(self.cluster, self.namespace, &wanted).await? {
            bail!(missing);
        }
        let Some(change) = plan.changes.iter().find(|c| c.id.kind == "Namespace") else { return Ok(()) };
        apply::write(self.cluster, std::slice::from_ref(change), &Way::own(false)).await?;
        Ok(())
    }

    /// Rolls objects out, under the lock; the plan is looked over, since another may have been at work.
    ///
    /// # Errors
    /// What the server refuses before anything was rolled out.
    pub(crate) async fn roll(
        &self,
        objects: &[Value],
        image: &str,
        rollback: bool,
        plan: Plan,
    ) -> anyhow::Result<Ended> {
        let plan = self.plan(objects, Some(plan)).await?;
        let report = match self.bring_about(&plan).await {
            Ok(Ok(proofs)) => {
                let deployed = plan.releases.iter().find(|r| r.status == "deployed");
                if let Some(release) = deployed.filter(|_| plan.is_recorded()) {
                    release.prove(self.cluster, self.namespace, &proofs).await?;
                    return Ok(Ended::Well(release.number));
                }
                return Ok(Ended::Well(self.record(objects, "deployed", image, &plan.releases, &proofs).await?));
            }
            Ok(Err(report)) => report,
            // A webhook, a quota, a field that can't be changed: a part may be written.
            Err(error) => format!("{error:#}"),
        };
        self.record(objects, "failed", image, &plan.releases, &HashMap::new()).await?;
        let before = plan.releases.iter().find(|r| r.status == "deployed" && r.digest != plan.digest);
        let back = match before {
            _ if !rollback => Back::Unwanted,
            None => Back::Nothing,
            Some(before) => {
                (self.progress)(&format!("back to release {}", before.number));
                let plan = self.plan(&before.objects()?, None).await?;
                match self.bring_about(&plan).await {
                    Ok(Ok(proofs)) => {
                        before.prove(self.cluster, self.namespace, &proofs).await?;
                        Back::To(before.number)
                    }
                    Ok(Err(report)) => Back::Failed(report),
                    Err(error) => Back::Failed(format!("{error:#}")),
                }
            }
        };
        Ok(Ended::Failed { report, back })
    }

    /// The release to go back to: that of this number, or the one before the one that is deployed.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn before(&self, number: Option<u64>) -> anyhow::Result<Release> {
        let all = release::list(self.cluster, self.namespace, self.name).await?;
        let mut deployed = all.iter().filter(|r| r.status == "deployed");
        let found = match number {
            Some(number) => all.iter().find(|r| r.number == number).with_context(|| {
                let known: Vec<String> = all.iter().map(|r| r.number.to_string()).collect();
                format!("there is no release {number}: there are {}", known.join(", "))
            })?,
            None => {
                let now = deployed.next().context("nothing is deployed")?;
                deployed
                    .find(|r| r.digest != now.digest)
                    .context("there is no release before the one that is deployed")?
            }
        };
        Ok(found.clone())
    }

    /// The proofs of what was brought about; the inner error: the report.
    async fn bring_about(&self, plan: &Plan) -> anyhow::Result<Result<HashMap<String, String>, String>> {
        let set = self.set();
        let wanted: Vec<Value> = plan.changes.iter().map(|c| c.wanted.clone()).collect();
        // Before members are made, the set names their kinds; after those that left are gone, only those that stay.
        let before = self.write_parent(&set.parent(&wanted, &Set::named(&plan.parent)), &plan.parent).await?;
        let written = apply::write(self.cluster, &plan.changes, &Way::own(false)).await?;
        let ids: Vec<Id> = plan.changes.iter().map(|c| c.id.clone()).collect();
        if let Err(report) = track::until_current(self.cluster, &ids, self.policy, self.progress).await? {
            return Ok(Err(report));
        }
        self.remove(&plan.prune).await?;
        self.write_parent(&set.parent(&wanted, &BTreeSet::new()), &before).await?;
        let proofs =
            written.iter().filter_map(|object| Some((Id::of(object).ok()?.to_string(), owned::proof(object)?)));
        Ok(Ok(proofs.collect()))
    }

    /// Writes the set's parent where it differs from what it is; what it becomes.
    async fn write_parent(&self, parent: &Value, live: &Value) -> anyhow::Result<Value> {
        let same = |part: &str| {
            let all = parent["metadata"][part].as_object().into_iter().flatten();
            all.into_iter().all(|(key, value)| live["metadata"][part].get(key) == Some(value))
        };
        if same("labels") && same("annotations") {
            return Ok(live.clone());
        }
        apply::apply(self.cluster, parent, &Way::own(true)).await
    }

    async fn remove(&self, members: &[(Id, Value)]) -> anyhow::Result<()> {
        let mut last_first: Vec<&Id> = members.iter().map(|(id, _)| id).collect();
        last_first.sort_by_key(|id| std::cmp::Reverse(rank(&id.kind)));
        for id in last_first {
            let Some(path) = self.cluster.path(id).await? else { continue };
            let options = json!({"propagationPolicy": "Foreground"});
            if self.cluster.delete(&path, &options).await.with_context(|| id.to_string())? {
                (self.progress)(&format!("{id}: removed"));
            }
        }
        Ok(())
    }

    async fn record(
        &self,
        objects: &[Value],
        status: &str,
        image: &str,
        before: &[Release],
        proofs: &HashMap<String, String>,
    ) -> anyhow::Result<u64> {
        let mut objects = objects.to_vec();
        apply::complete(self.cluster, &mut objects, self.namespace).await?;
        let Self { name, namespace, by, .. } = self;
        let record = Record { name, namespace, status, by, image, objects: &objects, proofs };
        release::record(self.cluster, &record, before).await
    }

    async fn all_members(&self) -> anyhow::Result<Vec<(Id, Value)>> {
        let set = self.set();
        let parent = self.cluster.get(&set.path()).await?.unwrap_or_default();
        Ok(Set::left(&set.members(self.cluster, &Set::named(&parent), &[]).await?, &[]))
    }

    /// What `down` would remove: members, without claims unless volumes go, too; whether anything is there.
    ///
    /// # Errors
    /// The server can't be asked.
    pub(crate) async fn members(&self, volumes: bool) -> anyhow::Result<(Vec<(Id, Value)>, bool)> {
        let mut members = self.all_members().await?;
        members.retain(|(id, _)| volumes || id.kind != "PersistentVolumeClaim");
        let known = !release::list(self.cluster, self.namespace, self.name).await?.is_empty();
        Ok((members, known))
    }

    /// Removes the service, and what was written down about it.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn down(&self, volumes: bool) -> anyhow::Result<()> {
        let (members, _) = self.members(volumes).await?;
        self.remove(&members).await?;
        let end = tokio::time::Instant::now() + self.policy.timeout;
        for (id, _) in &members {
            let Some(path) = self.cluster.path(id).await? else { continue };
            while self.cluster.get(&path).await?.is_some() {
                anyhow::ensure!(tokio::time::Instant::now() < end, "{id} is still there");
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
        }
        for release in release::list(self.cluster, self.namespace, self.name).await? {
            release::forget(self.cluster, self.namespace, &release).await?;
        }
        // The set stays as long as it has members: a claim that was kept.
        if self.all_members().await?.is_empty() {
            self.cluster.delete(&self.set().path(), &json!({})).await?;
        }
        Ok(())
    }
}
