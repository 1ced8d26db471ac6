//! SLSA provenance 1.0 as an in-toto statement: which commit an image was built from, how, and by whom.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{IN_TOTO, Statement};
use crate::image::{Digest, Revision};
use crate::project::Build;

/// The type of the predicate.
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Says how an image was built. It is not signed, so it is worth what the registry's logins are worth.
///
/// # Errors
/// It can't be written as JSON.
pub fn provenance(repository: &str, digest: &Digest, build: &Build, revision: Option<&Revision>) -> Result<Statement> {
    let text =
        statement(repository, digest, build, revision, |name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let annotations = vec![("in-toto.io/predicate-type", PREDICATE.to_owned())];
    Ok(Statement { media_type: IN_TOTO, text: serde_json::to_vec(&text)?.into(), annotations })
}

fn statement(
    repository: &str,
    digest: &Digest,
    build: &Build,
    revision: Option<&Revision>,
    variable: impl Fn(&str) -> Option<String>,
) -> Value {
    let kind = if build.dockerfile.is_some() { "dockerfile" } else { "cargo" };
    let mut parameters = Map::from_iter([("kind".to_owned(), json!(kind))]);
    for (name, value) in [("target", &build.target), ("platform", &build.platform)] {
        if let Some(value) = value {
            parameters.insert(name.to_owned(), json!(value));
        }
    }
    if !build.args.is_empty() {
        parameters.insert("args".to_owned(), json!(build.args));
    }
    let sources: Vec<_> = revision
        .iter()
        .map(|revision| {
            let uri = revision.source.as_ref().map_or_else(|| "git".to_owned(), |source| format!("git+{source}"));
            json!({"uri": uri, "digest": {"gitCommit": revision.commit}, "annotations": {"dirty": revision.dirty}})
        })
        .collect();
    let (builder, run) = builder(variable);
    let mut details = json!({"builder": {"id": builder, "version": {"crudctl": env!("CARGO_PKG_VERSION")}}});
    if let Some(run) = run {
        details["metadata"] = json!({"invocationId": run});
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": repository, "digest": {"sha256": digest.hex()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": format!("urn:crudctl:build:{kind}:1"),
                "externalParameters": parameters,
                "resolvedDependencies": sources,
            },
            "runDetails": details,
        },
    })
}

/// Who builds, and in which run: what GitHub Actions or GitLab say, else somebody's machine.
fn builder(variable: impl Fn(&str) -> Option<String>) -> (String, Option<String>) {
    if let (Some(server), Some(workflow)) = (variable("GITHUB_SERVER_URL"), variable("GITHUB_WORKFLOW_REF")) {
        let run = variable("GITHUB_REPOSITORY").zip(variable("GITHUB_RUN_ID"));
        let run = run.map(|(repository, run)| format!("{server}/{repository}/actions/runs/{run}"));
        return (format!("{server}/{workflow}"), run);
    }
    if let (Some(project), Some(job)) = (variable("CI_PROJECT_URL"), variable("CI_JOB_URL")) {
        return (project, Some(job));
    }
    ("urn:crudctl:local".to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_commit_and_builder() {
        let revision = Revision {
            commit: "c0ffee".into(),
            time: 0,
            branch: None,
            dirty: true,
            source: Some("https://git.example.org/team/app".into()),
        };
        let github = |name: &str| {
            Some(match name {
                "GITHUB_SERVER_URL" => "https://git.example.org".to_owned(),
                "GITHUB_WORKFLOW_REF" => "team/app/.github/workflows/image.yml@refs/heads/main".to_owned(),
                "GITHUB_REPOSITORY" => "team/app".to_owned(),
                "GITHUB_RUN_ID" => "7".to_owned(),
                _ => return None,
            })
        };
        let build = Build { dockerfile: Some("/somewhere/Dockerfile".into()), ..Build::default() };
        let text = statement("registry.example.org/app", &Digest::of(b"x"), &build, Some(&revision), github);
        assert_eq!(text["subject"][0]["digest"]["sha256"], Digest::of(b"x").hex());
        let predicate = &text["predicate"];
        let source = &predicate["buildDefinition"]["resolvedDependencies"][0];
        assert_eq!(
            (&source["uri"], &source["annotations"]["dirty"]),
            (&json!("git+https://git.example.org/team/app"), &json!(true))
        );
        let run = &predicate["runDetails"];
        assert_eq!(run["metadata"]["invocationId"], "https://git.example.org/team/app/actions/runs/7");
        assert!(!text.to_string().contains("/somewhere"), "no path of the machine");
        let local = statement("app", &Digest::of(b"x"), &Build::default(), None, |_| None);
        assert_eq!(local["predicate"]["runDetails"]["builder"]["id"], "urn:crudctl:local");
    }
}
