//! Edits of text files that only this side can decide (Python's regular expressions): the content is read, edited here, and put back.

use super::attributes::Mode;
use super::content::Content;
use crate::host::script::{Script, quote_path};
use crate::modules::contract::{ASK, Check, Context, DRIFT, Outcome, Verdict};

/// What edits share.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) owner: Option<String>,
    pub(super) group: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) create: bool,
    pub(super) backup: bool,
    pub(super) validate: Option<String>,
}

/// What an edit made of a text: the new text and the message, where it changed.
pub(super) struct Edited {
    pub(super) text: String,
    pub(super) changed: bool,
    pub(super) msg: String,
    /// More values for the result.
    pub(super) values: Vec<(&'static str, serde_json::Value)>,
}

impl Edited {
    /// Nothing changed.
    pub(super) fn same(text: String) -> Self {
        Self { text, changed: false, msg: String::new(), values: vec![] }
    }
}

/// An edit: of a text (none where the file is missing).
pub(super) type Edit = Box<dyn FnOnce(Option<String>) -> anyhow::Result<Edited> + Send>;

/// Reads the file and edits its text. The drift is the content that is to be put.
pub(super) fn check(target: &Target, edit: Edit, cx: &Context) -> Check<Content> {
    let path = quote_path(&target.path);
    let mut script = Script::default();
    script.line(format!("p={path}; [ ! -d \"$p\" ] || {{ echo \"Path $p is a directory !\" >&2; exit 1; }}"));
    script.line(format!("[ -e \"$p\" ] || exit 3; cat -- \"$p\" && exit {ASK}"));
    let target = target.clone();
    let attributes = target.owner.is_some() || target.group.is_some() || target.mode.is_some();
    let show = cx.diff;
    Check::ask(script, move |reply| {
        let text = match reply.status {
            3 if target.create => None,
            3 => {
                return Ok(Verdict::Failed(
                    Outcome::failed(format!("Destination {} does not exist !", target.path)).with("rc", 257),
                ));
            }
            ASK => Some(String::from_utf8_lossy(&reply.stdout).into_owned()),
            _ => return Ok(Verdict::failed(reply.failure("could not read the file").to_string())),
        };
        let missing = text.is_none();
        let edited = edit(text)?;
        let mut outcome = Outcome::ok().message(edited.msg.clone());
        for (name, value) in edited.values {
            outcome.values.insert(name.to_owned(), value);
        }
        if !edited.changed && (!attributes || missing) {
            return Ok(Verdict::Converged(outcome));
        }
        let content = Content {
            bytes: edited.text.into_bytes().into(),
            dest: target.path.clone(),
            owner: target.owner.clone(),
            group: target.group.clone(),
            mode: target.mode.as_ref().map(|m| m.as_str().to_owned()),
            backup: target.backup,
            validate: target.validate.clone(),
            follow: true,
            before: show.then(|| reply.stdout.clone()),
            msg: Some(edited.msg),
            ..Content::default()
        };
        if show && edited.changed {
            outcome.diff.push(crate::modules::Diff {
                before_header: target.path.clone(),
                after_header: target.path.clone(),
                before: reply.out(),
                after: String::from_utf8_lossy(&content.bytes).into_owned(),
            });
        }
        debug_assert_ne!(reply.status, DRIFT);
        Ok(Verdict::Drift { drift: content, outcome })
    })
}
