//! Reads playbooks, task files, roles and variable files, and resolves what they import.

mod roles;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::keywords::{Frame, Keywords};
use super::load::Reader;
use super::playbook::Playbook;
use super::role::Role;
use super::task::{Block, Item};
use super::vault::Vault;
use crate::text::{Diagnostic, Kind, Node, Parsed, Place, Source, parse};

/// Endings that a file of YAML may have, in the order in which they are tried.
const ENDINGS: &[&str] = &["yml", "yaml", "json"];

/// Renders a template with the variables of a frame that are known before any host is: gives its text.
pub type RenderStatic = Arc<dyn Fn(&Node, &Arc<Frame>) -> Result<String, Diagnostic> + Send + Sync>;

/// Where a loader looks.
#[derive(Clone)]
pub struct LoaderOptions {
    /// Directories of roles, besides `roles/` beside the playbook.
    pub roles_path: Vec<PathBuf>,
    /// Directories that hold `ansible_collections/`.
    pub collections_path: Vec<PathBuf>,
    /// The playbook's directory.
    pub playbook_dir: PathBuf,
    /// Decrypts vaulted files.
    pub vault: Arc<Vault>,
    /// For names in imports that are templates.
    pub render_static: Option<RenderStatic>,
    /// What a key that stands twice in a mapping is: `warn`, `error`, or `ignore`d.
    pub duplicate_keys: String,
}

/// The use of a role.
#[derive(Debug, Clone)]
pub struct RoleUse {
    /// Its name or path.
    pub name: String,
    /// Where it is named.
    pub place: Place,
    /// Instead of `tasks/main.yml`.
    pub tasks_from: Option<String>,
    /// Instead of `vars/main.yml`.
    pub vars_from: Option<String>,
    /// Instead of `defaults/main.yml`.
    pub defaults_from: Option<String>,
    /// Instead of `handlers/main.yml`.
    pub handlers_from: Option<String>,
    /// Whether it runs again with the same parameters.
    pub allow_duplicates: bool,
    /// `public` of an `import_role`.
    pub public: Option<bool>,
    /// Parameters of a `roles:` entry.
    pub params: Option<Node>,
    /// Whether its arguments are checked against `meta/argument_specs.yml`.
    pub validate: bool,
}

impl RoleUse {
    /// A plain use of a role.
    pub fn named(name: impl Into<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            place,
            tasks_from: None,
            vars_from: None,
            defaults_from: None,
            handlers_from: None,
            allow_duplicates: false,
            public: None,
            params: None,
            validate: true,
        }
    }
}

/// A role that was read.
#[derive(Debug)]
pub struct LoadedRole {
    /// Its tasks, behind those of its dependencies.
    pub block: Arc<Block>,
    /// Its handlers and those of its dependencies.
    pub handlers: Vec<Item>,
    /// The role.
    pub role: Arc<Role>,
}

/// What a `roles:` entry brings in.
pub(super) struct Uses {
    pub items: Vec<Item>,
    pub handlers: Vec<Item>,
}

/// Reads files; those that were read are kept.
pub struct Loader {
    options: LoaderOptions,
    files: Mutex<HashMap<PathBuf, Arc<Parsed>>>,
    warnings: Mutex<Vec<Diagnostic>>,
    /// Handlers of imported roles, by the place of the role's block.
    handlers: Mutex<Vec<(usize, Vec<Item>)>>,
}

impl Loader {
    /// A loader.
    pub fn new(options: LoaderOptions) -> Self {
        Self { options, files: Mutex::default(), warnings: Mutex::default(), handlers: Mutex::default() }
    }

    /// Reads a playbook.
    ///
    /// # Errors
    /// All errors that it and what it imports have.
    pub fn playbook(&self, path: &Path) -> Result<Playbook, Vec<Diagnostic>> {
        let node = self.document(path, None).map_err(|error| vec![error])?;
        self.plays(&node, path)
    }

    /// Reads a playbook that no file holds; `dir` stands for its directory.
    ///
    /// # Errors
    /// All errors that it and what it imports have.
    pub fn playbook_from(&self, source: &Arc<Source>, dir: &Path) -> Result<Playbook, Vec<Diagnostic>> {
        let parsed = parse(source).map_err(|error| vec![error])?;
        self.plays(&parsed.first(source), &dir.join(&source.name))
    }

    fn plays(&self, node: &Node, path: &Path) -> Result<Playbook, Vec<Diagnostic>> {
        if node.is_null() {
            return Ok(Playbook { path: path.to_owned(), plays: vec![] });
        }
        let (playbook, errors) = self.plays_partly(node, path);
        if errors.is_empty() { Ok(playbook) } else { Err(errors) }
    }

    fn plays_partly(&self, node: &Node, path: &Path) -> (Playbook, Vec<Diagnostic>) {
        let mut reader = Reader::new(self, path);
        let plays = reader.plays(node, None, 0);
        (Playbook { path: path.to_owned(), plays }, reader.errors)
    }

    /// Reads of a playbook what can be read, with all errors: so that the static check can go on with the rest.
    pub(super) fn playbook_partly(&self, path: &Path) -> (Playbook, Vec<Diagnostic>) {
        match self.document(path, None) {
            Ok(node) if node.is_null() => (Playbook { path: path.to_owned(), plays: vec![] }, vec![]),
            Ok(node) => self.plays_partly(&node, path),
            Err(error) => (Playbook { path: path.to_owned(), plays: vec![] }, vec![error]),
        }
    }

    /// Reads a file of tasks; `parent` is what holds for all of them.
    ///
    /// # Errors
    /// All errors that it and what it imports have.
    pub fn tasks(&self, path: &Path, parent: &Arc<Frame>) -> Result<Vec<Item>, Vec<Diagnostic>> {
        let node = self.document(path, None).map_err(|error| vec![error])?;
        let mut reader = Reader::new(self, path);
        let items = reader.items(&node, parent);
        if reader.errors.is_empty() { Ok(items) } else { Err(reader.errors) }
    }

    /// Keywords of a mapping (`apply:`).
    ///
    /// # Errors
    /// The first key that is no keyword.
    pub fn keywords(&self, node: &Node) -> Result<Keywords, Diagnostic> {
        let mut reader = Reader::new(self, Path::new(&node.place.source.name));
        let mut keywords = reader.keywords(node, &["notify"], "Block");
        keywords.notify = super::load::list_of(node.get("notify"));
        match reader.errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(keywords),
        }
    }

    /// Reads a file of variables: a mapping (an empty file is an empty one).
    ///
    /// # Errors
    /// It can't be read, or holds no mapping.
    pub fn vars_file(&self, path: &Path) -> Result<Node, Diagnostic> {
        let node = self.document(path, None)?;
        match node.kind {
            Kind::Map(_) => Ok(node),
            Kind::Null => Ok(Node::new(Kind::Map(vec![]), node.place)),
            _ => Err(Diagnostic::error(format!("{} must be stored as a dictionary/hash", path.display()), &node.place)),
        }
    }

    /// Reads a file of YAML (or JSON), decrypted where it is vaulted: its first document.
    ///
    /// # Errors
    /// It can't be read, or holds no YAML.
    pub fn load_yaml(&self, path: &Path) -> Result<Node, Diagnostic> {
        self.document(path, None)
    }

    /// A file's first document. Its name is shown as it was asked for.
    pub(super) fn document(&self, path: &Path, place: Option<&Place>) -> Result<Node, Diagnostic> {
        let parsed = self.parsed(path, place)?;
        match parsed.documents.first() {
            Some(node) => Ok(node.clone()),
            None => Ok(Node::new(Kind::Null, Place::new(&Source::new(path.display().to_string(), " "), 0, 0))),
        }
    }

    fn parsed(&self, path: &Path, place: Option<&Place>) -> Result<Arc<Parsed>, Diagnostic> {
        if let Some(parsed) = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Arc::clone(parsed));
        }
        let at = |message: String| match place {
            Some(place) => Diagnostic::error(message, place),
            None => Diagnostic::plain(message),
        };
        let bytes = std::fs::read(path).map_err(|error| {
            at(if error.kind() == std::io::ErrorKind::NotFound {
                format!(
                    "Unable to retrieve file contents. Could not find or access '{}' on the Ansible Controller.",
                    path.display()
                )
            } else {
                format!("could not read {}: {error}", path.display())
            })
        })?;
        let bytes = if Vault::is_vaulted(&bytes) {
            let text = String::from_utf8_lossy(&bytes);
            let plain = self.options.vault.decrypt_bytes(&text);
            plain.map_err(|error| at(format!("{error:#} ({})", path.display())))?
        } else {
            bytes
        };
        let text = String::from_utf8(bytes).map_err(|_| at(format!("{} is no UTF-8 text", path.display())))?;
        let parsed = Arc::new(parse(&Source::new(path.display().to_string(), text))?);
        match (self.options.duplicate_keys.as_str(), parsed.warnings.first()) {
            ("error", Some(warning)) => {
                let message = warning.message.replace(" Using last defined value only.", "");
                return Err(Diagnostic {
                    level: crate::text::Level::Error,
                    message: format!("YAML parsing failed: {message}"),
                    ..warning.clone()
                });
            }
            ("ignore", _) => {}
            _ => {
                let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
                warnings.extend(parsed.warnings.iter().cloned());
            }
        }
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), Arc::clone(&parsed));
        Ok(parsed)
    }

    /// Warnings about what was read so far; each is given once.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A path that a file names: beside it.
    pub(super) fn beside(&self, file: &Path, name: &str) -> PathBuf {
        let path = expand(name);
        if path.is_absolute() {
            return path;
        }
        let near = file.parent().unwrap_or(Path::new("")).join(&path);
        if near.exists() { near } else { self.options.playbook_dir.join(path) }
    }

    /// A file of tasks as `include_tasks` and `import_tasks` name it: beside the file that names it, in the role's `tasks/`, beside the playbook.
    pub fn find_tasks(&self, name: &str, from: &Path, role: Option<&Path>) -> Option<PathBuf> {
        let path = expand(name);
        if path.is_absolute() {
            return path.is_file().then_some(path);
        }
        let mut candidates = vec![from.join(&path)];
        if let Some(role) = role {
            candidates.push(role.join("tasks").join(&path));
            candidates.push(role.join(&path));
        }
        candidates.push(self.options.playbook_dir.join("tasks").join(&path));
        candidates.push(self.options.playbook_dir.join(&path));
        candidates.into_iter().find(|p| p.is_file())
    }

    /// Renders a name in an import.
    pub(super) fn render_static(&self, node: &Node, frame: &Arc<Frame>) -> Result<String, Diagnostic> {
        match &self.options.render_static {
            Some(render) => render(node, frame),
            None => Err(Diagnostic::error(
                "a template can't stand here: the name must be known before the run",
                &node.place,
            )),
        }
    }

    /// The playbook's directory.
    pub fn playbook_dir(&self) -> &Path {
        &self.options.playbook_dir
    }
}

/// Files of variables in a directory and below, by name.
pub(super) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.filter_map(|e| e.ok().map(|e| e.path())).collect())
        .unwrap_or_default();
    names.sort();
    let mut out = vec![];
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') || path.extension().is_some_and(|end| end == "swp") {
            continue;
        }
        if path.is_dir() {
            out.extend(files_below(&path));
        } else if path.extension().is_none_or(|e| ENDINGS.iter().any(|x| e == *x)) {
            out.push(path);
        }
    }
    out
}

fn expand(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(name),
    }
}
