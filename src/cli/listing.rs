//! `--list-hosts`, `--list-tasks`, `--list-tags`: what would run where, in Ansible's form.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::args::Selection;
use super::static_scope;
use crate::engine::{Setup, tags};
use crate::language::{Frame, Item, Play, Playbook, Task};
use crate::text::{Diagnostic, Kind, Node};

/// The lists of a playbook.
pub fn playbook(playbook: &Playbook, name: &str, setup: &Setup, selection: &Selection) -> Result<String, Diagnostic> {
    let (inventory, limit) = (&setup.inventory, setup.options.limit.as_deref());
    let values = static_scope::values(&setup.templar, &setup.options.extra_vars, &setup.vault);
    let all_tags = |frame: &Arc<Frame>| tags::of(frame, |tag| values(tag, frame));
    let mut out = format!("\nplaybook: {name}\n");
    for (number, play) in playbook.plays.iter().enumerate() {
        let patterns = patterns(&play.hosts);
        let title = play.frame.keywords.name.as_ref().map_or_else(|| patterns.join(","), text);
        let play_tags = all_tags(&play.frame);
        out.push_str(&format!(
            "\n  play #{} ({}): {title}\tTAGS: [{}]\n",
            number + 1,
            patterns.join(","),
            play_tags.iter().cloned().collect::<Vec<_>>().join(",")
        ));
        if selection.list_hosts {
            let mut hosts = inventory.matching(&patterns.join(","))?;
            if let Some(limit) = limit {
                let limited = inventory.matching(limit)?;
                hosts.retain(|host| limited.contains(host));
            }
            let quoted: Vec<String> = patterns.iter().map(|pattern| format!("'{pattern}'")).collect();
            out.push_str(&format!("    pattern: [{}]\n    hosts ({}):\n", quoted.join(", "), hosts.len()));
            for host in hosts {
                out.push_str(&format!("      {host}\n"));
            }
        }
        if selection.list_tasks || selection.list_tags {
            out.push_str(&tasks(play, &play_tags, selection, &all_tags));
        }
    }
    Ok(out)
}

fn tasks(
    play: &Play,
    play_tags: &BTreeSet<String>,
    selection: &Selection,
    all_tags: &dyn Fn(&Arc<Frame>) -> BTreeSet<String>,
) -> String {
    let mut out = String::new();
    if selection.list_tasks {
        out.push_str("    tasks:\n");
    }
    let mut seen = play_tags.clone();
    let (only, skip) = (selection.tags(), selection.skip_tags());
    for task in all_tasks(play) {
        let tags = all_tags(&task.frame);
        if !tags::selected(&tags, &only, &skip) {
            continue;
        }
        if selection.list_tasks {
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            out.push_str(&format!("      {}\tTAGS: [{}]\n", name(task), tags.join(", ")));
        }
        seen.extend(tags);
    }
    if selection.list_tags {
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        out.push_str(&format!("      TASK TAGS: [{}]\n", seen.join(", ")));
    }
    out
}

/// A play's tasks in the order in which they run, handlers left out.
fn all_tasks(play: &Play) -> Vec<&Task> {
    let mut out = vec![];
    for items in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
        collect(items, &mut out);
    }
    out
}

fn collect<'a>(items: &'a [Item], out: &mut Vec<&'a Task>) {
    for item in items {
        match item {
            Item::Task(task) => out.push(task),
            Item::Block(block) => {
                for part in [&block.tasks, &block.rescue, &block.always] {
                    collect(part, out);
                }
            }
        }
    }
}

fn name(task: &Task) -> String {
    let own = task.frame.keywords.name.as_ref().map_or_else(|| text(&task.action.name), text);
    match &task.frame.role {
        Some(role) => format!("{} : {own}", role.name),
        None => own,
    }
}

fn patterns(hosts: &Node) -> Vec<String> {
    match &hosts.kind {
        Kind::Seq(items) => items.iter().map(text).collect(),
        _ => vec![text(hosts)],
    }
}

fn text(node: &Node) -> String {
    node.as_str().map_or_else(|| node.key_text(), str::to_owned)
}
