//! `apt_repository`: one-line entries of apt's sources.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::apt_shell::APT_UPDATE;
use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, refuse, variables, yes};

/// Adds a repository to apt's sources, or removes it.
///
/// An entry that any of apt's `.list` files has already is left where it is; one that is commented out is made active.
/// Package lists are read anew after a change; where that fails the old sources come back.
///
/// ```yaml
/// - apt_repository:
///     repo: deb https://download.docker.com/linux/debian bookworm stable
///     filename: docker
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AptRepository {
    /// The entry: `deb [OPTIONS] URI SUITE COMPONENT…`.
    repo: String,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// The file in `/etc/apt/sources.list.d` for a new entry, without `.list`; made of the URI where it is absent.
    #[serde(default)]
    filename: Option<String>,
    /// The mode of that file.
    #[serde(default)]
    mode: Option<String>,
    /// Read package lists anew after a change.
    #[serde(default = "yes", alias = "update-cache")]
    update_cache: bool,
    /// How often a failed update is tried again.
    #[serde(default = "five")]
    update_cache_retries: u32,
    /// The longest wait, in seconds, before it is tried again.
    #[serde(default = "twelve")]
    update_cache_retry_max_delay: u32,
    /// Accepted: only downloads for a PPA would need it.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "PPAs are refused")]
    validate_certs: bool,
    /// Not supported: the release of a PPA.
    #[serde(default)]
    codename: Option<String>,
    /// Accepted: nothing has to be installed for this module.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "there are no such dependencies")]
    install_python_apt: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

fn five() -> u32 {
    5
}
fn twelve() -> u32 {
    12
}

/// `e=ENTRY f=FILE m=MODE st=absent upd=1 crud_apt_repository`.
static REPOSITORY: ShellFunction = ShellFunction {
    name: "crud_apt_repository",
    text: r#"crud_ar_awk='
function norm(s) { sub(/#.*/,"",s); gsub(/[ \t\r]+/," ",s); sub(/^ /,"",s); sub(/ $/,"",s); return s }
BEGIN { e=ENVIRON["e"]; mode=ENVIRON["ar_m"] }
{ s=$0; off=0; while (sub(/^[ \t]*#[ \t]*/,"",s)) off=1; hit=(norm(s)==e)
if (hit) { any=1; if (!off) on=1 }
if (mode=="off") { if (!hit) print } else if (mode=="on") { if (hit && !done) { print e; done=1 } else print } }
END { if (mode=="") print on ? "on" : any ? "off" : "" }'
crud_ar_one() { ar_m=$1; export ar_m e; awk "$crud_ar_awk" "$2"; }
crud_ar_put() {
if [ -s "$ar_t/new" ]; then cat "$ar_t/new" >"$1.crud$$" && chmod "${m:-$(stat -c %a "$1" 2>/dev/null || echo 644)}" "$1.crud$$" && mv -f "$1.crud$$" "$1"; else rm -f "$1"; fi; }
crud_ar_change() {
for ar_f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
[ -f "$ar_f" ] || continue
case $st$(crud_ar_one '' "$ar_f") in
absenton|absentoff) ar_w=off;; off) ar_w=on;; *) continue;; esac
cp -p "$ar_f" "$ar_t/$ar_n" || return 1; printf '%s\n' "$ar_f" >"$ar_t/$ar_n.name"; ar_n=$((ar_n+1))
crud_ar_one $ar_w "$ar_f" >"$ar_t/new" && crud_ar_put "$ar_f" || return 1
[ -n "$st" ] || return 0
done
[ -z "$st" ] || return 0
mkdir -p "${f%/*}"; printf '%s\n' "$f" >"$ar_t/$ar_n.name"
if [ -f "$f" ]; then cp -p "$f" "$ar_t/$ar_n" || return 1; cat "$f" >"$ar_t/new"; [ -z "$(tail -c 1 "$f")" ] || echo >>"$ar_t/new"; else : >"$ar_t/new"; fi
printf '%s\n' "$e" >>"$ar_t/new"; crud_ar_put "$f"; }
crud_ar_apply() {
ar_t=$(mktemp -d /tmp/crudctl.XXXXXX) && ar_n=0 || return 1
crud_ar_change; ar_s=$?
if [ $ar_s -eq 0 ] && [ -n "$upd" ] && ! crud_apt_fetch; then
for ar_x in "$ar_t"/*.name; do [ -f "$ar_x" ] || continue; ar_f=$(cat "$ar_x"); if [ -f "${ar_x%.name}" ]; then cp -p "${ar_x%.name}" "$ar_f"; else rm -f "$ar_f"; fi; done
echo 'the package lists could not be read; the old sources are back' >&2; ar_s=1
fi
rm -rf "$ar_t"; return $ar_s; }
crud_apt_repository() {
[ -d /etc/apt ] || crud_fail 'there is no apt on this host'
ar_is=
for ar_f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
[ -f "$ar_f" ] || continue
case $(crud_ar_one '' "$ar_f") in on) ar_is=on; ar_h=$ar_f; break;; off) ar_is=${ar_is:-off}; ar_h=$ar_f;; esac
done
case $st$ar_is in
on|absent) return 0;;
esac
if [ "$st" = absent ]; then crud_say removed "$ar_h"; else crud_say added "${ar_h:-$f}"; fi
crud_do crud_ar_apply; }"#,
    needs: &[&APT_UPDATE, &GUARD],
};

impl Guarded for AptRepository {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        refuse("apt_repository", &[("codename", self.codename.is_some())], "it is for PPAs, which need Launchpad")?;
        anyhow::ensure!(
            !self.repo.starts_with("ppa:"),
            "a PPA isn't supported, since its key comes from Launchpad's API: use `deb822_repository` with `signed_by`"
        );
        let entry = self.entry()?;
        let file = format!("/etc/apt/sources.list.d/{}.list", self.file(&entry)?);
        let absent = self.state == State::Absent;
        if let Some(mode) = &self.mode {
            anyhow::ensure!(mode.chars().all(|c| c.is_digit(8)), "`mode` is an octal number");
        }
        let number = |given: u32, default: u32| (given != default).then(|| given.to_string());
        let (retries, delay) = (number(self.update_cache_retries, 5), number(self.update_cache_retry_max_delay, 12));
        let line = variables(&[
            ("e", Some(&entry)),
            ("f", (!absent).then_some(file.as_str())),
            ("m", self.mode.as_deref()),
            ("st", absent.then_some("absent")),
            ("upd", flag(self.update_cache)),
            ("retries", retries.as_deref()),
            ("delay", delay.as_deref()),
        ]);
        let mut values: Map<String, Value> = Map::new();
        values.insert("repo".into(), json!(self.repo));
        values.insert("state".into(), json!(if absent { "absent" } else { "present" }));
        let call = Call::new(format!("{line}crud_apt_repository"), &REPOSITORY).finish(|said| {
            let mut outcome = said.outcome();
            for (name, new) in [("added", "sources_added"), ("removed", "sources_removed")] {
                let file: Vec<Value> = outcome.values.shift_remove(name).into_iter().collect();
                outcome = outcome.with(new, file);
            }
            outcome
        });
        Ok(call.values(values))
    }
}

impl AptRepository {
    /// The entry with single blanks, checked as sources.list(5) has it.
    fn entry(&self) -> anyhow::Result<String> {
        let text = self.repo.split('#').next().unwrap_or_default();
        let entry = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (kind, rest) = entry.split_once(' ').unwrap_or((&entry, ""));
        let bare = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        anyhow::ensure!(
            matches!(kind, "deb" | "deb-src") && bare.split_whitespace().count() >= 2,
            "Invalid repository string: {} (it has to be `deb [OPTIONS] URI SUITE COMPONENT…`)",
            self.repo
        );
        Ok(entry)
    }

    /// The file's name: as given, or made of the URI without scheme and user.
    fn file(&self, entry: &str) -> anyhow::Result<String> {
        if let Some(name) = &self.filename {
            anyhow::ensure!(
                !name.is_empty() && !name.contains(['/', '\n']),
                "`filename` is a name in /etc/apt/sources.list.d, without `.list`"
            );
            return Ok(name.strip_suffix(".list").unwrap_or(name).to_owned());
        }
        let rest = entry.split_once(' ').map_or("", |(_, rest)| rest);
        let rest = rest.strip_prefix('[').and_then(|r| r.split_once("] ")).map_or(rest, |(_, rest)| rest);
        let uri = rest.split(' ').next().unwrap_or_default();
        let uri = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        let uri = uri.rsplit_once('@').map_or(uri, |(_, rest)| rest);
        let words = uri.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        Ok(words.collect::<Vec<_>>().join("_"))
    }
}
