//! Reads roles: where they are, their files, dependencies, argument specifications.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};

use super::{ENDINGS, LoadedRole, Loader, RoleUse, Uses, expand, files_below};
use crate::language::keywords::{Frame, FrameKind, Keywords};
use crate::language::load::Reader;
use crate::language::role::Role;
use crate::language::task::{Action, Block, Item, Task};
use crate::text::{Diagnostic, Kind, Node, Style};

impl Loader {
    /// Reads a role.
    ///
    /// # Errors
    /// It isn't there, or all errors that it and its dependencies have.
    pub fn role(&self, use_: &RoleUse, parent: &Arc<Frame>) -> Result<LoadedRole, Vec<Diagnostic>> {
        self.load_role(use_, parent, &[])
    }

    /// A use in `roles:`: dependencies in front, each a block of its own.
    pub(in crate::language) fn role_uses(&self, use_: &RoleUse, parent: &Arc<Frame>) -> Result<Uses, Vec<Diagnostic>> {
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
        Some(Task::plain(
            Frame {
                kind: FrameKind::Task,
                keywords,
                role: frame.role.clone(),
                file: frame.file.clone(),
                parent: Some(Arc::clone(frame)),
            },
            place.clone(),
            Action {
                name: text("ansible.builtin.validate_argument_spec"),
                args: Node::new(Kind::Map(args), place.clone()),
                free_form: None,
            },
        ))
    }

    /// Keeps the handlers of an imported role until the play that it stands in takes them.
    pub(in crate::language) fn keep_handlers(&self, loaded: &LoadedRole) {
        let key = Arc::as_ptr(&loaded.block) as usize;
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner).push((key, loaded.handlers.clone()));
    }

    /// Takes the handlers of roles that these items imported.
    pub(in crate::language) fn take_handlers(&self, items: &[Item]) -> Vec<Item> {
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

fn as_data(node: &Node) -> Node {
    Node::from_json(&node.to_json(), &node.place)
}

fn python_quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
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
