//! `crudctl vault`, and `ansible-vault`: secrets in files and variables.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};

use super::args::VaultArgs;
use super::exit::Exit;
use super::{complain, prompt, say, vaults};
use crate::host::Secret;
use crate::language::{Config, Vault};

/// Encrypt and decrypt files and values
#[derive(Debug, Args)]
pub struct VaultVerb {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Encrypt files in place (stdin to stdout, where none is named)
    Encrypt(Files),
    /// Decrypt files in place (stdin to stdout, where none is named)
    Decrypt(Files),
    /// Show what encrypted files hold
    View(Files),
    /// Edit an encrypted file
    Edit(Files),
    /// Make a new encrypted file in the editor
    Create(Files),
    /// Encrypt files again under another password
    Rekey(Rekey),
    /// Encrypt a value, as YAML to paste into a file
    #[command(name = "encrypt_string", alias = "encrypt-string")]
    EncryptString(Text),
}

#[derive(Debug, Args)]
struct Files {
    /// The files
    files: Vec<PathBuf>,
    /// Write here; `-`: stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Encrypt with the password of this identity
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
    #[command(flatten)]
    vault: VaultArgs,
}

#[derive(Debug, Args)]
struct Rekey {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Read the new password from this file
    #[arg(long, value_name = "FILE")]
    new_vault_password_file: Option<PathBuf>,
    /// The new identity: `LABEL@SOURCE`
    #[arg(long, value_name = "ID")]
    new_vault_id: Option<String>,
    #[command(flatten)]
    vault: VaultArgs,
}

#[derive(Debug, Args)]
struct Text {
    /// The values; none: stdin
    values: Vec<String>,
    /// The variable's name
    #[arg(short, long, value_name = "NAME")]
    name: Vec<String>,
    /// The name of the variable whose value stdin is
    #[arg(long, value_name = "NAME")]
    stdin_name: Option<String>,
    /// Ask for the value
    #[arg(short, long)]
    prompt: bool,
    /// Encrypt with the password of this identity
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
    #[command(flatten)]
    vault: VaultArgs,
}

impl VaultVerb {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        match &self.action {
            Action::Encrypt(files) => encrypt(files)?,
            Action::Decrypt(files) => decrypt(files)?,
            Action::View(files) => view(files)?,
            Action::Edit(files) => edit(files, false)?,
            Action::Create(files) => edit(files, true)?,
            Action::Rekey(rekey) => self::rekey(rekey)?,
            Action::EncryptString(text) => encrypt_string(text)?,
        }
        Ok(Exit::Ok)
    }
}

/// The passwords that were named; asks for one where none was.
fn open(args: &VaultArgs, new: bool) -> anyhow::Result<(Vault, Option<String>)> {
    let cwd = std::env::current_dir().context("the working directory is gone")?;
    let (config, warnings) = Config::load(&cwd);
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    let named = !args.vault_id.is_empty() || !args.vault_password_file.is_empty();
    let configured = config.vault_password_file.is_some() || !config.vault_identity_list.is_empty();
    if named || (configured && !args.ask_vault_pass) {
        // Values are encrypted under the first that was named on the command line.
        let label = args.vault_id.first().map(|id| id.split_once('@').map_or("default", |(label, _)| label).to_owned());
        return Ok((vaults::of(args, &config)?, label));
    }
    let password = if new {
        prompt::new_password("New Vault password: ", "Confirm New Vault password: ")?
    } else {
        prompt::password("Vault password: ")?
    };
    Ok((Vault::new(vec![("default".into(), Secret::new(password))]), None))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = vec![];
        std::io::stdin().read_to_end(&mut bytes).context("stdin can't be read")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("can't read `{}`", path.display()))
}

/// Writes a file by a rename, so that it is never half written; its mode stays, a new one is its owner's alone.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        return out.write_all(bytes).and_then(|()| out.flush()).context("can't write to stdout");
    }
    let dir = super::common::directory(path);
    let mut file =
        tempfile::NamedTempFile::new_in(&dir).with_context(|| format!("can't write in `{}`", dir.display()))?;
    file.write_all(bytes).with_context(|| format!("can't write `{}`", path.display()))?;
    if let Ok(meta) = std::fs::metadata(path) {
        file.as_file()
            .set_permissions(meta.permissions())
            .with_context(|| format!("can't write `{}`", path.display()))?;
    }
    file.persist(path).with_context(|| format!("can't write `{}`", path.display()))?;
    Ok(())
}

fn sources(files: &Files) -> anyhow::Result<Vec<PathBuf>> {
    let list = if files.files.is_empty() { vec![PathBuf::from("-")] } else { files.files.clone() };
    ensure!(files.output.is_none() || list.len() == 1, "`--output` goes with one file only");
    Ok(list)
}

fn target<'a>(files: &'a Files, source: &'a Path) -> &'a Path {
    files.output.as_deref().unwrap_or(source)
}

fn encrypt(files: &Files) -> anyhow::Result<()> {
    let (vault, label) = open(&files.vault, true)?;
    let id = files.encrypt_vault_id.as_deref().or(label.as_deref());
    for source in sources(files)? {
        let plain = read(&source)?;
        ensure!(!Vault::is_vaulted(&plain), "`{}` is already encrypted", source.display());
        write(target(files, &source), vault.encrypt(&plain, id)?.as_bytes())?;
    }
    done("Encryption successful");
    Ok(())
}

fn plain(vault: &Vault, source: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = read(source)?;
    ensure!(Vault::is_vaulted(&bytes), "`{}` is not encrypted", source.display());
    let text = String::from_utf8(bytes).with_context(|| format!("`{}` is damaged", source.display()))?;
    vault.decrypt_bytes(&text).with_context(|| format!("`{}` can't be decrypted", source.display()))
}

fn decrypt(files: &Files) -> anyhow::Result<()> {
    let (vault, _) = open(&files.vault, false)?;
    for source in sources(files)? {
        write(target(files, &source), &plain(&vault, &source)?)?;
    }
    done("Decryption successful");
    Ok(())
}

/// A remark for people: where stdout is data, it would spoil it.
fn done(text: &str) {
    if std::io::stdout().is_terminal() {
        complain(text);
    }
}

fn view(files: &Files) -> anyhow::Result<()> {
    let (vault, _) = open(&files.vault, false)?;
    for source in sources(files)? {
        write(Path::new("-"), &plain(&vault, &source)?)?;
    }
    Ok(())
}

/// Lets the user's editor change the plain text, which stands in a file that only they can read and that is gone afterwards.
fn edit(files: &Files, new: bool) -> anyhow::Result<()> {
    let [source] = files.files.as_slice() else { anyhow::bail!("one file is edited at a time") };
    ensure!(!new || !source.exists(), "`{}` exists: edit it", source.display());
    let (vault, label) = open(&files.vault, new)?;
    let before = if new { vec![] } else { plain(&vault, source)? };
    let suffix = source.extension().map_or_else(String::new, |extension| format!(".{}", extension.to_string_lossy()));
    let mut file = tempfile::Builder::new().suffix(&suffix).tempfile().context("can't make a temporary file")?;
    file.write_all(&before).and_then(|()| file.flush()).context("can't write a temporary file")?;
    let editor = std::env::var("EDITOR").ok().filter(|editor| !editor.is_empty()).unwrap_or_else(|| "vi".into());
    let mut words = shlex::split(&editor).filter(|words| !words.is_empty()).context("$EDITOR has unbalanced quotes")?;
    let status = Command::new(words.remove(0))
        .args(words)
        .arg(file.path())
        .status()
        .with_context(|| format!("the editor `{editor}` can't be run"))?;
    ensure!(status.success(), "the editor `{editor}` failed: {status}; nothing is changed");
    let after = std::fs::read(file.path()).context("the edited text can't be read")?;
    if after != before || new {
        let id = files.encrypt_vault_id.as_deref().or(label.as_deref());
        write(source, vault.encrypt(&after, id)?.as_bytes())?;
    }
    Ok(())
}

fn rekey(rekey: &Rekey) -> anyhow::Result<()> {
    let (vault, _) = open(&rekey.vault, false)?;
    let (label, password) = match (&rekey.new_vault_id, &rekey.new_vault_password_file) {
        (Some(id), _) => {
            let (label, source) = id.split_once('@').unwrap_or(("default", id));
            (label.to_owned(), vaults::identity(label, source)?)
        }
        (None, Some(file)) => ("default".into(), vaults::identity("default", &file.display().to_string())?),
        (None, None) => {
            let password = prompt::new_password("New Vault password: ", "Confirm New Vault password: ")?;
            ("default".into(), Secret::new(password))
        }
    };
    let new = Vault::new(vec![(label, password)]);
    // All are decrypted before the first is written: a wrong password changes nothing.
    let texts = rekey.files.iter().map(|file| plain(&vault, file)).collect::<anyhow::Result<Vec<_>>>()?;
    for (file, text) in rekey.files.iter().zip(texts) {
        write(file, new.encrypt(&text, None)?.as_bytes())?;
    }
    done("Rekey successful");
    Ok(())
}

fn encrypt_string(text: &Text) -> anyhow::Result<()> {
    let (vault, label) = open(&text.vault, true)?;
    let id = text.encrypt_vault_id.as_deref().or(label.as_deref());
    let mut values: Vec<(Option<String>, String)> =
        text.values.iter().enumerate().map(|(i, value)| (text.name.get(i).cloned(), value.clone())).collect();
    if text.prompt {
        values.push((text.name.get(values.len()).cloned(), prompt::password("String to encrypt: ")?));
    } else if values.is_empty() || text.stdin_name.is_some() {
        let bytes = read(Path::new("-"))?;
        let value = String::from_utf8(bytes).context("stdin is no UTF-8 text")?;
        values.push((text.stdin_name.clone().or_else(|| text.name.first().cloned()), value));
    }
    for (name, value) in values {
        let lines = vault.encrypt(value.as_bytes(), id)?;
        let name = name.map_or_else(String::new, |name| format!("{name}: "));
        let lines: Vec<String> = lines.lines().map(|line| format!("          {line}")).collect();
        say(&format!("{name}!vault |\n{}", lines.join("\n")));
    }
    Ok(())
}
