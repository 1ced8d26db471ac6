//! Files and roles that tasks bring in while a play runs.

use std::sync::{Arc, PoisonError};

use super::event::{Event, TaskInfo};
use super::flow::Include;
use super::handlers::Handler;
use super::host::Host;
use super::play::{PlayRun, Section};
use super::result::TaskEnd;
use super::task::Ran;
use crate::language::{Frame, FrameKind, Item, Keywords, Role, Task};
use crate::text::{Diagnostic, Node};

impl PlayRun {
    /// Loads what a task includes and runs it on the hosts that do.
    pub(super) async fn include(
        self: &Arc<Self>,
        task: &Arc<Task>,
        info: &TaskInfo,
        include: Include,
        hosts: &[Arc<Host>],
        section: Section,
    ) {
        self.run.events.emit(Event::Included {
            task: info.clone(),
            file: include.shown(),
            hosts: hosts.iter().map(|h| h.name.to_string()).collect(),
            item: include.label.clone(),
        });
        match self.load(task, &include) {
            Ok(Loaded { items, handlers, role }) => {
                if let Some(role) = role {
                    self.vars.export(&role);
                }
                self.add_handlers(&handlers);
                self.items(&items, hosts, section).await;
            }
            Err(errors) => {
                for host in hosts {
                    let mut ran = Ran { end: include_error(&errors), ..Ran::default() };
                    let scope = self.scope(task, host);
                    // It was counted as run when it named its file.
                    self.run.count(host, |c| c.ok = c.ok.saturating_sub(1));
                    ran.ignored = self.flag_of(task, host, |k| k.ignore_errors.as_ref());
                    self.finish(task, info, host, &scope, &mut ran, section, std::time::Duration::ZERO);
                }
            }
        }
    }

    fn load(&self, task: &Arc<Task>, include: &Include) -> Result<Loaded, Vec<Diagnostic>> {
        let frame = include_frame(task, include);
        match &include.what {
            super::flow::What::Tasks(path) => {
                let items = self.run.loader.tasks(path, &frame)?;
                Ok(Loaded { items, handlers: vec![], role: None })
            }
            super::flow::What::Role(role, public) => {
                let loaded = self.run.loader.role(role, &frame)?;
                Ok(Loaded {
                    items: vec![Item::Block(loaded.block)],
                    handlers: loaded.handlers,
                    role: public.then_some(loaded.role),
                })
            }
        }
    }

    fn add_handlers(&self, items: &[Item]) {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        Handler::collect(items, &mut handlers);
    }
}

struct Loaded {
    items: Vec<Item>,
    handlers: Vec<Item>,
    role: Option<Arc<Role>>,
}

fn include_error(errors: &[Diagnostic]) -> TaskEnd {
    let mut end = match errors.first() {
        Some(error) => TaskEnd::error(error.clone()),
        None => TaskEnd::error(Diagnostic::plain("nothing was included")),
    };
    let reason: Vec<String> = errors.iter().map(|e| e.message.clone()).collect();
    end.result.insert("reason".into(), reason.join("; ").into());
    end
}

/// The frame of what is included: the include's own keywords do not hold there, but its `vars` and loop variables do.
fn include_frame(task: &Arc<Task>, include: &Include) -> Arc<Frame> {
    let outer = task.frame.parent.clone();
    let level = |kind: FrameKind, keywords: Keywords, parent: Option<Arc<Frame>>| {
        Arc::new(Frame { kind, keywords, role: task.frame.role.clone(), file: task.frame.file.clone(), parent })
    };
    let frame = match &include.apply {
        Some(apply) => Some(level(FrameKind::Block, (**apply).clone(), outer)),
        None => outer,
    };
    // Loop variables stand nearer than `vars`, which may refer to them.
    let own = Keywords { vars: task.frame.keywords.vars.clone(), ..Keywords::default() };
    let frame = level(FrameKind::Include, own, frame);
    let place = &task.place;
    let mut entries = vec![];
    for (name, value) in &include.vars {
        entries.push((Node::data(name.clone(), place), Node::from_json(value, place)));
    }
    if entries.is_empty() {
        return frame;
    }
    let vars = Node::new(crate::text::Kind::Map(entries), place.clone());
    level(FrameKind::Include, Keywords { vars: Some(vars), ..Keywords::default() }, Some(frame))
}
