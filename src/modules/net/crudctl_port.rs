//! `crudctl_port`: whether a port is free, or who has it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Script, ShellFunction};
use crate::modules::guarded::{Call, GUARD, Guarded, variables};
use crate::modules::{Access, Context};

/// Fails where a program other than the ones named listens on a port, and says which it is.
///
/// ```yaml
/// - crudctl_port:
///     port: 80
///     except: [nginx]
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Port {
    /// The TCP port.
    port: u16,
    /// Programs that may listen there, by the names that `ps -o comm` shows.
    #[serde(default)]
    except: Vec<String>,
}

/// `n=PORT crud_owner` sets `o` to `NAME (process PID: COMMAND LINE)` of a program that listens on a TCP port and `on` to its name, by
/// the kernel's tables (proc(5)); both are empty where none is seen. To see those of other users takes root.
static OWNER: ShellFunction = ShellFunction {
    name: "crud_owner",
    text: r#"crud_owner() {
o= on= ow_x=$(printf ':%04X' "$n")
ow_i=$(awk -v p="$ow_x" '$4 == "0A" && substr($2, length($2) - 4) == p { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
[ -n "$ow_i" ] || return 0
ow_l=$(find /proc/[0-9]*/fd -lname "socket:\[$ow_i\]" 2>/dev/null | head -n 1)
ow_p=${ow_l#/proc/}; ow_p=${ow_p%%/*}
[ -n "$ow_p" ] && on=$(cat "/proc/$ow_p/comm") || { on=unknown; o="a program that can't be seen from here"; return 0; }
o="$on (process $ow_p: $(tr '\000' ' ' <"/proc/$ow_p/cmdline" | cut -c 1-200 | sed 's/ *$//'))"; }
crud_port() { crud_owner
[ -z "$o" ] || case " $except " in *" $on "*) ;; *) crud_fail "port $n is taken by $o" ;; esac; }"#,
    needs: &[&GUARD],
};

impl Guarded for Port {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(self.port > 0, "`port` is from 1 to 65535");
        let (port, except) = (self.port.to_string(), self.except.join(" "));
        Ok(Call::new(format!("{}crud_port", variables(&[("n", Some(&port)), ("except", Some(&except))])), &OWNER))
    }
}

/// Who listens on a TCP port of the host: `NAME (process PID: COMMAND LINE)`; none where that can't be told.
pub(in crate::modules) async fn owner(host: &dyn Access, port: u16) -> Option<String> {
    let script = Script::new(format!("n={port}; crud_owner; printf %s \"$o\"")).function(&OWNER);
    let reply = host.run(script).await.ok()?;
    Some(reply.out()).filter(|owner| !owner.is_empty())
}
