//! `mount`: file systems, mounted now and at boot.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, refuse, variables, yes};

/// Mounts file systems, and keeps their entries in `/etc/fstab`.
///
/// ```yaml
/// - mount:
///     path: /srv/data
///     src: LABEL=data
///     fstype: ext4
///     opts: noatime
///     state: mounted
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mount {
    /// Where it is mounted.
    #[serde(alias = "name")]
    path: String,
    /// The device, or what stands for one.
    #[serde(default)]
    src: Option<String>,
    /// The kind of file system.
    #[serde(default)]
    fstype: Option<String>,
    /// Its options.
    #[serde(default)]
    opts: Option<String>,
    /// Keep the options out of results.
    #[serde(default)]
    opts_no_log: bool,
    /// Whether dump saves it.
    #[serde(default = "zero")]
    dump: String,
    /// When fsck looks at it.
    #[serde(default = "zero")]
    passno: String,
    /// `mounted`, `present`: in fstab, mounted or not; `unmounted`: now; `absent`: neither, and the directory removed;
    /// `absent_from_fstab`; `remounted`; `ephemeral`: mounted without fstab.
    state: State,
    /// The file of entries.
    #[serde(default = "fstab")]
    fstab: String,
    /// Mounted at boot (else with the option `noauto`).
    #[serde(default = "yes")]
    boot: bool,
    /// Keep a copy of the file before it changes.
    #[serde(default)]
    backup: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Absent,
    AbsentFromFstab,
    Ephemeral,
    Mounted,
    Present,
    Remounted,
    Unmounted,
}

fn zero() -> String {
    "0".to_owned()
}
fn fstab() -> String {
    "/etc/fstab".to_owned()
}

/// `p=PATH l=LINE f=FSTAB st=STATE src=… typ=… opt=… bak=1 crud_mount`; fields of the line are in fstab's own writing.
static MOUNT: ShellFunction = ShellFunction {
    name: "crud_mount",
    text: r#"crud_mt_awk='
BEGIN { p=ENVIRON["mt_p"]; l=ENVIRON["mt_l"]; del=ENVIRON["mt_d"]!=""; n=split(l,w," ") }
function same() { for(i=1;i<=6;i++) { a=$i; b=w[i]; if (a=="" && i>4) a="0"; if (a!=b) return 0 } return 1 }
/^[ \t]*#/ || NF<3 || $2!=p { print; next }
{ if (w[3]=="swap" && $3=="swap" && $1!=w[1]) { print; next } }
{ if (del || done) next; done=1; if (same()) print; else print l }
END { if (!del && !done) print l }'
crud_mt_tab() {
mt_p=$(printf %s "$p" | sed 's/ /\\040/g;s/\t/\\011/g'); mt_l=$l; mt_d=$1; export mt_p mt_l mt_d
mt_in=/dev/null; [ ! -f "$f" ] || mt_in=$f
mt_new=$(awk "$crud_mt_awk" "$mt_in"; echo x); mt_new=${mt_new%x}; mt_old=$(cat "$mt_in"; echo x); mt_old=${mt_old%x}
[ "$mt_new" = "$mt_old" ] || { mt_ch=1; crud_do crud_mt_put; }; }
crud_mt_put() {
if [ -n "$bak" ] && [ -e "$f" ]; then mt_b=$f.$$.$(date +%Y-%m-%d@%H:%M:%S)~; cp -p "$f" "$mt_b" || return 1; crud_say backup_file "$mt_b"; fi
printf '%s' "$mt_new" >"$f.crud$$" && chmod "$(stat -c %a "$f" 2>/dev/null || echo 644)" "$f.crud$$" && mv -f "$f.crud$$" "$f"; }
crud_mt_on() { mt_q=$(printf %s "$p" | sed 's/ /\\040/g'); mt_q=$mt_q awk '$2==ENVIRON["mt_q"] {f=1} END {exit !f}' /proc/self/mounts; }
crud_mt_run() { if [ "$f" = /etc/fstab ]; then mount "$p"; else mount -T "$f" "$p"; fi; }
crud_mount() {
[ "$p" = / ] || p=${p%/}; mt_ch=
case $st in
present) crud_mt_tab '';;
absent_from_fstab) crud_mt_tab 1;;
absent) crud_mt_tab 1; ! crud_mt_on || crud_do umount "$p"; [ ! -d "$p" ] || crud_do rmdir "$p";;
unmounted) ! crud_mt_on || crud_do umount "$p";;
remounted) crud_mt_on || crud_fail "$p is not mounted"; crud_do mount -o "remount${opt:+,$opt}" "$p";;
mounted) [ -e "$p" ] || crud_do mkdir -p "$p"; crud_mt_tab ''
if ! crud_mt_on; then crud_do crud_mt_run; elif [ -n "$mt_ch" ]; then crud_do mount -o "remount,$opt" "$p"; fi;;
ephemeral) [ -e "$p" ] || crud_do mkdir -p "$p"
if crud_mt_on; then
mt_s=$(mt_q=$(printf %s "$p" | sed 's/ /\\040/g') awk '$2==ENVIRON["mt_q"] {s=$1} END {print s}' /proc/self/mounts)
[ "$mt_s" = "$src" ] || [ "$(readlink -f "$mt_s")" = "$(readlink -f "$src")" ] || crud_fail "another source is mounted on $p: $mt_s"
else crud_do mount -t "$typ" ${opt:+-o "$opt"} "$src" "$p"; fi;;
esac; }"#,
    needs: &[&GUARD],
};

impl Guarded for Mount {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(self.path.starts_with('/') || self.path == "none", "`path` has to be absolute");
        refuse("mount", &[("path: /", self.path == "/" && self.state == State::Absent)], "the root file system stays")?;
        let needs = matches!(self.state, State::Mounted | State::Present | State::Ephemeral);
        anyhow::ensure!(
            !needs || (self.src.is_some() && self.fstype.is_some()),
            "state is {} but all of the following are missing: src, fstype",
            self.word()
        );
        let opts = self.opts.clone().unwrap_or_else(|| "defaults".to_owned());
        let listed =
            if self.boot || opts.split(',').any(|o| o == "noauto") { opts.clone() } else { format!("{opts},noauto") };
        let fields = [
            self.src.as_deref().unwrap_or_default(),
            &self.path,
            self.fstype.as_deref().unwrap_or_default(),
            &listed,
            &self.dump,
            &self.passno,
        ];
        let path = if self.path == "/" { "/" } else { self.path.trim_end_matches('/') };
        let line = fields
            .iter()
            .enumerate()
            .map(|(at, field)| escaped(if at == 1 { path } else { field }))
            .collect::<Vec<_>>()
            .join(" ");
        anyhow::ensure!(!line.contains('\n'), "an entry of fstab is one line");
        let tabled = matches!(self.state, State::Mounted | State::Present);
        let opt = if self.state == State::Remounted || self.state == State::Ephemeral {
            self.opts.clone()
        } else {
            Some(opts)
        };
        let shell = variables(&[
            ("p", Some(&self.path)),
            ("l", tabled.then_some(line.as_str())),
            ("f", Some(&self.fstab)),
            ("st", Some(self.word())),
            ("src", self.src.as_deref().filter(|_| self.state == State::Ephemeral)),
            ("typ", self.fstype.as_deref().filter(|_| self.state == State::Ephemeral)),
            ("opt", opt.as_deref().filter(|_| self.state != State::Present)),
            ("bak", flag(self.backup)),
        ]);
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in [
            ("name", json!(self.path)),
            ("src", json!(self.src)),
            ("fstype", json!(self.fstype)),
            ("dump", json!(self.dump)),
            ("passno", json!(self.passno)),
            ("fstab", json!(self.fstab)),
        ] {
            values.insert(name.into(), value);
        }
        if !self.opts_no_log {
            values.insert("opts".into(), json!(listed));
        }
        Ok(Call::new(format!("{shell}crud_mount"), &MOUNT).values(values))
    }
}

impl Mount {
    fn word(&self) -> &'static str {
        match self.state {
            State::Absent => "absent",
            State::AbsentFromFstab => "absent_from_fstab",
            State::Ephemeral => "ephemeral",
            State::Mounted => "mounted",
            State::Present => "present",
            State::Remounted => "remounted",
            State::Unmounted => "unmounted",
        }
    }
}

/// A field as fstab(5) has it.
fn escaped(field: &str) -> String {
    field.replace(' ', "\\040").replace('\t', "\\011")
}
