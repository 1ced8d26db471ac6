//! Nodes to plays, blocks and tasks: keywords are told from modules, lines are taken apart, imports are resolved.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arguments;
use super::keywords::{Frame, FrameKind, Keywords};
use super::loader::{Loader, RoleUse};
use super::playbook::Play;
use super::task::{Action, Block, Item, Loop, LoopControl, LoopKind, Task};
use crate::text::{Diagnostic, Kind, Node, Place, Style, did_you_mean, resolve};

/// Keywords that all levels have.
const COMMON: &[&str] = &[
    "name",
    "vars",
    "when",
    "tags",
    "become",
    "become_user",
    "become_method",
    "become_flags",
    "become_exe",
    "connection",
    "remote_user",
    "port",
    "environment",
    "no_log",
    "ignore_errors",
    "ignore_unreachable",
    "check_mode",
    "diff",
    "any_errors_fatal",
    "run_once",
    "delegate_to",
    "delegate_facts",
    "throttle",
    "timeout",
    "module_defaults",
    "collections",
    "debugger",
];
const TASK: &[&str] = &[
    "action",
    "local_action",
    "args",
    "register",
    "loop",
    "loop_control",
    "until",
    "retries",
    "delay",
    "failed_when",
    "changed_when",
    "notify",
    "listen",
    "async",
    "poll",
];
const BLOCK: &[&str] = &["block", "rescue", "always", "notify"];
const PLAY: &[&str] = &[
    "hosts",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "strategy",
    "serial",
    "max_fail_percentage",
    "force_handlers",
    "order",
    "vars_files",
    "vars_prompt",
    "pre_tasks",
    "roles",
    "tasks",
    "post_tasks",
    "handlers",
    "validate_argspec",
    "user",
];
const LOOP_CONTROL: &[&str] =
    &["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];
/// Keys of a role's use that are no parameters.
const ROLE: &[&str] = &["role", "name"];

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

    /// The module and its arguments, and whether it is a `local_action`.
    fn action(&mut self, node: &Node) -> Option<(Action, bool)> {
        let mut found: Option<(Node, Node, bool)> = None;
        for (key, value) in node.entries() {
            let text = key.key_text();
            let is_keyword = COMMON.contains(&text.as_str())
                || TASK.contains(&text.as_str()) && !matches!(text.as_str(), "action" | "local_action")
                || text.starts_with("with_");
            if is_keyword {
                continue;
            }
            let (name, args, local) = match text.as_str() {
                "action" | "local_action" => {
                    let (name, args) = self.written_action(value)?;
                    (name, args, text == "local_action")
                }
                _ => (key.clone(), value.clone(), false),
            };
            if let Some((first, ..)) = &found {
                // An unknown key beside a known module is more likely a mistyped keyword.
                let first_known = super::is_module(&first.key_text());
                let this_known = super::is_module(&text);
                if first_known && !this_known && !text.contains('.') {
                    let names = COMMON.iter().chain(TASK).copied();
                    self.unknown(&text, "Task", names, &key.place);
                    continue;
                }
                if !this_known || first_known {
                    let message = format!("conflicting action statements: {}, {text}", first.key_text());
                    self.error(message, &key.place);
                    return None;
                }
                let (first, place) = (first.key_text(), first.place.clone());
                self.unknown(&first, "Task", COMMON.iter().chain(TASK).copied(), &place);
            }
            found = Some((name, args, local));
        }
        let Some((name, value, local)) = found else {
            self.error("no module/action detected in task.", &node.place);
            return None;
        };
        let action = self.arguments(name, &value, node.get("args"))?;
        Some((action, local))
    }

    /// `action: NAME k=v`, or `action: {module: NAME, …}`.
    fn written_action(&mut self, value: &Node) -> Option<(Node, Node)> {
        match &value.kind {
            Kind::Map(entries) => {
                let Some(name) = value.get("module") else {
                    self.error("`action` as a mapping needs the key `module`", &value.place);
                    return None;
                };
                // `args` within it is merged, too, and stands behind what is named outright.
                let mut rest: Vec<_> =
                    entries.iter().filter(|(k, _)| !matches!(k.as_str(), Some("module" | "args"))).cloned().collect();
                for (key, arg) in value.get("args").map(Node::entries).unwrap_or_default() {
                    if !rest.iter().any(|(known, _)| known.as_str() == key.as_str()) {
                        rest.push((key.clone(), arg.clone()));
                    }
                }
                let (name, args) = (name.clone(), Node::new(Kind::Map(rest), value.place.clone()));
                // `module: copy src=a` carries arguments, too.
                match name.as_str().and_then(|t| t.trim().split_once(char::is_whitespace)) {
                    Some((short, line)) if !name.is_template() => {
                        let line = Node::new(Kind::Str(line.to_owned(), Style::Plain), name.place.clone());
                        let name = Node::new(Kind::Str(short.to_owned(), Style::Plain), name.place.clone());
                        let action = self.arguments(name.clone(), &line, Some(&args))?;
                        Some((name, action.args))
                    }
                    _ => Some((name, args)),
                }
            }
            Kind::Str(text, style) => {
                let text = text.trim();
                let end = if text.starts_with("{{") {
                    text.find("}}").map_or(text.len(), |i| i + 2)
                } else {
                    text.find(char::is_whitespace).unwrap_or(text.len())
                };
                let name = Node::new(Kind::Str(text[..end].to_owned(), *style), value.place.clone());
                let rest = text[end..].trim();
                let kind = if rest.is_empty() { Kind::Null } else { Kind::Str(rest.to_owned(), *style) };
                Some((name, Node::new(kind, value.place.clone())))
            }
            _ => {
                self.error("`action` names a module, with its arguments", &value.place);
                None
            }
        }
    }

    fn arguments(&mut self, name: Node, value: &Node, args: Option<&Node>) -> Option<Action> {
        let module = name.key_text();
        let empty = |place: &Place| Node::new(Kind::Map(vec![]), place.clone());
        let mut free_form = None;
        let mut own = match &value.kind {
            Kind::Map(_) => value.clone(),
            Kind::Null => empty(&value.place),
            Kind::Str(text, _) | Kind::Data(text) => {
                let whole = text.trim();
                if whole.starts_with("{{")
                    && whole.ends_with("}}")
                    && whole.matches("{{").count() == 1
                    && !takes_text(&module)
                {
                    // A template that gives all arguments.
                    value.clone()
                } else {
                    match arguments::split(&module, value) {
                        Ok(line) => {
                            free_form = line.free_form;
                            Node::new(Kind::Map(line.pairs), value.place.clone())
                        }
                        Err(message) => {
                            self.error(message, &value.place);
                            return None;
                        }
                    }
                }
            }
            Kind::Seq(_) | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Vault(_) | Kind::Omit => {
                if takes_text(&module) && !matches!(value.kind, Kind::Seq(_)) {
                    free_form = Some(Node::data(value.key_text(), &value.place));
                    empty(&value.place)
                } else {
                    self.error(format!("unexpected parameter type in action: {}", value.type_name()), &value.place);
                    return None;
                }
            }
        };
        if let Some(args) = args.filter(|n| !n.is_null()) {
            match (&mut own.kind, &args.kind) {
                (Kind::Map(entries), Kind::Map(more)) => {
                    for (key, value) in more {
                        if !entries.iter().any(|(k, _)| k.as_str() == key.as_str()) {
                            entries.push((key.clone(), value.clone()));
                        }
                    }
                }
                (Kind::Map(entries), Kind::Str(text, _)) if entries.is_empty() && text.trim().starts_with("{{") => {
                    own = args.clone();
                }
                (_, Kind::Str(text, _)) if text.trim().starts_with("{{") => {
                    self.error("`args` as a template can't be joined with other arguments", &args.place);
                }
                (_, Kind::Str(..)) => match arguments::split("", args) {
                    Ok(line) => {
                        if let Kind::Map(entries) = &mut own.kind {
                            entries.extend(line.pairs);
                        }
                    }
                    Err(message) => self.error(message, &args.place),
                },
                _ => self.error("`args` must be a mapping", &args.place),
            }
        }
        Some(Action { name, args: own, free_form })
    }

    fn import_tasks(&mut self, action: &Action, node: &Node, frame: &Arc<Frame>) -> Option<Item> {
        let name =
            action.free_form.as_ref().or_else(|| action.args.get("file")).or_else(|| action.args.get("_raw_params"));
        let Some(name) = name else {
            self.error("No file specified for import_tasks", &node.place);
            return None;
        };
        let text = self.static_text(name, frame)?;
        let role = frame.role.as_ref().map(|r| r.path.clone());
        let from = self.file.parent().map(Path::to_owned).unwrap_or_default();
        let Some(path) = self.loader.find_tasks(&text, &from, role.as_deref()) else {
            self.error(format!("Could not find or access '{text}' on the Ansible Controller."), &name.place);
            return None;
        };
        let chain = frame.levels().filter(|l| l.file == path).count();
        if chain > 20 {
            self.error(format!("`{text}` imports itself without end"), &name.place);
            return None;
        }
        match self.loader.tasks(&path, frame) {
            Ok(tasks) => Some(Item::Block(Arc::new(Block {
                frame: Arc::clone(frame),
                place: node.place.clone(),
                tasks,
                rescue: vec![],
                always: vec![],
            }))),
            Err(mut errors) => {
                self.errors.append(&mut errors);
                None
            }
        }
    }

    fn import_role(&mut self, action: &Action, node: &Node, frame: &Arc<Frame>) -> Option<Item> {
        const KNOWN: &[&str] = &[
            "name",
            "role",
            "tasks_from",
            "vars_from",
            "defaults_from",
            "handlers_from",
            "allow_duplicates",
            "public",
            "rolespec_validate",
        ];
        let args = &action.args;
        for (key, _) in args.entries() {
            let text = key.key_text();
            if !KNOWN.contains(&text.as_str()) {
                self.error(format!("Invalid options for import_role: {text}"), &key.place);
            }
        }
        let Some(name) = args.get("name").or_else(|| args.get("role")).or(action.free_form.as_ref()) else {
            self.error("'name' is a required field for import_role.", &node.place);
            return None;
        };
        let mut text = |key: &str| match args.get(key).filter(|n| !n.is_null()) {
            Some(node) => self.static_text(node, frame).map(Some),
            None => Some(None),
        };
        // `key=value` gives text.
        let flag = |key: &str| match &args.get(key)?.kind {
            Kind::Bool(flag) => Some(*flag),
            Kind::Str(text, _) | Kind::Data(text) => match resolve(text) {
                Kind::Bool(flag) => Some(flag),
                _ => None,
            },
            _ => None,
        };
        let (tasks_from, vars_from) = (text("tasks_from")?, text("vars_from")?);
        let (defaults_from, handlers_from) = (text("defaults_from")?, text("handlers_from")?);
        let role = RoleUse {
            tasks_from,
            vars_from,
            defaults_from,
            handlers_from,
            allow_duplicates: flag("allow_duplicates").unwrap_or(true),
            public: flag("public"),
            ..RoleUse::named(self.static_text(name, frame)?, name.place.clone())
        };
        match self.loader.role(&role, frame) {
            Ok(loaded) => {
                self.loader.keep_handlers(&loaded);
                Some(Item::Block(loaded.block))
            }
            Err(mut errors) => {
                self.errors.append(&mut errors);
                None
            }
        }
    }

    /// A text that must be known before the run: templates see only variables that are written in the playbook, and extra vars.
    fn static_text(&mut self, node: &Node, frame: &Arc<Frame>) -> Option<String> {
        if !node.is_template() {
            return Some(node.key_text().trim().to_owned());
        }
        match self.loader.render_static(node, frame) {
            Ok(text) => Some(text),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn unknown<'b>(&mut self, key: &str, of: &str, names: impl IntoIterator<Item = &'b str>, place: &Place) {
        let error = Diagnostic::error(format!("'{key}' is not a valid attribute for a {of}"), place);
        self.errors.push(match did_you_mean(key, names) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => error,
        });
    }

    /// The common keywords of a mapping; `more` are keys that belong to it besides.
    pub(super) fn keywords(&mut self, node: &Node, more: &[&str], of: &str) -> Keywords {
        let mut k = Keywords::default();
        for (key, value) in node.entries() {
            let text = key.key_text();
            if more.contains(&text.as_str()) && text != "name" {
                continue;
            }
            if !COMMON.contains(&text.as_str()) && !more.contains(&text.as_str()) {
                if of == "Task" && (text.starts_with("with_") || text == "action" || text == "local_action") {
                    continue;
                }
                if of != "Task" {
                    self.unknown(&text, of, COMMON.iter().copied().chain(more.iter().copied()), &key.place);
                }
                continue;
            }
            if value.is_null() && text != "vars" && text != "environment" {
                continue;
            }
            let slot = match text.as_str() {
                "name" => &mut k.name,
                "vars" => {
                    k.vars = self.vars(value);
                    continue;
                }
                "when" => {
                    k.when = list_of(Some(value));
                    continue;
                }
                "tags" => {
                    k.tags = self.tags(value);
                    continue;
                }
                "become" => &mut k.r#become,
                "become_user" => &mut k.become_user,
                "become_method" => &mut k.become_method,
                "become_flags" => &mut k.become_flags,
                "become_exe" => &mut k.become_exe,
                "connection" => &mut k.connection,
                "remote_user" => &mut k.remote_user,
                "port" => &mut k.port,
                "environment" => &mut k.environment,
                "no_log" => &mut k.no_log,
                "ignore_errors" => &mut k.ignore_errors,
                "ignore_unreachable" => &mut k.ignore_unreachable,
                "check_mode" => &mut k.check_mode,
                "diff" => &mut k.diff,
                "any_errors_fatal" => &mut k.any_errors_fatal,
                "run_once" => &mut k.run_once,
                "delegate_to" => &mut k.delegate_to,
                "delegate_facts" => &mut k.delegate_facts,
                "throttle" => &mut k.throttle,
                "timeout" => &mut k.timeout,
                "module_defaults" => &mut k.module_defaults,
                "collections" => &mut k.collections,
                _ => continue,
            };
            *slot = Some(value.clone());
        }
        k
    }

    fn vars(&mut self, value: &Node) -> Option<Node> {
        match &value.kind {
            Kind::Null => None,
            Kind::Map(entries) => {
                for (key, _) in entries {
                    let text = key.key_text();
                    if !is_name(&text) {
                        self.error(
                            format!("Invalid variable name in vars specified: '{text}' is not a valid variable name"),
                            &key.place,
                        );
                    }
                }
                Some(value.clone())
            }
            Kind::Seq(maps) if maps.iter().all(|m| matches!(m.kind, Kind::Map(_))) => {
                let entries = maps.iter().flat_map(|m| m.entries().iter().cloned()).collect();
                Some(Node::new(Kind::Map(entries), value.place.clone()))
            }
            _ => {
                self.error("Vars in a Play, Block or Task must be specified as a dictionary.", &value.place);
                None
            }
        }
    }

    fn tags(&mut self, value: &Node) -> Vec<Node> {
        let mut tags = vec![];
        for node in list_of(Some(value)) {
            match node.as_str() {
                Some(text) if !node.is_template() => {
                    tags.extend(
                        text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(|t| Node::data(t, &node.place)),
                    );
                }
                _ if matches!(node.kind, Kind::Map(_)) => self.error("tags must be specified as a list", &node.place),
                _ => tags.push(node),
            }
        }
        tags
    }
}

/// Modules whose value is text of their own, never all arguments as one template.
fn takes_text(module: &str) -> bool {
    let short = module.rsplit('.').next().unwrap_or(module);
    arguments::is_command(module)
        || matches!(short, "include_tasks" | "import_tasks" | "include_vars" | "meta" | "include_role" | "import_role")
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
