//! Which keys are keywords, and the keywords that plays, blocks and tasks share.

use super::{Reader, is_name, list_of};
use crate::language::keywords::Keywords;
use crate::text::{Diagnostic, Kind, Node, Place, did_you_mean};

/// Keywords that all levels have.
pub(super) const COMMON: &[&str] = &[
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
pub(super) const TASK: &[&str] = &[
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
pub(super) const BLOCK: &[&str] = &["block", "rescue", "always", "notify"];
pub(super) const PLAY: &[&str] = &[
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
pub(super) const LOOP_CONTROL: &[&str] =
    &["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];
/// Keys of a role's use that are no parameters.
pub(super) const ROLE: &[&str] = &["role", "name"];

impl Reader<'_> {
    pub(super) fn unknown<'b>(&mut self, key: &str, of: &str, names: impl IntoIterator<Item = &'b str>, place: &Place) {
        let error = Diagnostic::error(format!("'{key}' is not a valid attribute for a {of}"), place);
        self.errors.push(match did_you_mean(key, names) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => error,
        });
    }

    /// The common keywords of a mapping; `more` are keys that belong to it besides.
    pub(in crate::language) fn keywords(&mut self, node: &Node, more: &[&str], of: &str) -> Keywords {
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

    pub(super) fn vars(&mut self, value: &Node) -> Option<Node> {
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

    pub(super) fn tags(&mut self, value: &Node) -> Vec<Node> {
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
