//! `fetch`: a file of the host to this machine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use sha1::{Digest as _, Sha1};

use crate::host::script::{Script, hex, quote_path};
use crate::modules::contract::{ASK, Applied, Apply, Check, Context, HostModule, Outcome, Verdict};
use crate::modules::guarded::yes;

/// Copies a file of the host to this machine, into `DEST/HOST/PATH`.
///
/// ```yaml
/// - fetch:
///     src: /tmp/somefile
///     dest: /tmp/fetched
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    /// The file on the host.
    src: String,
    /// The directory on this machine (with `flat`, the file; a directory where it ends with `/`).
    dest: String,
    /// Don't add the host's name and the path.
    #[serde(default)]
    flat: bool,
    /// Fail where the file is missing.
    #[serde(default = "yes")]
    fail_on_missing: bool,
    /// Compare the copy's hash; always done.
    #[serde(default = "yes")]
    validate_checksum: bool,
}

impl Fetch {
    fn target(&self, cx: &Context) -> PathBuf {
        let base = crate::language::template::filters::expanduser(&self.dest);
        let name = Path::new(&self.src).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let target = if !self.flat {
            PathBuf::from(base).join(&*cx.host).join(self.src.trim_start_matches('/'))
        } else if base.ends_with('/') {
            PathBuf::from(base).join(name)
        } else {
            PathBuf::from(base)
        };
        if target.is_absolute() {
            return target;
        }
        // Relative to the playbook, as Ansible has it.
        cx.search.last().map_or_else(|| target.clone(), |dir| dir.join(&target))
    }
}

/// A file to write here.
pub(super) struct Fetched {
    bytes: Vec<u8>,
    target: PathBuf,
}

impl HostModule for Fetch {
    type Drift = Fetched;

    fn check(&self, cx: &Context) -> anyhow::Result<Check<Fetched>> {
        let _ = self.validate_checksum;
        anyhow::ensure!(!self.src.contains("/../") && !self.src.ends_with("/.."), "`src` must not go up by `..`");
        let path = quote_path(&self.src);
        let mut script = Script::default();
        script.line(format!("p={path}; [ -e \"$p\" ] || exit 3; [ ! -d \"$p\" ] || exit 4; [ -r \"$p\" ] || exit 5; cat -- \"$p\" && exit {ASK}"));
        let (target, src, lenient) = (self.target(cx), self.src.clone(), !self.fail_on_missing);
        Ok(Check::ask(script, move |reply| {
            Ok(match reply.status {
                ASK => {
                    let sum = hex(&Sha1::digest(&reply.stdout));
                    let outcome = Outcome::ok()
                        .with("checksum", sum.as_str())
                        .with("remote_checksum", sum.as_str())
                        .with("file", src)
                        .with("dest", target.display().to_string());
                    if std::fs::read(&target).is_ok_and(|old| old == reply.stdout) {
                        Verdict::Converged(outcome)
                    } else {
                        Verdict::Drift { drift: Fetched { bytes: reply.stdout.clone(), target }, outcome }
                    }
                }
                3 if lenient => Verdict::Converged(
                    Outcome::ok()
                        .with("file", src)
                        .message("the remote file does not exist, not transferring, ignored"),
                ),
                3 => Verdict::failed("the remote file does not exist"),
                4 => Verdict::failed("remote file is a directory, fetch cannot work on directories"),
                5 => Verdict::failed("remote file is not readable"),
                _ => Verdict::failed(reply.failure("could not read the file").to_string()),
            })
        }))
    }

    fn apply(&self, drift: Fetched, _: &Context) -> anyhow::Result<Apply> {
        // The host has nothing more to do; the file is written when its (empty) answer comes.
        Ok(Apply::new(Script::new("exit 0"), move |_| {
            if let Some(dir) = drift.target.parent() {
                std::fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
            }
            std::fs::write(&drift.target, &drift.bytes)
                .with_context(|| format!("could not write {}", drift.target.display()))?;
            Ok(Applied::Done(Outcome::changed()))
        }))
    }
}
