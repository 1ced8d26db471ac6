//! Passwords from files, programs and the terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use super::args::{Connection, Privilege};
use super::prompt;
use crate::host::Secret;

/// The login password and the one for becoming another user, as far as they were asked for.
///
/// An empty answer to the second question stands for the first, as with Ansible.
pub fn of_run(connection: &Connection, privilege: &Privilege) -> anyhow::Result<(Option<Secret>, Option<Secret>)> {
    let login = if connection.ask_pass {
        Some(prompt::password("SSH password: ")?)
    } else {
        connection.connection_password_file.as_deref().map(from_file).transpose()?
    };
    let escalate = if privilege.ask_become_pass {
        let question =
            if login.is_some() { "BECOME password[defaults to SSH password]: " } else { "BECOME password: " };
        let answer = prompt::password(question)?;
        if answer.is_empty() { login.clone() } else { Some(answer) }
    } else {
        privilege.become_password_file.as_deref().map(from_file).transpose()?
    };
    Ok((login.map(Secret::new), escalate.map(Secret::new)))
}

/// A file's text without the line end, or what the file prints where it is a program; `-` is stdin.
///
/// # Errors
/// A file that can't be read, a program that fails, no password.
pub fn from_file(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let bytes = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("stdin can't be read")?.into_bytes()
    } else {
        let meta = std::fs::metadata(path).with_context(|| format!("the password file `{shown}` can't be read"))?;
        if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let mut command = Command::new(path);
            command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
            let output = command.output().with_context(|| format!("the password program `{shown}` can't be run"))?;
            if !output.status.success() {
                bail!("the password program `{shown}` failed: {}", output.status);
            }
            output.stdout
        } else {
            std::fs::read(path).with_context(|| format!("the password file `{shown}` can't be read"))?
        }
    };
    let text = String::from_utf8(bytes).with_context(|| format!("the password in `{shown}` is no UTF-8"))?;
    let text = text.trim_matches(['\r', '\n', ' ', '\t']).to_owned();
    ensure!(!text.is_empty(), "the password file `{shown}` is empty");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_a_files_text_or_a_programs_output() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pw");
        std::fs::write(&file, "hunter2\n").unwrap();
        assert_eq!(from_file(&file).unwrap(), "hunter2");
        std::fs::write(&file, "#!/bin/sh\necho from-program\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(from_file(&file).unwrap(), "from-program");
        std::fs::write(&file, "#!/bin/sh\nexit 3\n").unwrap();
        assert!(from_file(&file).unwrap_err().to_string().contains("failed: exit status: 3"));
        let empty = dir.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        assert!(from_file(&empty).unwrap_err().to_string().contains("is empty"));
    }
}
