//! Credentials as `docker login` keeps them: `config.json` with `auths`, `credsStore` and `credHelpers`.
//!
//! A helper is the program `docker-credential-NAME`; its protocol is that of docker-credential-helpers: the verb as its argument, the
//! registry (or the credentials as JSON) on stdin, JSON on stdout. So no secret stands in an argument list.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::host::Secret;
use crate::image::reference::DEFAULT_REGISTRY;

/// The name under which Docker Hub's credentials are kept.
const HUB: &str = "https://index.docker.io/v1/";

/// Who someone is to a registry.
#[derive(Debug, Clone)]
pub enum Login {
    /// A user and a password (or an access token in its place).
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token of the registry's token service.
    Identity(Secret),
}

impl Login {
    /// The part that must never be shown.
    pub fn secret(&self) -> &str {
        match self {
            Self::Password { password, .. } => password.expose(),
            Self::Identity(token) => token.expose(),
        }
    }
}

/// The file of credentials.
#[derive(Debug, Clone)]
pub struct Credentials {
    path: PathBuf,
    config: Map<String, Value>,
}

impl Credentials {
    /// Reads `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; one that is missing is empty.
    ///
    /// # Errors
    /// It can't be read, or is no JSON object.
    pub fn load() -> Result<Self> {
        Self::read(&folder()?.join("config.json"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It can't be read, or is no JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let config = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON object", path.display()))?;
        Ok(Self { path: path.to_owned(), config })
    }

    /// The credentials for a registry, where there are any.
    ///
    /// # Errors
    /// A credential helper fails, or an entry can't be understood.
    pub async fn find(&self, registry: &str) -> Result<Option<Login>> {
        if let Some(helper) = self.helper(registry) {
            return get(helper, key(registry)).await;
        }
        let auths = self.config.get("auths").and_then(Value::as_object);
        let entry = auths.and_then(|auths| auths.iter().find(|(name, _)| host_of(name) == host_of(key(registry))));
        let Some((name, entry)) = entry else { return Ok(None) };
        let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty());
        if let Some(token) = text("identitytoken") {
            return Ok(Some(Login::Identity(Secret::new(token))));
        }
        let (user, password) = match (text("auth"), text("username"), text("password")) {
            (Some(auth), ..) => {
                let broken = || format!("the entry `{name}` of {} can't be understood", self.path.display());
                let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let decoded = decoded.with_context(broken)?;
                let (user, password) = decoded.split_once(':').with_context(broken)?;
                (user.to_owned(), password.trim_end_matches('\0').to_owned())
            }
            (None, Some(user), Some(password)) => (user.to_owned(), password.to_owned()),
            _ => return Ok(None),
        };
        Ok(Some(Login::Password { user, password: Secret::new(password) }))
    }

    /// The registries of which the file says something; a store of credentials may know more.
    pub fn registries(&self) -> Vec<String> {
        let mut names = vec![DEFAULT_REGISTRY.to_owned()];
        for part in ["auths", "credHelpers"] {
            let entries = self.config.get(part).and_then(Value::as_object).into_iter().flatten();
            names.extend(entries.map(|(name, _)| host_of(name).to_owned()).filter(|name| name != host_of(HUB)));
        }
        names.sort();
        names.dedup();
        names
    }

    /// Keeps credentials: in the helper, where one is configured, else in the file (mode 0600). Says where.
    ///
    /// # Errors
    /// The helper fails, or the file can't be written.
    pub async fn keep(&mut self, registry: &str, user: &str, password: &str) -> Result<String> {
        if let Some(helper) = self.helper(registry) {
            let entry = json!({"ServerURL": key(registry), "Username": user, "Secret": password});
            call(helper, "store", &entry.to_string()).await?;
            return Ok(program(helper));
        }
        self.drop_entries(registry);
        let auths = self.config.entry("auths").or_insert_with(|| json!({}));
        let auths =
            auths.as_object_mut().with_context(|| format!("`auths` of {} is no object", self.path.display()))?;
        auths.insert(key(registry).to_owned(), json!({"auth": STANDARD.encode(format!("{user}:{password}"))}));
        self.write()?;
        Ok(self.path.display().to_string())
    }

    /// Forgets credentials; says whether there were any.
    ///
    /// # Errors
    /// The helper fails, or the file can't be written.
    pub async fn forget(&mut self, registry: &str) -> Result<bool> {
        let mut found = false;
        if let Some(helper) = self.helper(registry)
            && get(helper, key(registry)).await?.is_some()
        {
            call(helper, "erase", key(registry)).await?;
            found = true;
        }
        if self.drop_entries(registry) {
            self.write()?;
            found = true;
        }
        Ok(found)
    }

    /// Removes the entries of a registry, under all of its names.
    fn drop_entries(&mut self, registry: &str) -> bool {
        let Some(auths) = self.config.get_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|name, _| host_of(name) != host_of(key(registry)));
        auths.len() != before
    }

    fn helper(&self, registry: &str) -> Option<&str> {
        let helpers = self.config.get("credHelpers").and_then(Value::as_object);
        let own = helpers.and_then(|helpers| helpers.get(registry).or_else(|| helpers.get(key(registry))));
        own.or_else(|| self.config.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// In place of the old file at once, never readable by others.
    fn write(&self) -> Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let folder = self.path.parent().with_context(failed)?;
        std::fs::create_dir_all(folder).with_context(failed)?;
        // Its files have mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
        let mut text = serde_json::to_string_pretty(&self.config).with_context(failed)?;
        text.push('\n');
        file.write_all(text.as_bytes()).with_context(failed)?;
        file.persist(&self.path).with_context(failed)?;
        Ok(())
    }
}

/// Docker's folder of configuration.
pub fn folder() -> Result<PathBuf> {
    match std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(folder.into()),
        None => Ok(std::env::home_dir().context("neither DOCKER_CONFIG nor HOME is set")?.join(".docker")),
    }
}

/// The name under which a registry's credentials are kept.
pub(in crate::image) fn key(registry: &str) -> &str {
    if registry == DEFAULT_REGISTRY { HUB } else { registry }
}

/// The host (and port) in a key, which may be a URL.
fn host_of(key: &str) -> &str {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    bare.split('/').next().unwrap_or(bare)
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

async fn get(helper: &str, key: &str) -> Result<Option<Login>> {
    let Some(text) = call(helper, "get", key).await? else { return Ok(None) };
    let program = program(helper);
    let answer: Value = serde_json::from_str(&text).map_err(|_| anyhow::anyhow!("{program} did not answer in JSON"))?;
    let (Some(user), Some(secret)) = (answer["Username"].as_str(), answer["Secret"].as_str()) else {
        bail!("{program} answered without user and secret");
    };
    let secret = Secret::new(secret);
    Ok(Some(match user {
        "<token>" => Login::Identity(secret),
        user => Login::Password { user: user.to_owned(), password: secret },
    }))
}

/// Runs a helper; `None` where it knows no credentials.
async fn call(helper: &str, verb: &str, input: &str) -> Result<Option<String>> {
    ensure!(!helper.contains('/'), "`{helper}` can't be the name of a credential helper");
    let program = program(helper);
    let cannot = || format!("{program} can't be run (it is named by Docker's config.json)");
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()).await {
            // One that does not read its input says by its status what it makes of that.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error).with_context(cannot),
            _ => {}
        }
    }
    let output = child.wait_with_output().await.with_context(cannot)?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(Some(text));
    }
    // The protocol has errors on stdout, and no status of its own for this one.
    if text.contains("credentials not found") {
        return Ok(None);
    }
    let said = if text.is_empty() { String::from_utf8_lossy(&output.stderr).trim().to_owned() } else { text };
    bail!("{program} {verb} failed ({}): {said}", output.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    async fn found(config: &str, registry: &str) -> Option<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        match Credentials::read(&path).unwrap().find(registry).await.unwrap()? {
            Login::Password { user, password } => Some((user, password.expose().to_owned())),
            Login::Identity(token) => Some(("<token>".into(), token.expose().to_owned())),
        }
    }

    #[tokio::test]
    async fn entries_are_found_under_the_names_that_docker_gives_them() {
        let auth = STANDARD.encode("me:pass:word");
        let pair = Some(("me".to_owned(), "pass:word".to_owned()));
        for (name, registry) in [
            ("reg.example.org:5000", "reg.example.org:5000"),
            ("https://reg.example.org/v2/", "reg.example.org"),
            ("https://index.docker.io/v1/", "docker.io"),
        ] {
            let config = json!({"auths": {name: {"auth": auth}}}).to_string();
            assert_eq!(found(&config, registry).await, pair, "{name}");
            assert_eq!(found(&config, "other.example.org").await, None);
        }
        let token = json!({"auths": {"r.example.org": {"auth": auth, "identitytoken": "t"}}}).to_string();
        assert_eq!(found(&token, "r.example.org").await, Some(("<token>".into(), "t".into())));
    }

    #[tokio::test]
    async fn the_file_is_for_its_owner_alone_and_keeps_what_else_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.json");
        let mut credentials = Credentials::read(&path).unwrap();
        credentials.config.insert("psFormat".into(), "x".into());
        credentials.keep("docker.io", "me", "secret").await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut again = Credentials::read(&path).unwrap();
        assert_eq!(again.config["auths"][HUB]["auth"], STANDARD.encode("me:secret"));
        assert!(again.forget("docker.io").await.unwrap() && !again.forget("docker.io").await.unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\n  \"auths\": {},\n  \"psFormat\": \"x\"\n}\n"
                .replace("\"auths\": {},\n  \"psFormat\": \"x\"", "\"psFormat\": \"x\",\n  \"auths\": {}")
        );
    }

    #[tokio::test]
    async fn a_broken_entry_does_not_show_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"auths": {"r.example.org": {"auth": "c2VjcmV0"}}}"#).unwrap();
        let error = Credentials::read(&path).unwrap().find("r.example.org").await.unwrap_err().to_string();
        assert!(error.contains("r.example.org") && !error.contains("c2VjcmV0") && !error.contains("secret"), "{error}");
    }
}
