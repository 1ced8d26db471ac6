//! Reads playbooks, task files, roles and variable files, and resolves what they import.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::keywords::{Frame, FrameKind, Keywords};
use super::load::Reader;
use super::playbook::Playbook;
use super::role::Role;
use super::task::{Action, Block, Item, LoopControl, Task};
use super::vault::Vault;
use crate::text::{Diagnostic, Kind, Node, Parsed, Place, Source, Style, parse};

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

    /// Reads a role.
    ///
    /// # Errors
    /// It isn't there, or all errors that it and its dependencies have.
    pub fn role(&self, use_: &RoleUse, parent: &Arc<Frame>) -> Result<LoadedRole, Vec<Diagnostic>> {
        self.load_role(use_, parent, &[])
    }

    /// A use in `roles:`: dependencies in front, each a block of its own.
    pub(super) fn role_uses(&self, use_: &RoleUse, parent: &Arc<Frame>) -> Result<Uses, Vec<Diagnostic>> {
        let loaded = self.load_role(use_, parent, &[])?;
        Ok(Uses { items: vec![Item::Block(loaded.block)], handlers: loaded.handlers })
    }

    fn load_role(&self, use_: &RoleUse, parent: &Arc<Frame>, chain: &[String]) -> Result<LoadedRole, Vec<Diagnostic>> {
        let path = self.role_dir(use_, parent).map_err(|error| vec![error])?;
        if chain.len() > 30 {
            return Err(vec![Diagnostic::error(format!("the role '{}' depends on itself", use_.name), &use_.place)]);
        }
        let mut errors = vec![];
        let one = |result: Result<Option<Node>, Diagnostic>, errors: &mut Vec<Diagnostic>| match result {
            Ok(node) => node,
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let meta = one(self.role_file(&path, "meta", None, use_), &mut errors);
        let defaults = one(self.role_vars(&path, "defaults", use_.defaults_from.as_deref(), use_), &mut errors);
        let vars = one(self.role_vars(&path, "vars", use_.vars_from.as_deref(), use_), &mut errors);
        let tasks = one(self.role_file(&path, "tasks", use_.tasks_from.as_deref(), use_), &mut errors);
        let handlers = one(self.role_file(&path, "handlers", use_.handlers_from.as_deref(), use_), &mut errors);
        let duplicates = meta.as_ref().and_then(|m| m.get("allow_duplicates")).and_then(Node::as_bool).unwrap_or(false);
        let role = Arc::new(Role {
            name: role_name(&use_.name),
            path: path.clone(),
            defaults,
            vars,
            params: use_.params.clone(),
            allow_duplicates: duplicates || use_.allow_duplicates,
            parents: chain.to_vec(),
            public: use_.public,
            dependencies: OnceLock::new(),
        });
        let frame = Arc::new(Frame {
            kind: FrameKind::Role,
            keywords: Keywords { vars: None, ..Keywords::default() },
            role: Some(Arc::clone(&role)),
            file: path.join("tasks").join("main.yml"),
            parent: Some(Arc::clone(parent)),
        });
        let mut all_handlers = vec![];
        let mut items = self.dependencies(meta.as_ref(), &role, &frame, chain, &mut all_handlers, &mut errors);
        if use_.validate
            && let Some(task) = self.argument_check(&path, use_, &frame, meta.as_ref(), &mut errors)
        {
            items.push(Item::Task(Arc::new(task)));
        }
        if let Some(node) = tasks {
            let mut reader = Reader::new(self, Path::new(&node.place.source.name));
            items.extend(reader.items(&node, &frame));
            errors.append(&mut reader.errors);
        }
        if let Some(node) = handlers {
            let mut reader = Reader::new(self, Path::new(&node.place.source.name));
            all_handlers.extend(reader.items(&node, &frame));
            errors.append(&mut reader.errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        all_handlers.extend(self.take_handlers(&items));
        let block = Arc::new(Block { frame, place: use_.place.clone(), tasks: items, rescue: vec![], always: vec![] });
        Ok(LoadedRole { block, handlers: all_handlers, role })
    }

    fn dependencies(
        &self,
        meta: Option<&Node>,
        role: &Arc<Role>,
        frame: &Arc<Frame>,
        chain: &[String],
        handlers: &mut Vec<Item>,
        errors: &mut Vec<Diagnostic>,
    ) -> Vec<Item> {
        let Some(list) = meta.and_then(|m| m.get("dependencies")).filter(|n| !n.is_null()) else { return vec![] };
        let Kind::Seq(entries) = &list.kind else {
            errors.push(Diagnostic::error("Expected role dependencies to be a list.", &list.place));
            return vec![];
        };
        let mut chain = chain.to_vec();
        chain.push(role.name.clone());
        let (mut items, mut roles) = (vec![], vec![]);
        for entry in entries {
            // Galaxy's form names a source; its role must be installed.
            let entry = match (entry.get("src"), entry.get("role").or_else(|| entry.get("name"))) {
                (Some(src), None) => Node::new(Kind::Str(role_name(&src.key_text()), Style::Plain), src.place.clone()),
                _ => entry.clone(),
            };
            let mut reader = Reader::new(self, Path::new(&list.place.source.name));
            let Some((use_, frame)) = reader.role_entry(&entry, frame) else {
                errors.append(&mut reader.errors);
                continue;
            };
            errors.append(&mut reader.errors);
            match self.load_role(&use_, &frame, &chain) {
                Ok(mut loaded) => {
                    handlers.append(&mut loaded.handlers);
                    items.push(Item::Block(loaded.block));
                    roles.push(loaded.role);
                }
                Err(mut more) => errors.append(&mut more),
            }
        }
        // Nobody else has this role yet.
        role.dependencies.get_or_init(|| roles);
        items
    }

    /// The task that checks a role's arguments, where it has a specification.
    fn argument_check(
        &self,
        path: &Path,
        use_: &RoleUse,
        frame: &Arc<Frame>,
        meta: Option<&Node>,
        errors: &mut Vec<Diagnostic>,
    ) -> Option<Task> {
        let specs = match find_main(&path.join("meta"), "argument_specs") {
            Some(file) => match self.document(&file, None) {
                Ok(node) => node.get("argument_specs").cloned(),
                Err(error) => {
                    errors.push(error);
                    None
                }
            },
            None => meta.and_then(|m| m.get("argument_specs")).cloned(),
        }?;
        let entry = use_.tasks_from.as_deref().unwrap_or("main");
        let entry = entry.trim_end_matches(".yml").trim_end_matches(".yaml");
        let spec = specs.get(entry)?;
        let options = spec.get("options")?;
        let place = &spec.place;
        let text = |text: &str| Node::new(Kind::Str(text.to_owned(), Style::Plain), place.clone());
        // Each option's value is taken from the variable of its name.
        let given = options.entries().iter().map(|(name, _)| {
            let name = name.key_text();
            (text(&name), text(&format!("{{{{ vars[{}] | default(omit) }}}}", python_quote(&name))))
        });
        let describe = spec.get("short_description").map(|n| format!(" - {}", n.key_text())).unwrap_or_default();
        let keywords = Keywords {
            name: Some(text(&format!("Validating arguments against arg spec '{entry}'{describe}"))),
            tags: vec![text("always")],
            ..Keywords::default()
        };
        let args = vec![
            (text("argument_spec"), as_data(options)),
            (text("provided_arguments"), Node::new(Kind::Map(given.collect()), place.clone())),
            (
                text("validate_args_context"),
                Node::from_json(
                    &serde_json::json!({"type": "role", "name": use_.name, "argument_spec_name": entry, "path": path.display().to_string()}),
                    place,
                ),
            ),
        ];
        Some(Task {
            frame: Arc::new(Frame {
                kind: FrameKind::Task,
                keywords,
                role: frame.role.clone(),
                file: frame.file.clone(),
                parent: Some(Arc::clone(frame)),
            }),
            place: place.clone(),
            action: Action {
                name: text("ansible.builtin.validate_argument_spec"),
                args: Node::new(Kind::Map(args), place.clone()),
                free_form: None,
            },
            register: None,
            r#loop: None,
            loop_control: LoopControl::default(),
            until: vec![],
            retries: None,
            delay: None,
            failed_when: None,
            changed_when: None,
            notify: vec![],
            listen: vec![],
            r#async: None,
            poll: None,
        })
    }

    /// Keeps the handlers of an imported role until the play that it stands in takes them.
    pub(super) fn keep_handlers(&self, loaded: &LoadedRole) {
        let key = Arc::as_ptr(&loaded.block) as usize;
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner).push((key, loaded.handlers.clone()));
    }

    /// Takes the handlers of roles that these items imported.
    pub(super) fn take_handlers(&self, items: &[Item]) -> Vec<Item> {
        let mut out = vec![];
        for item in items {
            let Item::Block(block) = item else { continue };
            let key = Arc::as_ptr(block) as usize;
            let mut kept = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = kept.iter().position(|(k, _)| *k == key) {
                out.extend(kept.remove(at).1);
            }
            drop(kept);
            for part in [&block.tasks, &block.rescue, &block.always] {
                out.extend(self.take_handlers(part));
            }
        }
        out
    }

    fn role_dir(&self, use_: &RoleUse, parent: &Arc<Frame>) -> Result<PathBuf, Diagnostic> {
        let name = use_.name.as_str();
        let expanded = expand(name);
        if expanded.is_absolute() && expanded.is_dir() {
            return Ok(expanded);
        }
        let mut tried: Vec<PathBuf> = vec![];
        if let [namespace, collection, rest @ ..] = &name.split('.').collect::<Vec<_>>()[..]
            && !rest.is_empty()
            && !name.contains('/')
        {
            let beside = self.options.playbook_dir.join("collections");
            for dir in std::iter::once(&beside).chain(&self.options.collections_path) {
                let base = dir.join("ansible_collections").join(namespace).join(collection).join("roles");
                tried.push(rest.iter().fold(base, |path, part| path.join(part)));
            }
        }
        // A role finds its neighbours.
        let around =
            parent.levels().filter_map(|l| l.role.as_ref()).filter_map(|r| r.path.parent().map(Path::to_owned));
        let beside = parent.levels().filter_map(|l| l.file.parent().map(Path::to_owned));
        let own = [self.options.playbook_dir.join("roles")];
        let mut dirs: Vec<PathBuf> = own.into_iter().collect();
        dirs.extend(beside.flat_map(|dir| [dir.join("roles"), dir]));
        dirs.extend(around);
        dirs.extend(self.options.roles_path.iter().cloned());
        dirs.push(self.options.playbook_dir.clone());
        tried.extend(dirs.into_iter().map(|dir| dir.join(name)));
        if let Some(found) = tried.iter().find(|p| p.is_dir()) {
            return Ok(std::path::absolute(found).unwrap_or_else(|_| found.clone()));
        }
        let mut seen: Vec<String> = vec![];
        for path in &tried {
            let dir = path.parent().unwrap_or(path);
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).display().to_string();
            if !seen.contains(&dir) {
                seen.push(dir);
            }
        }
        Err(Diagnostic::error(format!("the role '{name}' was not found in {}", seen.join(":")), &use_.place))
    }

    /// The main file of a role's part, or the one named instead of it.
    fn role_file(
        &self,
        role: &Path,
        part: &str,
        from: Option<&str>,
        use_: &RoleUse,
    ) -> Result<Option<Node>, Diagnostic> {
        let dir = role.join(part);
        match find_main(&dir, from.unwrap_or("main")) {
            Some(file) if is_within(role, &file) => {
                let node = self.document(&file, None)?;
                let wrong = match part {
                    "meta" => !matches!(node.kind, Kind::Map(_) | Kind::Null),
                    _ => !matches!(node.kind, Kind::Seq(_) | Kind::Null),
                };
                if wrong {
                    let message = match part {
                        "meta" => format!("the 'meta/main.yml' for role {} is not a dictionary", use_.name),
                        _ => format!("The {part}/main.yml file for role '{}' must contain a list of tasks", use_.name),
                    };
                    return Err(Diagnostic::error(message, &node.place));
                }
                Ok(Some(node))
            }
            Some(file) => Err(Diagnostic::error(
                format!(
                    "Failed loading '{}' for role ({}) as it is not inside the expected role path: '{}'",
                    file.display(),
                    use_.name,
                    role.display()
                ),
                &use_.place,
            )),
            None => match from {
                None => Ok(None),
                Some(name) => {
                    Err(Diagnostic::error(format!("Could not find specified file in role: {part}/{name}"), &use_.place))
                }
            },
        }
    }

    /// A role's variables: a file, or all files of a directory `main`.
    fn role_vars(
        &self,
        role: &Path,
        part: &str,
        from: Option<&str>,
        use_: &RoleUse,
    ) -> Result<Option<Node>, Diagnostic> {
        let dir = role.join(part);
        let name = from.unwrap_or("main");
        let inner = dir.join(name);
        let mut files: Vec<PathBuf> = vec![];
        if let Some(file) = find_main(&dir, name) {
            files.push(file);
        } else if inner.is_dir() {
            files = files_below(&inner);
        } else if from.is_some() {
            return Err(Diagnostic::error(
                format!("Could not find specified file in role: {part}/{name}"),
                &use_.place,
            ));
        }
        let mut all: Vec<(Node, Node)> = vec![];
        let mut place = None;
        for file in files {
            let node = self.vars_file(&file)?;
            place.get_or_insert_with(|| node.place.clone());
            for (key, value) in node.entries() {
                all.retain(|(k, _)| k.as_str() != key.as_str());
                all.push((key.clone(), value.clone()));
            }
        }
        Ok(place.map(|place| Node::new(Kind::Map(all), place)))
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

/// A file `name`, with an ending or without, in a directory.
fn find_main(dir: &Path, name: &str) -> Option<PathBuf> {
    let plain = dir.join(name);
    let has_ending = Path::new(name).extension().is_some_and(|e| ENDINGS.iter().any(|x| e == *x));
    if has_ending && plain.is_file() {
        return Some(plain);
    }
    let with: Option<PathBuf> = ENDINGS.iter().map(|e| dir.join(format!("{name}.{e}"))).find(|p| p.is_file());
    with.or_else(|| plain.is_file().then_some(plain))
}

fn is_within(role: &Path, file: &Path) -> bool {
    // As written: links out of a role are its author's.
    let plain = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        path.components().fold(PathBuf::new(), |mut all, part| {
            match part {
                std::path::Component::ParentDir => {
                    all.pop();
                }
                part => all.push(part),
            }
            all
        })
    };
    plain(file).starts_with(plain(role))
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

/// The name of a role that is given by a path or a source.
fn role_name(name: &str) -> String {
    let trimmed = name.trim_end_matches('/');
    if trimmed.contains('/') {
        let last = trimmed.rsplit('/').next().unwrap_or(trimmed);
        return last.trim_end_matches(".git").trim_end_matches(".tar.gz").to_owned();
    }
    trimmed.to_owned()
}

fn expand(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(name),
    }
}

fn as_data(node: &Node) -> Node {
    Node::from_json(&node.to_json(), &node.place)
}

fn python_quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
