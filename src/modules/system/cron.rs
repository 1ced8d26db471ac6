//! `cron`: entries of crontabs.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables};

/// Puts a job or a variable into a crontab, or removes it.
///
/// A job is known by its name, which stands in a comment line `#Ansible: NAME` before it.
///
/// ```yaml
/// - cron:
///     name: nightly backup
///     hour: "3"
///     minute: "15"
///     job: /usr/local/bin/backup
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the parameters are Ansible's")]
pub(super) struct Cron {
    /// What the job is called, or (`env`) the variable.
    name: String,
    /// The account whose crontab it is; root's where a `cron_file` is named, else the task's user.
    #[serde(default)]
    user: Option<String>,
    /// The command, or (`env`) the variable's value.
    #[serde(default, alias = "value")]
    job: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// A file in `/etc/cron.d` (or any other, by its whole path) instead of an account's crontab.
    #[serde(default)]
    cron_file: Option<String>,
    /// Keep a copy of the crontab before it changes.
    #[serde(default)]
    backup: bool,
    /// Minutes.
    #[serde(default = "any")]
    minute: String,
    /// Hours.
    #[serde(default = "any")]
    hour: String,
    /// Days of the month.
    #[serde(default = "any", alias = "dom")]
    day: String,
    /// Months.
    #[serde(default = "any")]
    month: String,
    /// Days of the week.
    #[serde(default = "any", alias = "dow")]
    weekday: String,
    /// A time by its name, in place of the others.
    #[serde(default)]
    special_time: Option<Special>,
    /// The job is there, but commented out.
    #[serde(default)]
    disabled: bool,
    /// This is about a variable.
    #[serde(default)]
    env: bool,
    /// The variable behind which a new one is put.
    #[serde(default)]
    insertafter: Option<String>,
    /// The variable before which a new one is put.
    #[serde(default)]
    insertbefore: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Special {
    Annually,
    Daily,
    Hourly,
    Monthly,
    Reboot,
    Weekly,
    Yearly,
}

impl Special {
    fn word(self) -> &'static str {
        match self {
            Self::Annually => "annually",
            Self::Daily => "daily",
            Self::Hourly => "hourly",
            Self::Monthly => "monthly",
            Self::Reboot => "reboot",
            Self::Weekly => "weekly",
            Self::Yearly => "yearly",
        }
    }
}

fn any() -> String {
    "*".to_owned()
}

/// `cn=NAME cl=LINE cs=present|absent ce=env f=FILE u=USER bak=1 crud_cron`.
static CRON: ShellFunction = ShellFunction {
    name: "crud_cron",
    text: r##"crud_cr_awk='
BEGIN { n=ENVIRON["cn"]; l=ENVIRON["cl"]; del=ENVIRON["cs"]=="absent"; h="#Ansible: " n }
want { want=0; if (!del) print l; next }
$0==h { done=1; want=1; if (!del) print; next }
!del && $0==l && !done && last !~ /^#Ansible: / { print h; print; done=1; last=$0; next }
{ print; last=$0 }
END { if (want && !del) print l; if (!done && !del) { print h; print l } }'
crud_cr_env() { awk '
BEGIN { n=ENVIRON["cn"]; l=ENVIRON["cl"]; del=ENVIRON["cs"]=="absent"; ia=ENVIRON["ca"]; ib=ENVIRON["cb"] }
{ t[NR]=$0; if (index($0, n "=")==1) has=NR; if (ia!="" && index($0, ia "=")==1) A=NR; if (ib!="" && index($0, ib "=")==1) B=NR }
END {
if (ia!="" && !A && !has && !del) { print "variable " ia " not found" >"/dev/stderr"; exit 3 }
if (ib!="" && !B && !has && !del) { print "variable " ib " not found" >"/dev/stderr"; exit 3 }
if (!has && !del && !A && !B) print l
for(i=1;i<=NR;i++) {
if (i==has) { if (!del) print l; continue }
if (!has && !del && i==B) print l
print t[i]
if (!has && !del && i==A) print l } }' "$1"; }
crud_cr_write() {
if [ -n "$bak" ]; then cr_b=$(mktemp /tmp/crontab.XXXXXX) && cat "$cr_t/old" >"$cr_b" && crud_say backup_file "$cr_b" || return 1; fi
if [ -n "$f" ]; then
if [ "$cs" = absent ] && ! grep -q . "$cr_t/new"; then rm -f -- "$f"; return; fi
cr_m=644; [ ! -e "$f" ] || cr_m=$(stat -c %a -- "$f")
cp -- "$cr_t/new" "$f.crud$$" && chmod "$cr_m" "$f.crud$$" && mv -f -- "$f.crud$$" "$f"
else crontab ${u:+-u "$u"} "$cr_t/new"; fi; }
crud_cron() {
cr_t=$(mktemp -d /tmp/crudctl.XXXXXX) || exit 1
trap 'rm -rf "$cr_t"' 0
chmod 755 "$cr_t"
if [ -n "$f" ]; then [ ! -f "$f" ] || cat -- "$f" >"$cr_t/old" || exit 1; [ -e "$cr_t/old" ] || : >"$cr_t/old"
else command -v crontab >/dev/null 2>&1 || crud_fail 'the host has no crontab: the package `cron` has it'
crontab ${u:+-u "$u"} -l >"$cr_t/old" 2>"$cr_t/err" || case $(cat "$cr_t/err") in *'no crontab'*|*"can't open"*|'') ;; *) cat "$cr_t/err" >&2; exit 1;; esac; fi
export cn cl cs ce ca cb
if [ -n "$ce" ]; then crud_cr_env "$cr_t/old" >"$cr_t/new" || exit 1; else awk "$crud_cr_awk" "$cr_t/old" >"$cr_t/new" || exit 1; fi
chmod 644 "$cr_t/new"
cmp -s "$cr_t/old" "$cr_t/new" || crud_do crud_cr_write
sed -n 's/^#Ansible: /job /p; s/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/env \1/p' "$cr_t/new"; }"##,
    needs: &[&GUARD],
};

impl Guarded for Cron {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        self.validate()?;
        let absent = self.state == State::Absent;
        let file = self
            .cron_file
            .as_ref()
            .map(|file| if file.starts_with('/') { file.clone() } else { format!("/etc/cron.d/{file}") });
        let user = self.user.as_deref();
        let text = if self.env { self.variable() } else { self.job_line(file.is_some()) };
        let line = variables(&[
            ("cn", Some(&self.name)),
            ("cl", (!absent).then_some(text.as_str())),
            ("cs", absent.then_some("absent")),
            ("ce", flag(self.env)),
            ("ca", self.insertafter.as_deref()),
            ("cb", self.insertbefore.as_deref()),
            ("f", file.as_deref()),
            ("u", user.filter(|_| file.is_none())),
            ("bak", flag(self.backup)),
        ]);
        let mut values: Map<String, Value> = Map::new();
        if let Some(file) = &self.cron_file {
            values.insert("cron_file".into(), json!(file));
        }
        values.insert("state".into(), json!(if absent { "absent" } else { "present" }));
        let call = Call::new(format!("{line}crud_cron"), &CRON).finish(|said| {
            let of = |kind: &str| -> Vec<String> {
                said.rest.lines().filter_map(|line| line.strip_prefix(kind)).map(str::to_owned).collect()
            };
            said.outcome().with("jobs", of("job ")).with("envs", of("env "))
        });
        Ok(call.values(values))
    }
}

impl Cron {
    fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.name.is_empty() && !self.name.contains('\n'), "`name` is one line of text");
        if self.state == State::Present {
            anyhow::ensure!(self.job.is_some(), "You must specify 'job' to install a new cron job or variable");
        }
        let times = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        anyhow::ensure!(
            times.iter().all(|time| !time.is_empty() && !time.contains(char::is_whitespace)),
            "a time is one word, such as `*/5` or `1,15`"
        );
        anyhow::ensure!(
            self.special_time.is_none() || times.iter().all(|time| *time == "*"),
            "You must specify time and date fields or special time."
        );
        let lines = [self.job.as_deref(), self.user.as_deref()];
        anyhow::ensure!(
            lines.iter().flatten().all(|text| !text.trim_end_matches(['\n', '\r']).contains(['\n', '\r'])),
            "Job should not contain any newlines"
        );
        anyhow::ensure!(
            self.env || (self.insertafter.is_none() && self.insertbefore.is_none()),
            "`insertafter` and `insertbefore` are for variables (`env: true`)"
        );
        anyhow::ensure!(
            self.insertafter.is_none() || self.insertbefore.is_none(),
            "parameters are mutually exclusive: insertafter|insertbefore"
        );
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        anyhow::ensure!(!self.env || self.name.chars().all(named), "`{}` is not the name of a variable", self.name);
        Ok(())
    }

    fn variable(&self) -> String {
        format!("{}=\"{}\"", self.name, self.job.as_deref().unwrap_or_default())
    }

    fn job_line(&self, has_user: bool) -> String {
        let job = self.job.as_deref().unwrap_or_default().trim_matches(['\n', '\r']);
        let off = if self.disabled { "#" } else { "" };
        let user = if has_user { format!("{} ", self.user.as_deref().unwrap_or("root")) } else { String::new() };
        match self.special_time {
            Some(time) => format!("{off}@{} {user}{job}", time.word()),
            None => {
                format!("{off}{} {} {} {} {} {user}{job}", self.minute, self.hour, self.day, self.month, self.weekday)
            }
        }
    }
}
