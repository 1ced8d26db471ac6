//! `crudctl build-push`: images of the project, in a registry.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{ArgAction, Args, ValueEnum};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::args::{Common, OutputArgs, Selection};
use super::exit::Exit;
use super::failure::Failure;
use super::registry::Trust;
use super::{changed, ci, common, complain, say, service};
use crate::engine::event::{Event, Reporter, Status};
use crate::project::{Image, Project};
use crate::report::{Output, Screen};
use crate::text::{Node, Place};

/// Build the project's images and push them to their registry
///
/// A cargo package is built without a container engine, a Dockerfile by the engine that DOCKER_HOST or Docker's context names.
/// The tag is BRANCH-SHA (-dirty, where the tree differs from the commit). Only what the registry lacks is sent.
/// Credentials are those that `crudctl login` or `docker login` keeps.
#[derive(Debug, Args)]
pub struct BuildPush {
    /// Names of images, where the project has several [default: all]
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// The project's directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// Push to this registry: `registry.example.org/team` [default: `image.registry` of crudctl.yaml]
    #[arg(long, value_name = "REGISTRY", conflicts_with = "no_push")]
    registry: Option<String>,
    /// One more tag, such as `latest`; more than one may be given
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Build only
    #[arg(long)]
    no_push: bool,
    /// Write the image here, too: an archive for `docker load` where it ends in .tar, else an OCI layout
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Bring the image to the local container engine, too
    #[arg(long)]
    load: bool,
    /// Put a list of the crates in it beside the image (CycloneDX, as a referrer); for cargo packages
    #[arg(long, conflicts_with = "no_push")]
    sbom: bool,
    /// Say beside the image how it was built (SLSA provenance, as a referrer; it is not signed)
    #[arg(long, conflicts_with = "no_push")]
    provenance: bool,
    /// Print this alone on stdout, a line an image; the report goes to stderr
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "output")]
    print: Option<Print>,
    /// Only images of which a file changed since this git revision (`image.paths`; uncommitted changes count)
    #[arg(long, value_name = "REV")]
    changed_since: Option<String>,
    /// Write a dotenv report, as GitLab takes it, to this file
    #[arg(long, value_name = "FILE")]
    dotenv: Option<PathBuf>,
    /// Push nothing; say what would be pushed
    #[arg(short = 'C', long)]
    check: bool,
    /// Variables above all others: `key=value …`, YAML or JSON, or `@FILE`
    #[arg(short, long, value_name = "VARS", action = ArgAction::Append, allow_hyphen_values = true)]
    extra_vars: Vec<String>,
    /// Say more; up to four times
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    output: OutputArgs,
}

/// What scripts want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Print {
    /// `sha256:…`
    Digest,
    /// `BRANCH-SHA`
    Tag,
    /// `registry.example.org/team/app@sha256:…`
    Reference,
}

impl Print {
    fn key(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Tag => "tag",
            Self::Reference => "reference",
        }
    }
}

impl BuildPush {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let project = Project::load(&self.project).map_err(|error| Failure::of(Exit::Static, vec![error]))?;
        let images = self.chosen(&project)?;
        if let (true, Some(revision)) = (images.is_empty(), &self.changed_since) {
            complain(&format!("no image changed since {revision}"));
            return Ok(Exit::Ok);
        }
        let common = Common {
            check: self.check,
            verbose: self.verbose,
            extra_vars: self.extra_vars.clone(),
            inventory: vec!["/dev/null".into()],
            ..Common::default()
        };
        let form = self.output.form();
        let start = match self.print {
            Some(_) => {
                common::start_on(Screen::stderr(), &common, if form == Output::Json { Output::Plain } else { form })
            }
            None => common::start(&common, form),
        };
        let mut setup = common::setup(&start, &common, &Selection::default(), std::slice::from_ref(&self.project))?;
        for image in &images {
            let name = image["name"].as_str().unwrap_or_default();
            let vars = json!({"ansible_connection": "local", "image": image});
            setup.inventory.add_host(name, &["images".to_owned()], vars.as_object().cloned().unwrap_or_default());
        }
        let results = Results::default();
        setup.events.add(Box::new(results.clone()));
        let vars = json!({"images": images, "port": project.service.port, "load": self.load});
        let place = Place::synthetic(crate::project::FILE);
        let mut all: IndexMap<String, Node> = IndexMap::new();
        for (name, value) in vars.as_object().into_iter().flatten() {
            all.insert(name.clone(), Node::from_json(value, &place));
        }
        // What the user gives by `-e` stands above.
        all.extend(std::mem::take(&mut setup.options.extra_vars));
        setup.options.extra_vars = all;
        let exit = Exit::of(&service::run_playbook(&self.project, "build-push", setup)?);
        let mut results = results.take();
        let place_of =
            |result: &Map<String, Value>| images.iter().position(|image| Some(&image["name"]) == result.get("name"));
        results.sort_by_key(place_of);
        if let Some(what) = self.print {
            results.iter().filter_map(|result| result[what.key()].as_str()).for_each(say);
        } else {
            let tell = if form == Output::Json { complain } else { say };
            results.iter().for_each(|result| tell(&summary(result)));
        }
        ci::tell_github(&results)?;
        if let Some(path) = &self.dotenv {
            ci::write_dotenv(path, &results)?;
        }
        Ok(exit)
    }

    /// The images as the playbook takes them.
    fn chosen(&self, project: &Project) -> Result<Vec<Value>, Failure> {
        let all = project.images();
        let unknown = self.images.iter().find(|wanted| !all.iter().any(|(name, _)| name == wanted));
        if let Some(unknown) = unknown {
            let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(Exit::Usage, format!("there is no image `{unknown}`; there are: {names}")));
        }
        let chosen =
            all.into_iter().filter(|(name, _)| self.images.is_empty() || self.images.iter().any(|i| i == name));
        let mut chosen: Vec<_> = chosen.collect();
        if let Some(revision) = &self.changed_since {
            let files = changed::files(&self.project, revision)?;
            chosen.retain(|(_, image)| changed::concerns(&files, &image.paths()));
        }
        if self.to.is_some() && chosen.len() > 1 {
            return Err(Failure::new(Exit::Usage, "--to is for one image: name it"));
        }
        chosen.into_iter().map(|(name, image)| self.variables(project, name, image)).collect()
    }

    fn variables(&self, project: &Project, name: &str, image: &Image) -> Result<Value, Failure> {
        let registry = self.registry.as_ref().or(image.registry.as_ref()).or(project.image.registry.as_ref());
        let repository = match registry {
            _ if self.no_push => String::new(),
            Some(registry) => format!("{}/{name}", registry.trim_end_matches('/')),
            None => {
                return Err(Failure::new(
                    Exit::Usage,
                    "there is no registry to push to: set `image.registry` in crudctl.yaml, or give --registry, or --no-push",
                ));
            }
        };
        let ca = self.trust.ca.clone().map(|ca| absolute(Path::new(""), &ca));
        let own_ca = image.ca.as_ref().or(project.image.ca.as_ref()).map(|ca| absolute(&self.project, ca));
        Ok(json!({
            "name": name,
            "build": image.build.clone().placed(|path| absolute(&self.project, path).into()),
            "repository": repository,
            "tags": image.tags.iter().chain(&self.tag).collect::<Vec<_>>(),
            "to": self.to.as_ref().map(|to| absolute(Path::new(""), to)).unwrap_or_default(),
            "sbom": self.sbom || image.sbom,
            "provenance": self.provenance || image.provenance,
            "insecure": self.trust.insecure || image.insecure || project.image.insecure,
            "ca": ca.or(own_ca).unwrap_or_default(),
        }))
    }
}

fn absolute(folder: &Path, path: &Path) -> String {
    let path = folder.join(path);
    std::path::absolute(&path).unwrap_or(path).display().to_string()
}

/// One line about an image.
fn summary(result: &Map<String, Value>) -> String {
    let number = |key: &str| result.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (sent, mounted, present) = (number("blobs_sent"), number("blobs_mounted"), number("blobs_present"));
    let mut parts = vec![size(number("size"))];
    if sent + mounted + present > 0 {
        parts.push(format!("{sent} sent ({}), {mounted} mounted, {present} there already", size(number("bytes_sent"))));
    }
    let attached = result.get("attached").and_then(Value::as_object).map_or(0, Map::len);
    if attached > 0 {
        parts.push(format!("{attached} attached"));
    }
    let text = |key: &str| result.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{}\n  {} · {}", text("reference"), text("image"), parts.join(" · "))
}

/// Bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The results of `crudctl_push`, as they come.
#[derive(Clone, Default)]
struct Results(Arc<Mutex<Vec<Map<String, Value>>>>);

impl Results {
    fn take(&self) -> Vec<Map<String, Value>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for Results {
    fn event(&mut self, event: &Event) {
        let (Event::TaskEnded(result) | Event::ItemEnded(result)) = event else { return };
        let done = matches!(result.status, Status::Ok | Status::Changed) && !result.is_loop;
        if done && result.result.contains_key("reference") {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(result.result.clone());
        }
    }
}
