//! `copy`: files and directories of this machine (or of the host) to the host.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::attributes::{ATTRS, Mode, PUT};
use super::content::Content;
use crate::host::script::{Script, quote, quote_path};
use crate::modules::contract::{Applied, Apply, Check, Context, DRIFT, HostModule, Outcome, Verdict};
use crate::modules::guarded::{Said, failed_reply, variables, yes};

/// Copies files to the host.
///
/// A directory is copied with its name, unless `src` ends with `/`: then only what is in it. Content is sent only where it differs.
///
/// ```yaml
/// - copy:
///     src: /srv/myfiles/foo.conf
///     dest: /etc/foo.conf
///     owner: foo
///     mode: '0644'
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Copy {
    /// A file or directory, looked up in `files/` of the role and of the playbook.
    #[serde(default)]
    src: Option<String>,
    /// The content itself; mappings and lists become JSON.
    #[serde(default)]
    content: Option<Value>,
    /// Where to, on the host.
    dest: String,
    /// `src` is a path of the host.
    #[serde(default)]
    remote_src: bool,
    /// Replace a file that differs; `no`: only make a missing one.
    #[serde(default = "yes", alias = "thirsty")]
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
    /// Mode of directories that are made.
    #[serde(default)]
    directory_mode: Option<Mode>,
    /// Write through a link at `dest`.
    #[serde(default)]
    follow: bool,
    /// Copy what links in `src` point to.
    #[serde(default = "yes")]
    local_follow: bool,
    /// SHA-1 that the copied file must have.
    #[serde(default)]
    checksum: Option<String>,
    /// Decrypt vaulted files; always done by lookups, here refused to be switched off.
    #[serde(default = "yes")]
    decrypt: bool,
    /// Not supported: SELinux attributes.
    #[serde(default)]
    attributes: Option<String>,
    /// Not needed: files are replaced atomically.
    #[serde(default)]
    unsafe_writes: bool,
}

/// What is to be copied.
enum Plan {
    One(Box<Content>),
    /// Several files and directories.
    Tree(Vec<Node>),
    /// On the host itself.
    Remote(String),
}

#[derive(Clone)]
enum Node {
    Directory(String),
    File(Box<Content>),
    Link(String, String),
}

impl Copy {
    fn content(&self, bytes: Vec<u8>, dest: &str, name: Option<String>, mode: Option<String>) -> Content {
        Content {
            bytes: bytes.into(),
            dest: dest.to_owned(),
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
        }
    }

    fn mode_of(&self, path: &Path) -> anyhow::Result<Option<String>> {
        use std::os::unix::fs::PermissionsExt as _;
        match self.mode.as_ref().map(Mode::as_str) {
            Some("preserve") => Ok(Some(format!("{:04o}", path.metadata()?.permissions().mode() & 0o7777))),
            other => Ok(other.map(str::to_owned)),
        }
    }

    fn plan(&self, cx: &Context) -> anyhow::Result<Plan> {
        anyhow::ensure!(self.attributes.is_none(), "`attributes` is not supported");
        if let Some(validate) = &self.validate {
            anyhow::ensure!(validate.contains("%s"), "validate must contain %s: {validate}");
        }
        let _ = (self.decrypt, self.unsafe_writes);
        match (&self.src, &self.content) {
            (Some(_), Some(_)) => anyhow::bail!("src and content are mutually exclusive"),
            (None, None) => anyhow::bail!("src (or content) is required"),
            (None, Some(content)) => {
                anyhow::ensure!(!self.dest.ends_with('/'), "can not use content with a dir as dest");
                let text = match content {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    Value::Bool(flag) => {
                        if *flag {
                            "True".into()
                        } else {
                            "False".into()
                        }
                    }
                    other => crate::text::python::dumps(other, None),
                };
                let mode = self.mode.as_ref().map(|m| m.as_str().to_owned());
                anyhow::ensure!(mode.as_deref() != Some("preserve"), "`mode: preserve` needs `src`");
                Ok(Plan::One(Box::new(self.content(text.into_bytes(), &self.dest, None, mode))))
            }
            (Some(src), None) if self.remote_src => Ok(Plan::Remote(src.clone())),
            (Some(src), None) => {
                let path = cx.find_file("files", src.trim_end_matches('/'))?;
                if path.is_dir() { self.tree(src, &path) } else { self.file(&path) }
            }
        }
    }

    fn file(&self, path: &Path) -> anyhow::Result<Plan> {
        let bytes = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        let content = self.content(bytes, &self.dest, name, self.mode_of(path)?);
        if let Some(wanted) = &self.checksum {
            use sha1::Digest as _;
            let found = crate::host::script::hex(&sha1::Sha1::digest(&content.bytes));
            anyhow::ensure!(found == *wanted, "Copied file does not match the expected checksum. Transfer failed.");
        }
        Ok(Plan::One(Box::new(content)))
    }

    fn tree(&self, src: &str, path: &Path) -> anyhow::Result<Plan> {
        let mut top = self.dest.trim_end_matches('/').to_owned();
        if top.is_empty() {
            top.push('/');
        }
        if !src.ends_with('/') {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            top = format!("{}/{name}", top.trim_end_matches('/'));
        }
        let mut nodes = vec![Node::Directory(top.clone())];
        self.walk(path, &top, &mut nodes)?;
        Ok(Plan::Tree(nodes))
    }

    fn walk(&self, dir: &Path, dest: &str, nodes: &mut Vec<Node>) -> anyhow::Result<()> {
        let mut names: Vec<PathBuf> = std::fs::read_dir(dir)
            .with_context(|| format!("could not read {}", dir.display()))?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        names.sort();
        for path in names {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let to = format!("{}/{name}", dest.trim_end_matches('/'));
            if path.is_symlink() && !self.local_follow {
                nodes.push(Node::Link(to, std::fs::read_link(&path)?.to_string_lossy().into_owned()));
            } else if path.is_dir() {
                nodes.push(Node::Directory(to.clone()));
                self.walk(&path, &to, nodes)?;
            } else {
                let bytes = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
                nodes.push(Node::File(Box::new(self.content(bytes, &to, None, self.mode_of(&path)?))));
            }
        }
        Ok(())
    }

    /// Directories and links first, then each file: looked at, or brought about.
    fn tree_script(&self, nodes: &[Node], act: bool, check_mode: bool) -> Script {
        let mut script = Script::default().function(&PUT);
        if act {
            script.line("do=1");
        } else if check_mode {
            script.line("do=c");
        }
        let mode = self.directory_mode.as_ref().map(Mode::as_str).unwrap_or_default();
        let (owner, group) = (self.owner.as_deref().unwrap_or_default(), self.group.as_deref().unwrap_or_default());
        for node in nodes {
            match node {
                Node::Directory(path) => {
                    let word = quote_path(path);
                    script.line(format!("[ -d {word} ] || crud_do mkdir -p -- {word}"));
                    script.line(format!("crud_attrs {word} {} {} {}", quote(owner), quote(group), quote(mode)));
                }
                Node::Link(path, target) => {
                    let (path, target) = (quote_path(path), quote(target));
                    script.line(format!(
                        "[ \"$(readlink -- {path})\" = {target} ] || crud_do ln -sfn -- {target} {path}"
                    ));
                }
                Node::File(content) => {
                    let mut text = String::new();
                    if act {
                        let file = script.upload(std::sync::Arc::clone(&content.bytes));
                        text.push_str(&format!("c={file}; "));
                    }
                    text.push_str(&content.call_only());
                    script.line(format!("{text}crud_put >/dev/null"));
                }
            }
        }
        script.line(format!("crud_what dest {}", quote_path(&self.dest)));
        script.line("crud_end");
        script
    }

    /// A copy on the host itself.
    fn remote_script(&self, src: &str, act: bool, check_mode: bool) -> Script {
        let mut script = Script::default().function(&ATTRS);
        script.line(if act {
            "do=1"
        } else if check_mode {
            "do=c"
        } else {
            "do="
        });
        let line = variables(&[
            ("src", Some(src)),
            ("p", Some(&self.dest)),
            ("o", self.owner.as_deref()),
            ("g", self.group.as_deref()),
            ("m", self.mode.as_ref().map(Mode::as_str)),
            ("dm", self.directory_mode.as_ref().map(Mode::as_str)),
            ("force", (!self.force).then_some("no")),
            ("bk", self.backup.then_some("1")),
        ]);
        script.line(line);
        script.text.push_str(REMOTE);
        script
    }
}

/// The copy of a file (or a tree) on the host.
const REMOTE: &str = r#"[ -e "$src" ] || crud_fail "Source $src not found"
crud_same() { if [ -d "$1" ]; then diff -rq -- "$1" "$2" >/dev/null 2>&1; else cmp -s -- "$1" "$2"; fi; }
crud_over() {
if [ -n "$bk" ] && [ -f "$p" ]; then b=$p.$$.$(date +%Y-%m-%d@%H:%M:%S)~; cp -p -- "$p" "$b"; crud_say backup_file "$b"; fi
if [ -d "$src" ]; then mkdir -p -- "$p" && cp -R -- "$src"/. "$p"/
else t=$p.crud$$; cp -- "$src" "$t" && { [ ! -e "$p" ] || { chmod "$(stat -c %a -- "$p")" "$t"; chown "$(stat -c %u:%g -- "$p")" "$t" 2>/dev/null; }; mv -f -- "$t" "$p"; }; fi; }
if [ -d "$src" ]; then case $src in */) ;; *) [ ! -d "$p" ] || p=${p%/}/${src##*/};; esac; src=${src%/}
else case $p in */) [ -d "$p" ] || crud_do mkdir -p -- "$p"; p=${p%/}/${src##*/};; *) [ ! -d "$p" ] || p=$p/${src##*/};; esac; fi
[ "$m" != preserve ] || m=$(stat -c %a -- "$src")
if [ -d "$src" ] && [ -d "$p" ]; then
 (cd "$src" && find . -type f) | { r=0; while IFS= read -r f; do cmp -s -- "$src/$f" "$p/$f" || { r=1; break; }; done; exit $r; } || crud_do crud_over
else { [ -e "$p" ] && [ "$force" = no ]; } || crud_same "$src" "$p" || crud_do crud_over; fi
if [ -d "$p" ]; then crud_attrs "$p" "$o" "$g" "$dm"; else crud_attrs "$p" "$o" "$g" "$m"; fi
[ ! -f "$src" ] || crud_say checksum "$(sha1sum <"$src" | cut -d' ' -f1)"
crud_say src "$src"; crud_what dest "$p"; crud_end
"#;

fn guarded_check(script: Script) -> Check<()> {
    Check::ask(script, |reply| {
        let said = Said::of(reply, false);
        Ok(match reply.status {
            0 => Verdict::Converged(outcome(&said)),
            DRIFT => Verdict::Drift { drift: (), outcome: outcome(&said) },
            _ => Verdict::Failed(failed_reply(reply, &said)),
        })
    })
}

fn guarded_apply(script: Script) -> Apply {
    Apply::new(script, |reply| {
        let said = Said::of(reply, true);
        Ok(Applied::Done(if reply.status == 0 { outcome(&said) } else { failed_reply(reply, &said) }))
    })
}

fn outcome(said: &Said) -> Outcome {
    let mut outcome = Outcome { values: said.values.clone(), ..Outcome::default() };
    outcome.changed = outcome.values.shift_remove("changed").is_some_and(|c| c == true);
    outcome
}

impl HostModule for Copy {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(match self.plan(cx)? {
            Plan::One(content) => content.check(cx),
            Plan::Tree(nodes) => guarded_check(self.tree_script(&nodes, false, cx.check_mode)),
            Plan::Remote(src) => guarded_check(self.remote_script(&src, false, cx.check_mode)),
        })
    }

    fn apply(&self, (): (), cx: &Context) -> anyhow::Result<Apply> {
        Ok(match self.plan(cx)? {
            Plan::One(content) => content.apply(),
            Plan::Tree(nodes) => guarded_apply(self.tree_script(&nodes, true, false)),
            Plan::Remote(src) => guarded_apply(self.remote_script(&src, true, false)),
        })
    }
}
