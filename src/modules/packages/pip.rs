//! `pip`: packages of Python.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::host::ShellFunction;
use crate::host::script::quote_all;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables};

/// Installs and removes packages of Python by the host's pip, also in a virtual environment.
///
/// ```yaml
/// - pip:
///     name: [flask, "gunicorn==21.2.0"]
///     virtualenv: /srv/app/venv
///     virtualenv_command: python3 -m venv
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pip {
    /// Packages, with conditions on their versions; or paths and URLs.
    #[serde(default)]
    name: Vec<String>,
    /// The version, for a single name.
    #[serde(default)]
    version: Option<String>,
    /// A file of requirements on the host.
    #[serde(default)]
    requirements: Option<String>,
    /// The virtual environment, made where it is missing.
    #[serde(default)]
    virtualenv: Option<String>,
    /// It sees the host's packages.
    #[serde(default)]
    virtualenv_site_packages: bool,
    /// What makes it.
    #[serde(default = "virtualenv")]
    virtualenv_command: String,
    /// The Python in it.
    #[serde(default)]
    virtualenv_python: Option<String>,
    /// What the packages should be.
    #[serde(default)]
    state: State,
    /// Further arguments of pip.
    #[serde(default)]
    extra_args: Option<String>,
    /// Install editable.
    #[serde(default)]
    editable: bool,
    /// The directory in which pip runs.
    #[serde(default)]
    chdir: Option<String>,
    /// pip's program.
    #[serde(default)]
    executable: Option<String>,
    /// The umask with which it installs.
    #[serde(default)]
    umask: Option<String>,
    /// Install in spite of PEP 668.
    #[serde(default)]
    break_system_packages: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    Forcereinstall,
    Latest,
    #[default]
    Present,
}

fn virtualenv() -> String {
    "virtualenv".to_owned()
}

/// `st=STATE venv=DIR … crud_pip NAME…`. pip itself judges conditions: with `--dry-run` where it knows that (22.2), else by its output.
static PIP: ShellFunction = ShellFunction {
    name: "crud_pip",
    text: r#"crud_pp_norm() { printf %s "$1" | sed 's/[[<>=!~ ;@].*//' | tr 'A-Z_.' 'a-z--'; }
crud_pp_has() { pp_n=$(crud_pp_norm "$1"); printf '%s\n' "$pp_all" | grep -q "^$pp_n=="; }
crud_pp_is() { pp_n=$(crud_pp_norm "$1"); pp_w=${1#*==}; printf '%s\n' "$pp_all" | grep -qxF -- "$pp_n==$pp_w"; }
crud_pp_list() { pp_all=$($pp_p list --format=freeze --disable-pip-version-check 2>/dev/null | sed 's/ .*//' | awk -F== '{n=tolower($1); gsub(/[_.]/,"-",n); print n "==" $2}'); }
crud_pp_run() { [ -z "$um" ] || umask "$um"; pp_o=$(mktemp) || return 1; $pp_p "$@" >"$pp_o" 2>&1 </dev/null; pp_s=$?; if [ $pp_s -ne 0 ]; then tail -n 12 "$pp_o" >&2; else cat "$pp_o"; fi; rm -f "$pp_o"; return $pp_s; }
crud_pip() {
[ -z "$dir" ] || cd -- "$dir" || exit 1
if [ -n "$venv" ]; then
pp_p=$venv/bin/pip
if [ ! -x "$venv/bin/python" ] && [ ! -x "$venv/bin/python3" ]; then crud_do $vcmd ${site:+--system-site-packages} ${py:+-p "$py"} "$venv"; [ "$do" = 1 ] || { crud_say virtualenv "$venv"; return; }; fi
elif [ -n "$exe" ]; then pp_p=$exe
else pp_p=; for pp_x in pip3 pip; do command -v $pp_x >/dev/null 2>&1 && { pp_p=$pp_x; break; }; done
[ -n "$pp_p" ] || { python3 -m pip --version >/dev/null 2>&1 && pp_p='python3 -m pip'; }
[ -n "$pp_p" ] || crud_fail 'the host has no pip: the package `python3-pip` has it'; fi
[ -z "$brk" ] || export PIP_BREAK_SYSTEM_PACKAGES=1
crud_pp_list
if [ "$st" = absent ]; then
pp_t=; for pp_x; do ! crud_pp_has "$pp_x" || pp_t="$pp_t $(crud_pp_norm "$pp_x")"; done
if [ -n "$req" ]; then crud_do crud_pp_run uninstall -y -r "$req"; elif [ -n "$pp_t" ]; then crud_do crud_pp_run uninstall -y $pp_t; fi
return
fi
pp_need=
if [ -n "$req" ] || [ "$st" = latest ] || [ "$st" = forcereinstall ] || [ -n "$edit" ]; then pp_need=1
else for pp_x; do case $pp_x in
*://*|/*|./*|*'['*) pp_need=1;;
*==*) case ${pp_x#*==} in *[*,]*) pp_need=1;; *) crud_pp_is "$pp_x" || pp_need=1;; esac;;
*[\<\>=!~]*) pp_need=1;;
*) crud_pp_has "$pp_x" || pp_need=1;;
esac; done; fi
[ -n "$pp_need" ] || return 0
[ "$st" != latest ] || set -- -U "$@"; [ "$st" != forcereinstall ] || set -- -U --force-reinstall "$@"; [ -z "$edit" ] || set -- -e "$@"
[ -z "$req" ] || set -- "$@" -r "$req"
if [ "$st" != forcereinstall ] && [ -z "$edit" ]; then
pp_d=$($pp_p install --dry-run --disable-pip-version-check $xtra "$@" 2>&1 </dev/null) && case $pp_d in *'Would install'*) ;; *) return 0;; esac
fi
crud_do crud_pp_run install --disable-pip-version-check $xtra "$@"; }"#,
    needs: &[&GUARD],
};

impl Guarded for Pip {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(
            !self.name.is_empty() || self.requirements.is_some() || self.virtualenv.is_some(),
            "one of the following is required: name, requirements"
        );
        anyhow::ensure!(
            self.executable.is_none() || self.virtualenv.is_none(),
            "parameters are mutually exclusive: executable|virtualenv"
        );
        anyhow::ensure!(
            self.version.is_none() || (self.name.len() == 1 && self.state == State::Present),
            "'version' argument is ambiguous when installing multiple package distributions, and needs state=present"
        );
        let mut names = self.name.clone();
        for name in &names {
            anyhow::ensure!(!name.is_empty() && !name.starts_with('-'), "`{name}` is not the name of a package");
        }
        if let (Some(version), [name]) = (&self.version, names.as_mut_slice()) {
            let bare = version.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
            *name = if bare { format!("{name}=={version}") } else { format!("{name}{version}") };
        }
        let state = match self.state {
            State::Absent => "absent",
            State::Forcereinstall => "forcereinstall",
            State::Latest => "latest",
            State::Present => "present",
        };
        let line = variables(&[
            ("st", Some(state)),
            ("venv", self.virtualenv.as_deref()),
            ("vcmd", self.virtualenv.as_ref().map(|_| self.virtualenv_command.as_str())),
            ("site", flag(self.virtualenv_site_packages)),
            ("py", self.virtualenv_python.as_deref()),
            ("req", self.requirements.as_deref()),
            ("xtra", self.extra_args.as_deref()),
            ("edit", flag(self.editable)),
            ("dir", self.chdir.as_deref()),
            ("exe", self.executable.as_deref()),
            ("um", self.umask.as_deref()),
            ("brk", flag(self.break_system_packages)),
        ]);
        let values = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("version".to_owned(), json!(self.version)),
            ("requirements".to_owned(), json!(self.requirements)),
            ("virtualenv".to_owned(), json!(self.virtualenv)),
            ("state".to_owned(), json!(state)),
        ]);
        let call = Call::new(format!("{line}crud_pip {}", quote_all(&names)), &PIP);
        Ok(call.finish(|said| said.outcome().with("stdout", said.rest.as_str())).values(values))
    }
}
