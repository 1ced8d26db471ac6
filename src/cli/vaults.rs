//! The vault's passwords, from options and configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::args::VaultArgs;
use super::{passwords, prompt};
use crate::host::Secret;
use crate::language::{Config, Vault};

/// A vault with all passwords that were given or configured.
pub fn of(args: &VaultArgs, config: &Config) -> anyhow::Result<Vault> {
    let mut all = vec![];
    let configured = config.vault_identity_list.iter();
    for id in configured.chain(&args.vault_id) {
        let (label, source) = id.split_once('@').unwrap_or(("default", id));
        let label = if label.is_empty() { "default" } else { label };
        all.push((label.to_owned(), identity(label, source)?));
    }
    for file in &args.vault_password_file {
        all.push(("default".into(), identity("default", file)?));
    }
    if args.ask_vault_pass {
        all.push(("default".into(), Secret::new(prompt::password("Vault password: ")?)));
    }
    if let Some(file) = &config.vault_password_file
        && args.vault_password_file.is_empty()
        && !args.ask_vault_pass
    {
        all.push(("default".into(), identity("default", &file.display().to_string())?));
    }
    Ok(Vault::new(all))
}

/// The password of an identity: asked for, from a file, or from a program (whose name ends in `-client` where it wants the label).
pub fn identity(label: &str, source: &str) -> anyhow::Result<Secret> {
    if matches!(source, "prompt" | "prompt_ask_vault_pass") {
        let question = if label == "default" && source != "prompt" {
            "Vault password: ".to_owned()
        } else {
            format!("Vault password ({label}): ")
        };
        return Ok(Secret::new(prompt::password(&question)?));
    }
    let path = PathBuf::from(crate::language::template::filters::expanduser(source));
    ensure!(path.exists(), "The vault password file {} was not found", shown(&path));
    ensure!(!path.is_dir(), "The vault password file provided '{}' can not be a directory", shown(&path));
    let is_client = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-client"));
    if !is_client {
        return passwords::from_file(&path).map(Secret::new);
    }
    let program = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let mut command = Command::new(program);
    command.args(["--vault-id", label]).stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("the vault client `{}` can't be run", path.display()))?;
    ensure!(output.status.success(), "the vault client `{}` failed: {}", path.display(), output.status);
    let text = String::from_utf8(output.stdout).context("the vault client's answer is no UTF-8")?;
    Ok(Secret::new(text.trim_matches(['\r', '\n']).to_owned()))
}

fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
