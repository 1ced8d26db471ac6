//! `git`: a working tree of a repository.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, refuse, variables, yes};

/// Clones a repository on the host and keeps it at a version.
///
/// ```yaml
/// - git:
///     repo: https://git.example.org/team/app.git
///     dest: /srv/app
///     version: v1.2
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Git {
    /// The repository.
    #[serde(alias = "name")]
    repo: String,
    /// Where it is cloned to.
    #[serde(default)]
    dest: Option<String>,
    /// A branch, a tag, a commit, or the repository's `HEAD`.
    #[serde(default = "head")]
    version: String,
    /// Throw changes of the working tree away.
    #[serde(default)]
    force: bool,
    /// Clone where it is missing.
    #[serde(default = "yes")]
    clone: bool,
    /// Fetch new versions.
    #[serde(default = "yes")]
    update: bool,
    /// Without a working tree.
    #[serde(default)]
    bare: bool,
    /// How many commits of the history are fetched.
    #[serde(default)]
    depth: Option<u32>,
    /// The name of the remote.
    #[serde(default = "origin")]
    remote: String,
    /// A further refspec to fetch.
    #[serde(default)]
    refspec: Option<String>,
    /// A repository on the host whose objects are used.
    #[serde(default)]
    reference: Option<String>,
    /// Submodules too.
    #[serde(default = "yes")]
    recursive: bool,
    /// Submodules at the newest version of their branch.
    #[serde(default)]
    track_submodules: bool,
    /// Fetch this branch alone.
    #[serde(default)]
    single_branch: bool,
    /// Accept the server's key, whatever it is.
    #[serde(default)]
    accept_hostkey: bool,
    /// Accept the server's key if it is new.
    #[serde(default)]
    accept_newhostkey: bool,
    /// Options of ssh.
    #[serde(default)]
    ssh_opts: Option<String>,
    /// The key of ssh, a file on the host.
    #[serde(default)]
    key_file: Option<String>,
    /// git's program.
    #[serde(default)]
    executable: Option<String>,
    /// The umask with which it works.
    #[serde(default)]
    umask: Option<String>,
    /// Check the signature of the commit or tag.
    #[serde(default)]
    verify_commit: bool,
    /// Not supported.
    #[serde(default, alias = "gpg_whitelist")]
    gpg_allowlist: Vec<String>,
    /// Not supported.
    #[serde(default)]
    archive: Option<String>,
    /// Not supported.
    #[serde(default)]
    archive_prefix: Option<String>,
    /// Not supported.
    #[serde(default)]
    separate_git_dir: Option<String>,
}

fn head() -> String {
    "HEAD".to_owned()
}
fn origin() -> String {
    "origin".to_owned()
}

/// `r=REPO d=DEST v=VERSION … crud_git`.
static GIT: ShellFunction = ShellFunction {
    name: "crud_git",
    text: r#"crud_gt() { gt_o=$(mktemp) || return 1; "$git" "$@" >"$gt_o" 2>&1 </dev/null; gt_s=$?; [ $gt_s -eq 0 ] || tail -n 8 "$gt_o" >&2; rm -f "$gt_o"; return $gt_s; }
crud_gt_in() { crud_gt -C "$d" "$@"; }
crud_gt_ls() { gt_l=$("$git" ls-remote "$r" "$@" 2>"$gt_t/err") || { cat "$gt_t/err" >&2; crud_fail "failed to read the repository $r"; }; }
crud_gt_want() {
gt_kind=; gt_sha=
if [ "$v" = HEAD ]; then crud_gt_ls HEAD; gt_sha=${gt_l%%	*}; gt_kind=head; return; fi
crud_gt_ls "refs/heads/$v" "refs/tags/$v" "refs/tags/$v^{}"
gt_sha=$(printf '%s\n' "$gt_l" | awk -F'\t' -v b="refs/heads/$v" '$2==b {print $1}'); [ -z "$gt_sha" ] || { gt_kind=branch; return; }
gt_sha=$(printf '%s\n' "$gt_l" | awk -F'\t' -v t="refs/tags/$v" '$2==t "^{}" {p=$1} $2==t {s=$1} END {print p ? p : s}'); [ -z "$gt_sha" ] || { gt_kind=tag; return; }
case $v in *[!0-9a-f]*|'') crud_fail "failed to find the version $v in $r";; esac
gt_sha=$v; gt_kind=commit; }
crud_gt_subs() { [ -n "$rec" ] && [ -f "$d/.gitmodules" ] || return 0; crud_gt_in submodule sync && crud_gt_in submodule update --init --recursive ${track:+--remote} ${force:+--force}; }
crud_gt_to() {
case $gt_kind in
branch|head) gt_b=$v; [ "$v" != HEAD ] || gt_b=$("$git" ls-remote --symref "$r" HEAD 2>/dev/null | sed -n 's|^ref: refs/heads/\([^	]*\)	HEAD$|\1|p')
if [ -n "$gt_b" ]; then crud_gt_in checkout ${force:+--force} -B "$gt_b" "$gt_sha" && crud_gt_in branch --set-upstream-to="$rem/$gt_b" "$gt_b" || :; else crud_gt_in checkout ${force:+--force} --detach "$gt_sha"; fi
[ "$("$git" -C "$d" rev-parse HEAD)" = "$gt_sha" ];;
*) crud_gt_in checkout ${force:+--force} --detach "$gt_sha";;
esac && crud_gt_subs && { [ -z "$verify" ] || case $gt_kind in tag) crud_gt_in verify-tag "$v";; *) crud_gt_in verify-commit HEAD;; esac; }; }
crud_gt_clone() {
mkdir -p -- "$(dirname -- "$d")" || return 1
set -- clone --origin "$rem"; [ -z "$bare" ] || set -- "$@" --bare; [ -z "$depth" ] || set -- "$@" --depth "$depth"
[ -z "$ref" ] || set -- "$@" --reference "$ref"
case $gt_kind in branch|tag) set -- "$@" --branch "$v"; [ -z "$one" ] || set -- "$@" --single-branch;; commit) [ -z "$depth" ] || set -- "$@" --no-checkout;; esac
crud_gt "$@" -- "$r" "$d" || return 1
[ -z "$spec" ] || crud_gt_in fetch "$rem" "$spec" || return 1
[ -z "$bare" ] || return 0
case $gt_kind in commit) [ -z "$depth" ] || crud_gt_in fetch --depth "$depth" "$rem" "$gt_sha" || return 1; crud_gt_to;; *) crud_gt_subs && { [ -z "$verify" ] || case $gt_kind in tag) crud_gt_in verify-tag "$v";; *) crud_gt_in verify-commit HEAD;; esac; };; esac; }
crud_gt_fetch() {
set -- fetch --tags --force; [ -z "$depth" ] || set -- "$@" --depth "$depth"
case $gt_kind in branch) set -- "$@" "$rem" "+refs/heads/$v:refs/remotes/$rem/$v";; tag) set -- "$@" "$rem" "+refs/tags/$v:refs/tags/$v";; *) set -- "$@" "$rem";; esac
crud_gt_in "$@" || return 1
[ -z "$spec" ] || crud_gt_in fetch "$rem" "$spec" || return 1
[ -n "$bare" ] || crud_gt_to; }
crud_git() {
git=${git:-git}; command -v "$git" >/dev/null 2>&1 || crud_fail 'the host has no git: the package `git` has it'
[ -z "$um" ] || umask "$um"
export GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND="ssh -o BatchMode=yes ${key:+-i '$key' -o IdentitiesOnly=yes }$sopt" LC_ALL=C
gt_t=$(mktemp -d /tmp/crudctl.XXXXXX) || exit 1
trap 'rm -rf "$gt_t"' 0
gt_have=; if [ -n "$d" ]; then if [ -n "$bare" ]; then [ ! -f "$d/HEAD" ] || gt_have=1; else [ ! -e "$d/.git" ] || gt_have=1; fi; fi
if [ -z "$gt_have" ]; then
crud_gt_want
if [ -n "$noclone" ] || [ -z "$d" ]; then crud_say after "$gt_sha"; [ -n "$d" ] || return 0; crud_note; return 0; fi
crud_do crud_gt_clone
if [ "$do" = 1 ]; then crud_say after "$("$git" -C "$d" rev-parse HEAD)"; else crud_say after "$gt_sha"; fi
return
fi
gt_b4=$("$git" -C "$d" rev-parse HEAD 2>"$gt_t/err") || case $(cat "$gt_t/err") in *dubious*) cat "$gt_t/err" >&2; exit 1;; *) gt_b4=;; esac
crud_say before "$gt_b4"
if [ -z "$bare" ] && [ -n "$("$git" -C "$d" status --porcelain --untracked-files=no 2>/dev/null)" ]; then
[ -n "$force" ] || crud_fail "Local modifications exist in the destination: $d (force=no)."
crud_do crud_gt_in reset --hard
fi
gt_u=$("$git" -C "$d" remote get-url "$rem" 2>/dev/null)
if [ -n "$gt_u" ] && [ "$gt_u" != "$r" ]; then crud_do crud_gt_in remote set-url "$rem" "$r"; crud_flag remote_url_changed 1; elif [ -z "$gt_u" ]; then crud_do crud_gt_in remote add "$rem" "$r"; fi
if [ -n "$noupdate" ]; then
gt_sha=$("$git" -C "$d" rev-parse --verify -q "$v^{commit}" || "$git" -C "$d" rev-parse --verify -q "$rem/$v^{commit}") || crud_fail "the version $v is not in $d, and update is off"
gt_kind=commit; [ "$gt_sha" = "$gt_b4" ] || crud_do crud_gt_to; crud_say after "$gt_sha"; return
fi
crud_gt_want
[ "$gt_kind" != commit ] || gt_sha=$("$git" -C "$d" rev-parse --verify -q "$gt_sha^{commit}" || printf %s "$gt_sha")
if [ "$gt_sha" != "$gt_b4" ]; then crud_do crud_gt_fetch; fi
if [ "$do" = 1 ]; then crud_say after "$("$git" -C "$d" rev-parse HEAD)"; else crud_say after "$gt_sha"; fi; }"#,
    needs: &[&GUARD],
};

impl Guarded for Git {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        refuse(
            "git",
            &[
                ("archive", self.archive.is_some()),
                ("archive_prefix", self.archive_prefix.is_some()),
                ("separate_git_dir", self.separate_git_dir.is_some()),
                ("gpg_allowlist", !self.gpg_allowlist.is_empty()),
            ],
            "use `command`",
        )?;
        anyhow::ensure!(
            self.dest.is_some() || !self.clone,
            "the destination directory must be specified unless clone=no"
        );
        anyhow::ensure!(
            !self.repo.starts_with('-') && !self.version.starts_with('-') && !self.remote.starts_with('-'),
            "a repository, version or remote can't begin with a dash"
        );
        anyhow::ensure!(
            !self.key_file.as_deref().unwrap_or_default().contains('\''),
            "the path `key_file` can't hold quotes"
        );
        let check = match (self.accept_hostkey, self.accept_newhostkey) {
            (true, _) => " -o StrictHostKeyChecking=no",
            (false, true) => " -o StrictHostKeyChecking=accept-new",
            (false, false) => "",
        };
        let options = format!("{}{check}", self.ssh_opts.as_deref().unwrap_or_default());
        let depth = self.depth.map(|depth| depth.to_string());
        let line = variables(&[
            ("r", Some(&self.repo)),
            ("d", self.dest.as_deref().map(|dest| dest.trim_end_matches('/')).filter(|dest| !dest.is_empty())),
            ("v", Some(&self.version)),
            ("rem", Some(&self.remote)),
            ("force", flag(self.force)),
            ("noclone", flag(!self.clone)),
            ("noupdate", flag(!self.update)),
            ("bare", flag(self.bare)),
            ("depth", depth.as_deref()),
            ("spec", self.refspec.as_deref()),
            ("ref", self.reference.as_deref()),
            ("rec", flag(self.recursive && !self.bare)),
            ("track", flag(self.track_submodules)),
            ("one", flag(self.single_branch)),
            ("sopt", Some(options.trim()).filter(|options| !options.is_empty())),
            ("key", self.key_file.as_deref()),
            ("git", self.executable.as_deref()),
            ("um", self.umask.as_deref()),
            ("verify", flag(self.verify_commit)),
        ]);
        Ok(Call::new(format!("{line}crud_git"), &GIT).finish(|said| {
            let mut outcome = said.outcome();
            let before = outcome.values.get("before").cloned().filter(|before| before != "").unwrap_or(Value::Null);
            outcome.values.insert("before".into(), before);
            outcome.values.entry("remote_url_changed").or_insert(Value::Bool(false));
            outcome
        }))
    }
}
