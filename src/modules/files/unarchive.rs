//! `unarchive`: what an archive holds, unpacked.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::attributes::{ATTRS, Mode};
use crate::host::script::{Script, quote_all};
use crate::modules::contract::{Applied, Apply, Check, Context, DRIFT, HostModule, Outcome, Verdict};
use crate::modules::guarded::{Said, failed_reply, variables, yes};

/// Unpacks a tar archive (compressed by any program that the host's `tar` knows) or a zip file.
///
/// The archive is of this machine, unless `remote_src` says otherwise. A tar archive is compared with what is there and unpacked only
/// where that differs.
///
/// ```yaml
/// - unarchive:
///     src: foo.tgz
///     dest: /var/lib/foo
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Unarchive {
    /// The archive.
    src: String,
    /// The directory, which must exist.
    dest: String,
    /// The archive is on the host.
    #[serde(default)]
    remote_src: bool,
    /// The other way of saying it.
    #[serde(default)]
    copy: Option<bool>,
    /// Don't unpack if this path exists.
    #[serde(default)]
    creates: Option<String>,
    /// More arguments for `tar` or `unzip`.
    #[serde(default)]
    extra_opts: Vec<String>,
    /// Paths of the archive that are left out.
    #[serde(default)]
    exclude: Vec<String>,
    /// Only these paths of the archive.
    #[serde(default)]
    include: Vec<String>,
    /// Keep files that are newer.
    #[serde(default)]
    keep_newer: bool,
    /// List what the archive holds in the result.
    #[serde(default)]
    list_files: bool,
    /// Owner of what is unpacked.
    #[serde(default)]
    owner: Option<String>,
    /// Group of what is unpacked.
    #[serde(default)]
    group: Option<String>,
    /// Mode of what is unpacked.
    #[serde(default)]
    mode: Option<Mode>,
    /// Decrypt a vaulted archive; always done where it is one.
    #[serde(default = "yes")]
    decrypt: bool,
    /// For URLs; they are not supported here.
    #[serde(default = "yes")]
    validate_certs: bool,
}

/// Unpacks `a` into `p`.
const UNPACK: &str = r#"[ -d "$p" ] || crud_fail "dest '$p' must be an existing dir"
[ -f "$a" ] || crud_fail "Source '$a' does not exist"
case $n in *.zip|*.jar|*.war|*.ear|*.ZIP) k=zip;; *) k=tar;; esac
if [ $k = zip ]; then command -v unzip >/dev/null || crud_fail 'the host has no unzip'
 unzip -Z1 "$a" >/dev/null 2>&1 || crud_fail "Failed to find handler for '$a'. Make sure the required command to extract the file is installed."
else tar -tf "$a" >/dev/null 2>&1 || crud_fail "Failed to find handler for '$a'. Make sure the required command to extract the file is installed."; fi
crud_zip_same() { unzip -Z1 "$a" | { while IFS= read -r f; do case $f in */) [ -d "$p/$f" ] || exit 1;; *) [ -f "$p/$f" ] && unzip -p "$a" "$f" | cmp -s - "$p/$f" || exit 1;; esac; done; exit 0; }; }
crud_tar_same() { d=$(eval tar -df '"$a"' -C '"$p"' "$x" 2>&1) ; s=$?; [ $s = 0 ] && return 0
 d=$(printf '%s\n' "$d" | grep -v -e 'Uid differs' -e 'Gid differs' -e 'Mode differs' -e 'Mod time differs'); [ -z "$d" ]; }
crud_unpack() { if [ $k = zip ]; then eval unzip -o -q '"$a"' -d '"$p"' "$x"; else eval tar -xf '"$a"' -C '"$p"' "$x"; fi >/dev/null; }
if [ $k = zip ]; then crud_zip_same || crud_do crud_unpack; else crud_tar_same || crud_do crud_unpack; fi
if [ -n "$o$g$m" ]; then
 if [ $k = zip ]; then unzip -Z1 "$a"; else tar -tf "$a"; fi | { while IFS= read -r f; do crud_attrs "$p/${f%/}" "$o" "$g" "$m"; done; [ -z "$crud_ch" ]; } || crud_ch=1
fi
crud_say dest "$p"; crud_say handler "$k"
"#;

impl Unarchive {
    fn local(&self) -> bool {
        !self.remote_src && self.copy != Some(false)
    }

    fn script(&self, cx: &Context, act: bool) -> anyhow::Result<Script> {
        let _ = (self.decrypt, self.validate_certs);
        anyhow::ensure!(!self.src.contains("://"), "URLs are not supported: fetch the archive with `get_url`");
        let mut script = Script::default().function(&ATTRS);
        script.line(if act {
            "do=1"
        } else if cx.check_mode {
            "do=c"
        } else {
            "do="
        });
        if let Some(path) = &self.creates {
            script.line(format!("[ ! -e {} ] || crud_end", crate::host::script::quote_path(path)));
        }
        let mut extra = self.extra_opts.clone();
        extra.extend(self.exclude.iter().map(|e| format!("--exclude={e}")));
        if self.keep_newer {
            extra.push("--keep-newer-files".into());
        }
        let options = format!("{} {}", quote_all(&extra), quote_all(&self.include));
        let line = variables(&[
            ("p", Some(&self.dest)),
            ("n", Some(&self.src)),
            ("x", Some(options.trim())),
            ("o", self.owner.as_deref()),
            ("g", self.group.as_deref()),
            ("m", self.mode.as_ref().map(Mode::as_str)),
        ]);
        script.line(line);
        if self.local() {
            let path = cx.find_file("files", &self.src)?;
            let bytes = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
            let file = script.upload(bytes);
            script.line(format!("a={file}"));
        } else {
            script.line("a=$n");
        }
        script.text.push_str(UNPACK);
        if self.list_files {
            script.line("if [ $k = zip ]; then unzip -Z1 \"$a\"; else tar -tf \"$a\"; fi | sed 's/^/@@f /'");
        }
        script.line("crud_end");
        Ok(script)
    }

    fn outcome(&self, said: &Said) -> Outcome {
        let mut outcome = Outcome { values: said.values.clone(), ..Outcome::default() };
        outcome.changed = outcome.values.shift_remove("changed").is_some_and(|c| c == true);
        outcome.values.insert("src".into(), self.src.as_str().into());
        if self.list_files {
            let files: Vec<String> =
                said.rest.lines().filter_map(|l| l.strip_prefix("@@f ")).map(str::to_owned).collect();
            outcome.values.insert("files".into(), files.into());
        }
        outcome
    }

    fn copy_of(&self) -> Self {
        Self {
            src: self.src.clone(),
            dest: self.dest.clone(),
            creates: self.creates.clone(),
            extra_opts: self.extra_opts.clone(),
            exclude: self.exclude.clone(),
            include: self.include.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode.clone(),
            ..*self
        }
    }
}

impl HostModule for Unarchive {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        // The archive is needed to compare: it is sent once a session.
        let own = self.copy_of();
        Ok(Check::ask(self.script(cx, false)?, move |reply| {
            let said = Said::of(reply, false);
            Ok(match reply.status {
                0 => Verdict::Converged(own.outcome(&said)),
                DRIFT => Verdict::Drift { drift: (), outcome: own.outcome(&said) },
                _ => Verdict::Failed(failed_reply(reply, &said)),
            })
        }))
    }

    fn apply(&self, (): (), cx: &Context) -> anyhow::Result<Apply> {
        let own = self.copy_of();
        Ok(Apply::new(self.script(cx, true)?, move |reply| {
            let said = Said::of(reply, true);
            Ok(Applied::Done(if reply.status == 0 { own.outcome(&said) } else { failed_reply(reply, &said) }))
        }))
    }
}
