//! Command lines that run a program as another user.

use super::script::{quote, quote_all};
use super::target::Become;

/// The command line (for the login shell) that runs `argv` as `who`; `prompt` is what is asked for a password, where there is one.
pub(super) fn command_line(who: Option<&Become>, argv: &[String], prompt: &str) -> Result<String, String> {
    let program = quote_all(argv);
    let Some(who) = who else { return Ok(format!("exec {program}")) };
    let user = quote(&who.user);
    let exe = |name: &str| quote(who.exe.as_deref().unwrap_or(name));
    let flags = |usual: &str| who.flags.clone().unwrap_or_else(|| usual.to_owned());
    match who.method.as_str() {
        "sudo" => {
            let flags = flags("-H");
            Ok(match &who.password {
                Some(_) => format!("exec {} {flags} -S -p {} -u {user} -- {program}", exe("sudo"), quote(prompt)),
                None => format!("exec {} {flags} -n -u {user} -- {program}", exe("sudo")),
            })
        }
        "doas" if who.password.is_none() => Ok(format!("exec {} {} -n -u {user} -- {program}", exe("doas"), flags(""))),
        "su" if who.password.is_none() => Ok(format!("exec {} {} {user} -c {}", exe("su"), flags(""), quote(&program))),
        "su" | "doas" => {
            Err(format!("{} asks for its password on a terminal only: use sudo, or log in as {}", who.method, who.user))
        }
        other => Err(format!("the become method `{other}` is not supported; crudctl has sudo, su and doas")),
    }
}

/// What a shell that never came says about why.
pub(super) fn explain(who: &Become, stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(2)..].join("; ");
    let has = |text: &str| stderr.contains(text);
    let method = &who.method;
    let user = &who.user;
    if has("a password is required")
        || has("Authentication required")
        || has("a terminal is required") && who.password.is_none()
    {
        format!(
            "Missing sudo password: {method} wants a password to become `{user}` (hint: --ask-become-pass, or ansible_become_password)"
        )
    } else if has("incorrect password") || has("Sorry, try again") || has("no password was provided") {
        format!("Incorrect sudo password for becoming `{user}`")
    } else if has("not in the sudoers") || has("is not allowed to") || has("not permitted") {
        format!("{method} refuses to become `{user}`: {last}")
    } else if has("not found") || has("No such file") {
        format!(
            "there is no `{}` on the host: {last} (hint: log in as root, or set become_method)",
            who.exe.as_deref().unwrap_or(method)
        )
    } else if has("unknown user") || has("does not exist") {
        format!("there is no user `{user}` on the host: {last}")
    } else {
        format!("could not become `{user}` by {method}: {last}")
    }
}
