//! Nodes to plays, blocks and tasks: keywords are told from modules, lines are taken apart, imports are resolved.

mod action;
mod imports;
mod keywords;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::keywords::{BLOCK, COMMON, LOOP_CONTROL, PLAY, ROLE, TASK};
use super::keywords::{Frame, FrameKind, Keywords};
use super::loader::{Loader, RoleUse};
use super::playbook::Play;
use super::task::{Action, Block, Item, Loop, LoopControl, LoopKind, Task};
use crate::text::{Diagnostic, Kind, Node, Place};

/// Reads one file's nodes; collects all errors.
pub(super) struct Reader<'a> {
    pub loader: &'a Loader,
    pub file: PathBuf,
    pub errors: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(loader: &'a Loader, file: &Path) -> Self {
        Self { loader, file: file.to_owned(), errors: vec![] }
    }

    fn error(&mut self, message: impl Into<String>, place: &Place) {
        self.errors.push(Diagnostic::error(message, place));
    }

    fn frame(&self, kind: FrameKind, keywords: Keywords, parent: Option<&Arc<Frame>>) -> Arc<Frame> {
        Arc::new(Frame {
            kind,
            keywords,
            role: parent.and_then(|p| p.role.clone()),
            file: self.file.clone(),
            parent: parent.cloned(),
        })
    }

    /// A playbook's plays.
    pub(super) fn plays(&mut self, node: &Node, parent: Option<&Arc<Frame>>, depth: usize) -> Vec<Play> {
        let Kind::Seq(items) = &node.kind else {
            self.error("A playbook must be a list of plays, got a different type instead", &node.place);
            return vec![];
        };
        let mut plays = vec![];
        for item in items {
            if !matches!(item.kind, Kind::Map(_)) {
                self.error("playbook entries must be either valid plays or 'import_playbook' statements", &item.place);
                continue;
            }
            let import = ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"]
                .iter()
                .find_map(|key| item.get(key));
            match import {
                Some(path) => plays.extend(self.import_playbook(item, path, parent, depth)),
                None => plays.extend(self.play(item, parent)),
            }
        }
        plays
    }

    fn import_playbook(&mut self, item: &Node, path: &Node, parent: Option<&Arc<Frame>>, depth: usize) -> Vec<Play> {
        if depth > 50 {
            self.error("playbooks import each other without end", &path.place);
            return vec![];
        }
        let known = ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"];
        let keywords = self.keywords(item, &known, "PlaybookInclude");
        let frame = self.frame(FrameKind::Block, keywords, parent);
        let Some(name) = self.static_text(path, &frame) else { return vec![] };
        // `import_playbook: file.yml tags=x` is long gone; what follows the name is an error there, too.
        let target = self.loader.beside(&self.file, &name);
        match self.loader.document(&target, Some(&path.place)) {
            Ok(node) => {
                let mut reader = Reader::new(self.loader, &target);
                let plays = reader.plays(&node, Some(&frame), depth + 1);
                self.errors.append(&mut reader.errors);
                plays
            }
            Err(error) => {
                self.errors.push(error);
                vec![]
            }
        }
    }

    fn play(&mut self, node: &Node, parent: Option<&Arc<Frame>>) -> Option<Play> {
        let mut keywords = self.keywords(node, PLAY, "Play");
        if let Some(user) = node.get("user") {
            keywords.remote_user.get_or_insert_with(|| user.clone());
        }
        let frame = self.frame(FrameKind::Play, keywords, parent);
        let get = |key: &str| node.get(key).filter(|n| !n.is_null()).cloned();
        let hosts = match node.get("hosts") {
            Some(hosts)
                if !hosts.is_null()
                    && hosts.as_str() != Some("")
                    && !matches!(&hosts.kind, Kind::Seq(s) if s.is_empty()) =>
            {
                let valid = match &hosts.kind {
                    Kind::Seq(items) => items.iter().all(|i| i.as_str().is_some()),
                    other => matches!(other, Kind::Str(..) | Kind::Data(_) | Kind::Int(_)),
                };
                if !valid {
                    self.error("Hosts list must be a sequence or string. Please check your playbook.", &hosts.place);
                }
                hosts.clone()
            }
            Some(hosts) => {
                self.error("Hosts list cannot be empty. Please check your playbook", &hosts.place);
                return None;
            }
            None => {
                self.error("the field 'hosts' is required but was not set", &node.place);
                return None;
            }
        };
        let list = |node: Option<Node>| match node.map(|n| (n.kind.clone(), n)) {
            Some((Kind::Seq(items), _)) => items,
            Some((_, one)) => vec![one],
            None => vec![],
        };
        let mut handlers = vec![];
        let roles = self.roles(node.get("roles"), &frame, &mut handlers);
        let pre_tasks = self.section(node, "pre_tasks", &frame);
        let tasks = self.section(node, "tasks", &frame);
        let post_tasks = self.section(node, "post_tasks", &frame);
        handlers.extend(self.section(node, "handlers", &frame));
        // Imported roles bring their handlers, too.
        for items in [&pre_tasks, &tasks, &post_tasks] {
            handlers.splice(0..0, self.loader.take_handlers(items));
        }
        Some(Play {
            place: node.place.clone(),
            hosts,
            gather_facts: get("gather_facts"),
            gather_subset: get("gather_subset"),
            strategy: get("strategy"),
            serial: get("serial"),
            max_fail_percentage: get("max_fail_percentage"),
            force_handlers: get("force_handlers"),
            order: get("order"),
            vars_files: list(get("vars_files")),
            vars_prompt: list(get("vars_prompt")),
            pre_tasks,
            roles,
            tasks,
            post_tasks,
            handlers,
            frame,
        })
    }

    fn section(&mut self, node: &Node, key: &str, frame: &Arc<Frame>) -> Vec<Item> {
        match node.get(key) {
            Some(list) => self.items(list, frame),
            None => vec![],
        }
    }

    fn roles(&mut self, node: Option<&Node>, frame: &Arc<Frame>, handlers: &mut Vec<Item>) -> Vec<Item> {
        let Some(node) = node.filter(|n| !n.is_null()) else { return vec![] };
        let Kind::Seq(entries) = &node.kind else {
            self.error("A malformed role declaration was encountered: a list is wanted", &node.place);
            return vec![];
        };
        let mut items = vec![];
        for entry in entries {
            if let Some((role, frame)) = self.role_entry(entry, frame) {
                match self.loader.role_uses(&role, &frame) {
                    Ok(mut loaded) => {
                        handlers.append(&mut loaded.handlers);
                        items.append(&mut loaded.items);
                    }
                    Err(mut errors) => self.errors.append(&mut errors),
                }
            }
        }
        items
    }

    /// A role's use in `roles:` or `dependencies:`, with the frame of its keywords.
    pub(super) fn role_entry(&mut self, entry: &Node, parent: &Arc<Frame>) -> Option<(RoleUse, Arc<Frame>)> {
        let (name, keywords, params) = match &entry.kind {
            Kind::Map(entries) => {
                let Some(name) = entry.get("role").or_else(|| entry.get("name")) else {
                    self.error("role definitions must contain a role name", &entry.place);
                    return None;
                };
                let mut known = vec![];
                let mut params = vec![];
                for (key, value) in entries {
                    let text = key.key_text();
                    if COMMON.contains(&text.as_str()) && text != "name" || ROLE.contains(&text.as_str()) {
                        known.push((key.clone(), value.clone()));
                    } else {
                        params.push((key.clone(), value.clone()));
                    }
                }
                let node = Node::new(Kind::Map(known), entry.place.clone());
                let mut keywords = self.keywords(&node, ROLE, "Role");
                keywords.name = None;
                let params = (!params.is_empty()).then(|| Node::new(Kind::Map(params), entry.place.clone()));
                (name.clone(), keywords, params)
            }
            Kind::Str(..) | Kind::Data(_) | Kind::Int(_) => (entry.clone(), Keywords::default(), None),
            _ => {
                self.error("Invalid role definition", &entry.place);
                return None;
            }
        };
        let frame = self.frame(FrameKind::Block, keywords, Some(parent));
        let text = self.static_text(&name, &frame)?;
        let role = RoleUse { params, ..RoleUse::named(text, name.place.clone()) };
        Some((role, frame))
    }

    /// Tasks and blocks of a list.
    pub(super) fn items(&mut self, node: &Node, parent: &Arc<Frame>) -> Vec<Item> {
        let items = match &node.kind {
            Kind::Null => return vec![],
            Kind::Seq(items) => items,
            _ => {
                self.error("A list of tasks was expected", &node.place);
                return vec![];
            }
        };
        let mut out = vec![];
        for item in items {
            match &item.kind {
                Kind::Map(_) if item.get("block").is_some() => out.extend(self.block(item, parent)),
                Kind::Map(_) if item.get("rescue").is_some() || item.get("always").is_some() => {
                    self.error("Unexpected use of 'rescue' or 'always' without 'block'", &item.place);
                }
                Kind::Map(_) => out.extend(self.task(item, parent)),
                Kind::Null => {}
                _ => self.error("each task must be a mapping: a module with its arguments, and keywords", &item.place),
            }
        }
        out
    }

    fn block(&mut self, node: &Node, parent: &Arc<Frame>) -> Option<Item> {
        let mut keywords = self.keywords(node, BLOCK, "Block");
        keywords.notify = list_of(node.get("notify"));
        let frame = self.frame(FrameKind::Block, keywords, Some(parent));
        let mut part = |key: &str| node.get(key).map(|n| self.items(n, &frame)).unwrap_or_default();
        let (tasks, rescue, always) = (part("block"), part("rescue"), part("always"));
        Some(Item::Block(Arc::new(Block { frame, place: node.place.clone(), tasks, rescue, always })))
    }

    fn task(&mut self, node: &Node, parent: &Arc<Frame>) -> Option<Item> {
        let (action, local) = self.action(node)?;
        let mut known: Vec<&str> = TASK.to_vec();
        let name = action.name.key_text();
        known.push(&name);
        let mut keywords = self.keywords(node, &known, "Task");
        if local {
            keywords.delegate_to.get_or_insert_with(|| Node::data("localhost", &node.place));
        }
        let short =
            name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(&name);
        match short {
            "import_tasks" | "import_role" => {
                let frame = self.frame(FrameKind::Task, keywords, Some(parent));
                if let Some(place) = node.get("loop").map(|n| &n.place) {
                    self.error(
                        format!(
                            "You cannot use loops on '{name}' statements. You should use 'include_{}' instead.",
                            &short[7..]
                        ),
                        place,
                    );
                    return None;
                }
                if short == "import_tasks" {
                    self.import_tasks(&action, node, &frame)
                } else {
                    self.import_role(&action, node, &frame)
                }
            }
            "import_playbook" => {
                self.error("`import_playbook` stands between plays, not among tasks", &node.place);
                None
            }
            _ => {
                let frame = self.frame(FrameKind::Task, keywords, Some(parent));
                Some(Item::Task(Arc::new(self.plain_task(node, action, frame))))
            }
        }
    }

    fn plain_task(&mut self, node: &Node, action: Action, frame: Arc<Frame>) -> Task {
        let get = |key: &str| node.get(key).filter(|n| !n.is_null()).cloned();
        let conditions = |key: &str| node.get(key).filter(|n| !n.is_null()).map(|n| list_of(Some(n)));
        let r#loop = self.repeats(node);
        let loop_control = self.loop_control(node.get("loop_control"));
        if let Some(register) = node.get("register").filter(|n| !n.is_null())
            && let Some(text) = register.as_str()
            && !register.is_template()
            && !is_name(text)
        {
            self.error(format!("invalid variable name in 'register' specified: '{text}'"), &register.place);
        }
        Task {
            place: node.place.clone(),
            action,
            register: get("register"),
            r#loop,
            loop_control,
            until: conditions("until").unwrap_or_default(),
            retries: get("retries"),
            delay: get("delay"),
            failed_when: conditions("failed_when"),
            changed_when: conditions("changed_when"),
            notify: list_of(node.get("notify")),
            listen: list_of(node.get("listen")),
            r#async: get("async"),
            poll: get("poll"),
            frame,
        }
    }

    fn repeats(&mut self, node: &Node) -> Option<Loop> {
        let mut found: Option<Loop> = None;
        for (key, value) in node.entries() {
            let kind = match key.as_str() {
                Some("loop") => LoopKind::List,
                Some(text) if text.starts_with("with_") => LoopKind::With(text[5..].to_owned()),
                _ => continue,
            };
            if value.is_null() {
                if kind != LoopKind::List {
                    self.error(format!("you must specify a value when using {}", key.key_text()), &key.place);
                }
                continue;
            }
            if found.is_some() {
                self.error(format!("duplicate loop in task: {}", key.key_text()), &key.place);
            }
            found = Some(Loop { kind, items: value.clone() });
        }
        found
    }

    fn loop_control(&mut self, node: Option<&Node>) -> LoopControl {
        let Some(node) = node.filter(|n| !n.is_null()) else { return LoopControl::default() };
        if !matches!(node.kind, Kind::Map(_)) {
            self.error(
                "the `loop_control` value must be specified as a dictionary and cannot be a variable itself",
                &node.place,
            );
            return LoopControl::default();
        }
        for (key, _) in node.entries() {
            let text = key.key_text();
            if !LOOP_CONTROL.contains(&text.as_str()) {
                self.unknown(&text, "LoopControl", LOOP_CONTROL.iter().copied(), &key.place);
            }
        }
        let get = |key: &str| node.get(key).filter(|n| !n.is_null()).cloned();
        LoopControl {
            loop_var: get("loop_var"),
            index_var: get("index_var"),
            label: get("label"),
            pause: get("pause"),
            extended: get("extended"),
            extended_allitems: get("extended_allitems"),
            break_when: list_of(node.get("break_when")),
        }
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// One or several.
pub(super) fn list_of(node: Option<&Node>) -> Vec<Node> {
    match node {
        None => vec![],
        Some(node) => match &node.kind {
            Kind::Null => vec![],
            Kind::Seq(items) => items.clone(),
            _ => vec![node.clone()],
        },
    }
}
