//! `crudctl_lock`: one operator at a time works on a host.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, variables};

/// Takes the host's lock, or gives it back.
///
/// The lock belongs to the session's shell on the host, which ends with the operator's process, however that ends, and gives the lock
/// back then. A lock whose shell is gone without that (killed, a power cut) is taken over with a warning, one whose shell lives never. A host that stays locked is a failure with `rc` 7 that
/// names the owner and the shell. In check mode nothing is locked.
///
/// ```yaml
/// - crudctl_lock:
///     owner: ann@desk
///     wait: 60
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    /// Who takes it: others are told.
    #[serde(default)]
    owner: Option<String>,
    /// Taken or given back.
    #[serde(default)]
    state: State,
    /// Seconds to wait for another to give it back.
    #[serde(default)]
    wait: u32,
    /// The lock's file.
    #[serde(default = "path")]
    path: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

fn path() -> String {
    "/var/lib/crudctl/lock".into()
}

/// `p=FILE own=OWNER w=SECONDS crud_lock` takes it, `p=FILE crud_unlock` gives it back.
/// The file has the shell's process id and its start (field 22 of `proc(5)`'s stat) in its first line and the owner in its second.
/// The session's shell gives it back at its end, where nobody did before. `ln` makes it, which only one can; a stale one is renamed first, and put back where it was not the one that was judged.
static LOCK: ShellFunction = ShellFunction {
    name: "crud_lock",
    text: r#"crud_lk_id() { lk_i=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20) && [ -n "$lk_i" ] && echo "$1 $lk_i"; }
crud_lk_stale() { [ -n "$lk_p" ] && [ "$(crud_lk_id "${lk_p%% *}")" != "$lk_p" ]; }
crud_lk_steal() {
mv "$p" "$lk_t.old" 2>/dev/null || return 0
if [ "$(sed -n 1p "$lk_t.old")" = "$lk_p" ]; then crud_say took "took over the stale lock of $lk_o"; else ln "$lk_t.old" "$p" 2>/dev/null; fi
rm -f "$lk_t.old"; }
crud_lk_take() {
lk_d=${p%/*}; lk_n=0; lk_me=$(crud_lk_id $$)
mkdir -p "$lk_d" && lk_t=$(mktemp "$lk_d/.lock.XXXXXX") || return 1
printf '%s\n%s\n' "$lk_me" "$own since $(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$lk_t" && chmod 644 "$lk_t" || return 1
until ln "$lk_t" "$p" 2>/dev/null; do
lk_p=$(sed -n 1p "$p" 2>/dev/null); lk_o=$(sed -n 2p "$p" 2>/dev/null)
[ "$lk_p" != "$lk_me" ] || break
if crud_lk_stale; then crud_lk_steal
elif [ -e "$p" ] && [ "$lk_n" -ge "$w" ]; then rm -f "$lk_t"; echo "locked by $lk_o (its shell on the host is process ${lk_p%% *})" >&2; exit 7
elif [ -e "$p" ]; then lk_n=$((lk_n + 1)); sleep 1
elif [ ! -w "$lk_d" ]; then rm -f "$lk_t"; return 1; fi
done
rm -f "$lk_t"
{ [ -d "$crud_dir" ] || mkdir -m 700 "$crud_dir"; } && printf %s "$p" >"$crud_dir/lock" && echo 'p=$(cat "$crud_dir/lock"); crud_lk_give' >"$crud_dir/exit"; }
crud_lk_give() { [ "$(sed -n 1p "$p" 2>/dev/null)" != "$(crud_lk_id $$)" ] || rm -f "$p"; }
crud_lock() { crud_act crud_lk_take; }
crud_unlock() { crud_act crud_lk_give; }"#,
    needs: &[&GUARD],
};

impl Guarded for Lock {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(self.path.starts_with('/'), "`path` has to be absolute");
        let wait = self.wait.to_string();
        let text = match self.state {
            State::Absent => format!("{}crud_unlock", variables(&[("p", Some(&self.path))])),
            State::Present => {
                let Some(owner) = self.owner.as_deref().filter(|o| !o.is_empty() && !o.contains('\n')) else {
                    anyhow::bail!("`owner` is required with state=present, in one line");
                };
                let given = [("p", Some(&*self.path)), ("own", Some(owner)), ("w", Some(&wait))];
                format!("{}crud_lock", variables(&given))
            }
        };
        Ok(Call::new(text, &LOCK).finish(|said| {
            let mut outcome = said.outcome();
            if let Some(took) = outcome.values.shift_remove("took") {
                outcome.warnings.extend(took.as_str().map(str::to_owned));
            }
            outcome
        }))
    }
}
