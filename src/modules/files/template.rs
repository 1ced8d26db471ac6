//! `template`: a template of this machine, rendered, to the host.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::attributes::Mode;
use super::content::Content;
use crate::modules::contract::{Apply, Check, Context, HostModule};
use crate::modules::guarded::yes;

/// Renders a template and puts the result on the host.
///
/// Besides all variables it sees `template_host`, `template_path`, `template_fullpath`, `template_destpath`, `template_uid`.
///
/// ```yaml
/// - template:
///     src: nginx.conf.j2
///     dest: /etc/nginx/nginx.conf
///     validate: nginx -t -c %s
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Template {
    /// The template, looked up in `templates/` of the role and of the playbook.
    src: String,
    /// Where to, on the host.
    dest: String,
    /// Replace a file that differs; `no`: only make a missing one.
    #[serde(default = "yes")]
    force: bool,
    /// Keep a copy of the file that is replaced.
    #[serde(default)]
    backup: bool,
    /// A command that must accept the new file, `%s` in it.
    #[serde(default)]
    validate: Option<String>,
    /// Owner.
    #[serde(default)]
    owner: Option<String>,
    /// Group.
    #[serde(default)]
    group: Option<String>,
    /// Mode; `preserve`: that of `src`.
    #[serde(default)]
    mode: Option<Mode>,
    /// Write through a link at `dest`.
    #[serde(default)]
    follow: bool,
    /// What ends a line.
    #[serde(default)]
    newline_sequence: Option<String>,
    /// Where a block begins, instead of `{%`.
    #[serde(default)]
    block_start_string: Option<String>,
    /// Where a block ends, instead of `%}`.
    #[serde(default)]
    block_end_string: Option<String>,
    /// Where an expression begins, instead of `{{`.
    #[serde(default)]
    variable_start_string: Option<String>,
    /// Where an expression ends, instead of `}}`.
    #[serde(default)]
    variable_end_string: Option<String>,
    /// Where a comment begins, instead of `{#`.
    #[serde(default)]
    comment_start_string: Option<String>,
    /// Where a comment ends, instead of `#}`.
    #[serde(default)]
    comment_end_string: Option<String>,
    /// Drop the newline behind a block.
    #[serde(default = "yes")]
    trim_blocks: bool,
    /// Drop blanks before a block.
    #[serde(default)]
    lstrip_blocks: bool,
    /// Encoding of the result; only `utf-8` is supported.
    #[serde(default)]
    output_encoding: Option<String>,
    /// Not needed: files are replaced atomically.
    #[serde(default)]
    unsafe_writes: bool,
}

impl Template {
    fn content(&self, cx: &Context) -> anyhow::Result<Content> {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = self.unsafe_writes;
        let encoding = self.output_encoding.as_deref().unwrap_or("utf-8");
        anyhow::ensure!(encoding.eq_ignore_ascii_case("utf-8"), "the output encoding `{encoding}` is not supported");
        let newline = self.newline_sequence.as_deref().map(|n| n.replace("\\r", "\r").replace("\\n", "\n"));
        if let Some(newline) = &newline {
            anyhow::ensure!(
                matches!(newline.as_str(), "\n" | "\r" | "\r\n"),
                "newline_sequence needs to be one of: \\n, \\r or \\r\\n"
            );
        }
        if let Some(validate) = &self.validate {
            anyhow::ensure!(validate.contains("%s"), "validate must contain %s: {validate}");
        }
        let path = cx.find_file("templates", &self.src)?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let mut options = Map::new();
        let mut put = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                options.insert(name.to_owned(), Value::from(value.as_str()));
            }
        };
        put("newline_sequence", newline.as_ref());
        put("block_start_string", self.block_start_string.as_ref());
        put("block_end_string", self.block_end_string.as_ref());
        put("variable_start_string", self.variable_start_string.as_ref());
        put("variable_end_string", self.variable_end_string.as_ref());
        put("comment_start_string", self.comment_start_string.as_ref());
        put("comment_end_string", self.comment_end_string.as_ref());
        put("dest", Some(&self.dest));
        options.insert("trim_blocks".into(), self.trim_blocks.into());
        options.insert("lstrip_blocks".into(), self.lstrip_blocks.into());
        let rendered = cx.templates.render(&path, &text, &options)?;
        let mode = match self.mode.as_ref().map(Mode::as_str) {
            Some("preserve") => Some(format!("{:04o}", path.metadata()?.permissions().mode() & 0o7777)),
            other => other.map(str::to_owned),
        };
        let name = path.file_name().map(|n| n.to_string_lossy().trim_end_matches(".j2").to_owned());
        Ok(Content {
            bytes: rendered.into_bytes().into(),
            dest: self.dest.clone(),
            name,
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode,
            only_if_missing: !self.force,
            backup: self.backup,
            validate: self.validate.clone(),
            follow: self.follow,
            before: None,
            msg: None,
        })
    }
}

impl HostModule for Template {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(self.content(cx)?.check(cx))
    }

    fn apply(&self, (): (), cx: &Context) -> anyhow::Result<Apply> {
        Ok(self.content(cx)?.apply())
    }
}
