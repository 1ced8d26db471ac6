//! `file`: directories, links, attributes, and that something is not there.

use schemars::JsonSchema;
use serde::Deserialize;

use super::attributes::{ATTRS, Mode};
use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, Guarded, flag, variables, yes};

/// Makes a path a directory, a link, an (empty) file or nothing, and sets its attributes.
///
/// ```yaml
/// - file:
///     path: /etc/some_directory
///     state: directory
///     mode: '0755'
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct File {
    /// The path.
    #[serde(alias = "dest", alias = "name")]
    path: String,
    /// What it should be; as it is where nothing is said.
    #[serde(default)]
    state: Option<State>,
    /// What a link points to.
    #[serde(default)]
    src: Option<String>,
    /// Owner.
    #[serde(default)]
    owner: Option<String>,
    /// Group.
    #[serde(default)]
    group: Option<String>,
    /// Mode.
    #[serde(default)]
    mode: Option<Mode>,
    /// Set attributes of all that is below a directory, too.
    #[serde(default)]
    recurse: bool,
    /// Make a link to what does not exist, and in place of a file.
    #[serde(default)]
    force: bool,
    /// Attributes are those of what a link points to.
    #[serde(default = "yes")]
    follow: bool,
    /// Modification time: `preserve`, `now`, or a time.
    #[serde(default)]
    modification_time: Option<String>,
    /// Format of that time; only the usual one is supported.
    #[serde(default)]
    modification_time_format: Option<String>,
    /// Access time: `preserve`, `now`, or a time.
    #[serde(default)]
    access_time: Option<String>,
    /// Format of that time; only the usual one is supported.
    #[serde(default)]
    access_time_format: Option<String>,
    /// Not supported: attributes of `chattr`.
    #[serde(default, alias = "attr")]
    attributes: Option<String>,
    /// Not needed: nothing is written.
    #[serde(default)]
    unsafe_writes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    Directory,
    File,
    Hard,
    Link,
    Touch,
}

/// `p=PATH st=STATE … crud_file`.
static FILE: ShellFunction = ShellFunction {
    name: "crud_file",
    text: r#"crud_file() {
case $p in /) ;; */) p=${p%/};; esac
if [ -L "$p" ]; then fi_c=link; elif [ -d "$p" ]; then fi_c=directory; elif [ -e "$p" ]; then fi_c=file; else fi_c=absent; fi
fi_t=$fi_c; if [ $fi_c = link ] && [ -n "$fol" ] && [ -e "$p" ]; then if [ -d "$p" ]; then fi_t=directory; else fi_t=file; fi; fi
if [ -z "$st" ]; then if [ -n "$src" ]; then st=link; elif [ $fi_c = link ] && [ -z "$fol" ]; then st=link; elif [ $fi_t = directory ] || { [ $fi_c = absent ] && [ -n "$rec" ]; }; then st=directory; else st=file; fi; fi
case $st in
absent) crud_say path "$p"; crud_say state absent; [ $fi_c = absent ] || crud_do rm -rf -- "$p"; return 0 ;;
directory)
 case $fi_t in directory) ;; absent) crud_note && crud_mkdirs "$p" ;;
 *) [ -n "$force" ] && [ $fi_c = link ] || crud_fail "$p already exists as a $fi_c"; crud_note && { rm -f -- "$p"; crud_mkdirs "$p"; } ;; esac
 if [ -n "$rec" ]; then crud_below "$p"; fi ;;
file)
 case $fi_t in file) ;; absent) crud_fail "file ($p) is absent, cannot continue" ;;
 link) [ -e "$p" ] || crud_fail "file ($p) is a broken link, cannot continue"; crud_fail "file ($p) is link, cannot continue" ;;
 *) crud_fail "file ($p) is $fi_t, cannot continue" ;; esac ;;
touch)
 case $fi_t in absent|link) [ -L "$p" ] && [ -n "$fol" ] || [ $fi_c = absent ] || crud_fail "Cannot touch: $p is a $fi_c"; crud_do crud_touch ;;
 *) [ "$mt" = preserve ] && [ "$at" = preserve ] || crud_do crud_touch ;; esac ;;
link)
 [ -n "$src" ] || { [ $fi_c = link ] || crud_fail 'src is required for creating new links'; src=$(readlink -- "$p"); }
 case $src in /*) fi_a=$src;; *) if [ -d "$p" ] && [ $fi_c != link ]; then fi_a=$p/$src; else fi_a=$(dirname -- "$p")/$src; fi;; esac
 [ -e "$fi_a" ] || [ -n "$force" ] || crud_fail "src file does not exist, use \"force=yes\" if you really want to create the link: $fi_a"
 case $fi_c in
 directory) [ -n "$force" ] || crud_fail "refusing to convert from directory to symlink for $p"
  [ -z "$(ls -A -- "$p")" ] || crud_fail "the directory $p is not empty, refusing to convert it" ;;
 file) [ -n "$force" ] || crud_fail "refusing to convert from file to symlink for $p" ;; esac
 [ $fi_c = link ] && [ "$(readlink -- "$p")" = "$src" ] || { crud_note && { [ $fi_c != directory ] || rmdir -- "$p"; ln -s -- "$src" "$p.crud$$" && mv -fT -- "$p.crud$$" "$p" || { rm -f -- "$p.crud$$"; crud_fail "can't make the link $p"; }; }; }
 crud_say src "$src" ;;
hard)
 [ -n "$src" ] || crud_fail 'src is required for creating new hardlinks'
 [ -e "$src" ] || crud_fail "src does not exist: $src"
 [ "$p" -ef "$src" ] || { [ $fi_c = absent ] || [ -n "$force" ] || crud_fail "Cannot link, different hard link exists at destination: $p"; crud_do ln -f -- "$src" "$p"; }
 crud_say src "$src" ;;
esac
fi_h=; if [ -L "$p" ]; then if [ -z "$fol" ] || [ ! -e "$p" ]; then fi_h=-h; fi; fi
[ "$st" = link ] && [ -z "$fol" ] && fi_h=-h
crud_attrs "$p" "$o" "$g" "$m" $fi_h
case $st in touch) ;; *) crud_times ;; esac
crud_what path "$p"; [ "$st" != hard ] || crud_say state hard; }
crud_mkdirs() { [ -d "$1" ] && return 0
cm_u=${1%/*}; case $1 in */*) [ -z "$cm_u" ] || crud_mkdirs "$cm_u" || return 1;; esac
mkdir -- "$1" || crud_fail "There was an issue creating $1 as requested"; crud_attrs "$1" "$o" "$g" "$m"; }
crud_below() { fi_o=$IFS; IFS='
'; set -f
for fi_x in $(find "$1" -mindepth 1); do IFS=$fi_o
if [ -L "$fi_x" ]; then crud_attrs "$fi_x" "$o" "$g" '' -h; else crud_attrs "$fi_x" "$o" "$g" "$m"; fi; done; IFS=$fi_o; set +f; }
crud_touch() {
[ -e "$p" ] || : >"$p" || crud_fail "Error, could not touch target: $p"
case ${at:-now} in preserve) ;; now) touch -a -- "$p";; *) touch -a -t "$at" -- "$p";; esac || exit 1
case ${mt:-now} in preserve) ;; now) touch -m -- "$p";; *) touch -m -t "$mt" -- "$p";; esac || exit 1; }
crud_times() {
case $mt in ''|preserve) ;; now) crud_do touch -m -- "$p";; *) [ "$(date -r "$p" +%Y%m%d%H%M.%S)" = "$mt" ] || crud_do touch -m -t "$mt" -- "$p";; esac
case $at in ''|preserve) ;; now) crud_do touch -a -- "$p";; *) [ "$(date -d "@$(stat -c %X -- "$p")" +%Y%m%d%H%M.%S)" = "$at" ] || crud_do touch -a -t "$at" -- "$p";; esac; }"#,
    needs: &[&ATTRS],
};

impl Guarded for File {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(self.attributes.is_none(), "`attributes` is not supported");
        anyhow::ensure!(
            self.modification_time_format.is_none() && self.access_time_format.is_none(),
            "other formats of times than the usual are not supported"
        );
        anyhow::ensure!(!self.path.is_empty(), "`path` is empty");
        anyhow::ensure!(
            !self.recurse || matches!(self.state, None | Some(State::Directory)),
            "recurse option requires state to be 'directory'"
        );
        if self.src.is_some() && !matches!(self.state, None | Some(State::Link | State::Hard)) {
            anyhow::bail!("src option requires state to be 'link' or 'hard'");
        }
        let _ = self.unsafe_writes;
        let state = self.state.map(|state| match state {
            State::Absent => "absent",
            State::Directory => "directory",
            State::File => "file",
            State::Hard => "hard",
            State::Link => "link",
            State::Touch => "touch",
        });
        for time in [&self.modification_time, &self.access_time].into_iter().flatten() {
            let valid = matches!(time.as_str(), "preserve" | "now")
                || (time.len() == 15 && time.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
            anyhow::ensure!(valid, "`{time}` is no time: preserve, now, or YYYYMMDDHHMM.SS");
        }
        let path = if self.path.starts_with('-') { format!("./{}", self.path) } else { self.path.clone() };
        let line = variables(&[
            ("p", Some(&path)),
            ("st", state),
            ("src", self.src.as_deref()),
            ("o", self.owner.as_deref()),
            ("g", self.group.as_deref()),
            ("m", self.mode.as_ref().map(Mode::as_str)),
            ("rec", flag(self.recurse)),
            ("force", flag(self.force)),
            ("fol", flag(self.follow)),
            ("mt", self.modification_time.as_deref()),
            ("at", self.access_time.as_deref()),
        ]);
        Ok(Call::new(format!("{line}\ncrud_file"), &FILE))
    }
}
