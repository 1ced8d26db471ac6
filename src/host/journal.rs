//! The journal of owed handlers: lines that a script writes on the host before it changes something, and that are struck out once
//! the handlers have run. So a run that is killed at any point, or whose host fails, leaves word to the next one.
//!
//! Each user has a journal of its own: `/var/lib/crudctl/owed`, or `~/.local/state/crudctl/owed` without the right to write there.
//! It is read when a shell starts, with the shell's first words.

use super::script::{Script, ShellFunction, quote, quote_all};

/// What a shell begins with: `crud_owes` writes `$crud_o` to the journal, once; what is in the journal is printed.
/// A host that can't keep a journal (a full or read-only disk) still does its tasks, so errors of writing it are not the task's.
pub(super) const PRELUDE: &str = r#"crud_j=$HOME/.local/state; [ ! -w /var/lib ] || crud_j=/var/lib; crud_j=$crud_j/crudctl/owed
crud_owes() { { [ -d "${crud_j%/*}" ] || mkdir -p "${crud_j%/*}"; printf '%s\n' "$crud_o" >>"$crud_j"; } 2>/dev/null; crud_o=; }
[ ! -s "$crud_j" ] || sort -u "$crud_j"
"#;

/// The name of the function by which guarded scripts do a change: they write to the journal by themselves, and only then.
const GUARD: &str = "crud_do";

/// Text in front of a script that owes these lines.
pub(super) fn note(script: &Script, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let now = if notes_itself(script) { "" } else { "crud_owes\n" };
    format!("crud_o={}\n{now}", quote(&lines.join("\n")))
}

/// Whether a script writes to the journal only where it changes something.
pub(super) fn notes_itself(script: &Script) -> bool {
    fn calls_guard(function: &ShellFunction) -> bool {
        function.name == GUARD || function.needs.iter().any(|needed| calls_guard(needed))
    }
    script.functions.iter().any(|function| calls_guard(function))
}

/// A script that writes these lines.
pub(super) fn write(lines: &[String]) -> Script {
    Script::new(format!("crud_o={}; crud_owes", quote(&lines.join("\n"))))
}

/// A script that strikes lines out, and removes a journal that is empty.
pub(super) fn strike(lines: &[String]) -> Script {
    let patterns = lines.iter().flat_map(|line| ["-e", line]);
    Script::new(format!(
        "[ -e \"$crud_j\" ] || exit 0; umask 077; grep -vxF {} \"$crud_j\" >\"$crud_j.$$\"; \
         if [ -s \"$crud_j.$$\" ]; then mv -f \"$crud_j.$$\" \"$crud_j\"; else rm -f \"$crud_j\" \"$crud_j.$$\"; \
         rmdir \"${{crud_j%/*}}\" 2>/dev/null || :; fi",
        quote_all(patterns)
    ))
}
