//! Becoming another user: command lines, the password's prompt, and what refusals mean.

use std::time::Duration;

use anyhow::bail;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::process::Process;
use super::script::{quote, quote_all};
use super::target::Become;

/// How long a prompt that is not the one asked for (PAM may have its own) has to stand before it is answered.
const SILENCE: Duration = Duration::from_secs(1);

/// The command line (for the login shell) that runs `argv` as `who`. With a password, `nonce` is the prompt, and what the program
/// says first, so that one can tell whether it was wanted at all.
pub(super) fn command_line(who: &Become, argv: &[String], nonce: &str) -> Result<String, String> {
    let program = match &who.password {
        None => quote_all(argv),
        Some(_) => format!("sh -c {} sh {}", quote(&format!("echo {nonce}; exec \"$@\"")), quote_all(argv)),
    };
    let user = quote(&who.user);
    let exe = |name: &str| quote(who.exe.as_deref().unwrap_or(name));
    let flags = |usual: &str| who.flags.clone().unwrap_or_else(|| usual.to_owned());
    Ok(match (who.method.as_str(), &who.password) {
        ("sudo", Some(_)) => {
            // It may ask now.
            let flags: Vec<String> =
                flags("-H").split_whitespace().filter(|f| !matches!(*f, "-n" | "-S")).map(str::to_owned).collect();
            format!("exec {} {} -S -p {nonce} -u {user} -- {program}", exe("sudo"), flags.join(" "))
        }
        ("sudo", None) => {
            let sudo = format!("exec {} {} -n -u {user} -- {program}", exe("sudo"), flags("-H"));
            if who.exe.is_some() || who.flags.is_some() {
                return Ok(sudo);
            }
            // A bare machine has no sudo, and root needs none. The program stays a list: what is quoted twice grows.
            let su = format!("exec su -s /bin/sh -c 'exec \"$0\" \"$@\"' -- {user} \"$@\"");
            let sudo = format!("exec sudo -H -n -u {user} -- \"$@\"");
            let line = format!("command -v sudo >/dev/null || {{ [ \"$(id -u)\" != 0 ] || {su}; }}; {sudo}");
            format!("exec sh -c {} sh {program}", quote(&line))
        }
        ("doas", None) => format!("exec {} {} -n -u {user} -- {program}", exe("doas"), flags("")),
        ("su", _) => format!("exec {} {} {user} -c {}", exe("su"), flags(""), quote(&format!("exec {program}"))),
        ("doas", Some(_)) => {
            return Err(format!(
                "doas asks for its password on a terminal only: use sudo or su, or log in as `{}`",
                who.user
            ));
        }
        (other, _) => {
            return Err(format!("the become method `{other}` is not supported; crudctl has sudo, su and doas"));
        }
    })
}

/// Waits for the prompt or for the program, whichever comes, and answers the prompt once.
pub(super) async fn ask(process: Process, who: &Become, password: &str, nonce: &str) -> anyhow::Result<Process> {
    let (mut stdin, mut stdout, mut stderr, child) = process.split()?;
    let (mut said, mut complained) = (vec![], vec![]);
    let (mut answered, mut listening) = (false, true);
    let (mut a, mut b) = ([0u8; 1], [0u8; 1]);
    let start = format!("{nonce}\n");
    loop {
        // `su` writes its prompt to stderr as PAM has it; stdout is where some systems have it.
        let prompt = complained.ends_with(nonce.as_bytes()) || complained.ends_with(b"assword: ");
        let silent = complained.ends_with(b": ") || said.ends_with(b": ");
        if prompt && !answered {
            answered = true;
            complained.clear();
            stdin.write_all(format!("{password}\n").as_bytes()).await?;
            stdin.flush().await?;
            continue;
        }
        if prompt {
            bail!(privilege_refused(who));
        }
        tokio::select! {
            n = stdout.read(&mut a) => {
                if n.unwrap_or(0) == 0 {
                    let mut rest = vec![];
                    let _ = tokio::time::timeout(Duration::from_secs(1), stderr.read_to_end(&mut rest)).await;
                    complained.extend(rest);
                    bail!(explain(who, &String::from_utf8_lossy(&complained)));
                }
                said.push(a[0]);
                if said.ends_with(start.as_bytes()) {
                    return Ok(Process::join(stdin, stdout, stderr, child));
                }
            }
            n = stderr.read(&mut b), if listening => {
                if n.unwrap_or(0) == 0 {
                    listening = false;
                } else {
                    complained.push(b[0]);
                }
            }
            () = tokio::time::sleep(SILENCE), if silent && !answered => {
                said.clear();
                complained.extend_from_slice(b" assword: ");
            }
        }
    }
}

fn privilege_refused(who: &Become) -> String {
    format!("Incorrect {} password for becoming `{}`", who.method, who.user)
}

/// What a shell that never came says about why.
pub(super) fn explain(who: &Become, stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(2)..].join("; ");
    let has = |text: &str| stderr.contains(text);
    let (method, user) = (&who.method, &who.user);
    if has("must have a tty") {
        format!("{method} wants a terminal to become `{user}` (hint: `Defaults !requiretty` in sudoers)")
    } else if has("a password is required")
        || has("Authentication required")
        || has("a terminal is required") && who.password.is_none()
    {
        format!(
            "Missing {method} password: {method} wants a password to become `{user}` (hint: --ask-become-pass, or ansible_become_password)"
        )
    } else if has("incorrect password") || has("Sorry, try again") || has("no password was provided") {
        privilege_refused(who)
    } else if has("Authentication failure") {
        match who.password {
            Some(_) => privilege_refused(who),
            None => format!(
                "Missing {method} password: {method} wants a password to become `{user}` (hint: --ask-become-pass, or ansible_become_password)"
            ),
        }
    } else if has("not in the sudoers") || has("is not allowed to") || has("not permitted") || has("may not run") {
        format!("{method} refuses to become `{user}`: {last}")
    } else if has("unknown user") || has("does not exist") {
        format!("there is no user `{user}` on the host: {last}")
    } else if has("not found") || has("No such file") {
        format!(
            "there is no `{}` on the host: {last} (hint: log in as root, or set become_method)",
            who.exe.as_deref().unwrap_or(method)
        )
    } else {
        format!("could not become `{user}` by {method}: {last}")
    }
}
