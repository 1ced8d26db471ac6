//! `apt_key`: keys that apt trusts.

use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::openpgp::{self, Key};
use crate::host::Script;
use crate::host::script::{decode_base64, quote_path};
use crate::modules::guarded::yes;
use crate::modules::net::http::{Request, send};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Adds keys that apt trusts for all repositories, or removes them.
///
/// Neither gpg nor `apt-key` is needed: a key goes to `/etc/apt/trusted.gpg.d/ID.gpg`, or to `keyring`. Keys are known by their
/// fingerprints, which are computed here. `deb822_repository` with `signed_by` trusts a key for one repository alone.
///
/// ```yaml
/// - apt_key:
///     url: https://download.docker.com/linux/debian/gpg
///     state: present
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AptKey {
    /// The key's fingerprint or id. Where it is given, a present key is not downloaded again.
    #[serde(default)]
    id: Option<String>,
    /// The key itself.
    #[serde(default)]
    data: Option<String>,
    /// Its file on the host.
    #[serde(default)]
    file: Option<String>,
    /// Where it is downloaded from.
    #[serde(default)]
    url: Option<String>,
    /// A keyserver that knows `id`.
    #[serde(default)]
    keyserver: Option<String>,
    /// The keyring that it belongs to.
    #[serde(default)]
    keyring: Option<String>,
    /// Whether apt trusts it.
    #[serde(default)]
    state: State,
    /// Check the certificate of the URL's server.
    #[serde(default = "yes")]
    validate_certs: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

/// What has to be done.
pub(super) enum Drift {
    /// These keys have to be added to this file, behind what it holds.
    Add { file: String, old: Vec<u8>, keys: Vec<Key> },
    /// Files and what remains of them.
    Remove { id: String, files: Vec<(String, Vec<u8>)> },
}

/// A keyring of the host.
struct Ring {
    file: String,
    keys: Vec<Key>,
}

impl ControllerModule for AptKey {
    type Drift = Drift;

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        let id = self.id()?;
        let sources = [&self.data, &self.file, &self.url, &self.keyserver].iter().filter(|s| s.is_some()).count();
        anyhow::ensure!(sources <= 1, "parameters are mutually exclusive: data|file|keyserver|url");
        anyhow::ensure!(
            sources == 1 || id.is_some(),
            "one of the following is required: data, file, id, keyserver, url"
        );
        let rings = self.rings(host).await?;
        let has = |id: &str| rings.iter().flat_map(|ring| &ring.keys).any(|key| key.is(id));
        if self.state == State::Absent {
            let ids = match &id {
                Some(id) => vec![id.clone()],
                None => self.keys(None, cx, host).await?.iter().map(|key| key.fingerprint().to_owned()).collect(),
            };
            return Ok(Self::absent(&ids, rings));
        }
        if let Some(id) = id.as_deref().filter(|id| has(id)) {
            return Ok(Verdict::Converged(described(Outcome::ok(), id)));
        }
        let keys = self.keys(id.as_deref(), cx, host).await?;
        if let Some(id) = &id {
            let found = keys.iter().any(|key| key.is(id));
            anyhow::ensure!(found, "the key does not have the id {id}: it is {}", ids(&keys));
        }
        let missing: Vec<Key> = keys.iter().filter(|key| !has(key.fingerprint())).cloned().collect();
        let first = keys.first().context("there is no key")?;
        let outcome = described(Outcome::ok(), id.as_deref().unwrap_or(first.fingerprint()));
        if missing.is_empty() {
            return Ok(Verdict::Converged(outcome));
        }
        let (file, old) = match &self.keyring {
            None => (format!("/etc/apt/trusted.gpg.d/{}.gpg", first.id()), Vec::new()),
            Some(file) => {
                let old = rings.into_iter().find(|ring| ring.file == *file).map(|ring| ring.keys).unwrap_or_default();
                (file.clone(), old.into_iter().flat_map(|key| key.packets).collect())
            }
        };
        Ok(Verdict::Drift {
            drift: Drift::Add { file, old, keys: missing },
            outcome: Outcome { changed: true, ..outcome },
        })
    }

    async fn apply<'a>(&'a self, drift: Drift, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let mut script = Script::new("set -e\n");
        let mut put = |file: &str, content: Vec<u8>| {
            let word = quote_path(file);
            if content.is_empty() {
                script.line(format!("rm -f -- {word}"));
                return;
            }
            let upload = script.upload(content);
            script.line(format!(
                "mkdir -p -- \"$(dirname -- {word})\"; cat {upload} >{word}.crud; chmod 644 {word}.crud; mv -f -- {word}.crud {word}"
            ));
        };
        let named = match drift {
            Drift::Add { file, mut old, keys } => {
                let named = keys.first().map(|key| key.fingerprint().to_owned()).unwrap_or_default();
                old.extend(keys.into_iter().flat_map(|key| key.packets));
                put(&file, old);
                named
            }
            Drift::Remove { id, files } => {
                for (file, rest) in files {
                    // What remains of an armoured file is not armoured any more.
                    let binary = file.strip_suffix(".asc").map(|stem| format!("{stem}.gpg"));
                    if let Some(binary) = binary.filter(|_| !rest.is_empty()) {
                        put(&file, Vec::new());
                        put(&binary, rest);
                    } else {
                        put(&file, rest);
                    }
                }
                id
            }
        };
        let reply = host.run(script).await?;
        anyhow::ensure!(reply.status == 0, reply.failure("writing the keyring"));
        let id = self.id()?.unwrap_or(named);
        Ok(described(Outcome::changed(), &id))
    }
}

/// The result's names for a key.
fn described(outcome: Outcome, id: &str) -> Outcome {
    let last = |n: usize| id[id.len().saturating_sub(n)..].to_owned();
    let outcome = outcome.with("id", id).with("short_id", last(8)).with("key_id", last(16));
    if id.len() >= 40 { outcome.with("fp", id) } else { outcome }
}

fn ids(keys: &[Key]) -> String {
    keys.iter().map(Key::fingerprint).collect::<Vec<_>>().join(", ")
}

impl AptKey {
    /// The id in upper case, without blanks and `0x`.
    fn id(&self) -> anyhow::Result<Option<String>> {
        let Some(id) = &self.id else { return Ok(None) };
        let plain: String = id.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
        let plain = plain.strip_prefix("0X").unwrap_or(&plain).to_owned();
        anyhow::ensure!(
            matches!(plain.len(), 8 | 16 | 40 | 64) && plain.chars().all(|c| c.is_ascii_hexdigit()),
            "Invalid key_id: `{id}` has to be 8, 16 or 40 hexadecimal digits"
        );
        Ok(Some(plain))
    }

    /// The keyrings that apt reads, or the one that is asked for.
    async fn rings(&self, host: &dyn Access) -> anyhow::Result<Vec<Ring>> {
        let files = match &self.keyring {
            Some(file) => quote_path(file),
            None => "/etc/apt/trusted.gpg /etc/apt/trusted.gpg.d/*.gpg /etc/apt/trusted.gpg.d/*.asc".to_owned(),
        };
        let reply = host
            .run(Script::new(format!(
                "for f in {files}; do [ -s \"$f\" ] || continue; printf '@@%s\\n' \"$f\"; base64 <\"$f\" || exit 1; done"
            )))
            .await?;
        anyhow::ensure!(reply.status == 0, reply.failure("reading the keyrings of apt"));
        let mut rings = Vec::new();
        for part in reply.out().split("@@").filter(|part| !part.is_empty()) {
            let (file, content) = part.split_once('\n').unwrap_or((part, ""));
            let keys = openpgp::keys(&decode_base64(content)?);
            let keys = match keys {
                Ok(keys) => keys,
                // Another's broken file is not this task's matter; the task's own is.
                Err(error) if self.keyring.is_some() => return Err(error.context(format!("the keyring {file}"))),
                Err(_) => continue,
            };
            rings.push(Ring { file: file.to_owned(), keys });
        }
        Ok(rings)
    }

    fn absent(ids: &[String], rings: Vec<Ring>) -> Verdict<Drift> {
        let id = ids.first().cloned().unwrap_or_default();
        let outcome = described(Outcome::ok(), &id);
        let mut files = Vec::new();
        for ring in rings {
            let (gone, kept): (Vec<Key>, Vec<Key>) =
                ring.keys.into_iter().partition(|key| ids.iter().any(|id| key.is(id)));
            if !gone.is_empty() {
                files.push((ring.file, kept.into_iter().flat_map(|key| key.packets).collect::<Vec<u8>>()));
            }
        }
        if files.is_empty() {
            return Verdict::Converged(outcome);
        }
        Verdict::Drift { drift: Drift::Remove { id, files }, outcome: Outcome { changed: true, ..outcome } }
    }

    /// The keys that the task is about, from wherever they come.
    async fn keys(&self, id: Option<&str>, cx: &Context, host: &dyn Access) -> anyhow::Result<Vec<Key>> {
        if let Some(data) = &self.data {
            return openpgp::keys(data.as_bytes()).context("`data` is no key");
        }
        if let Some(file) = &self.file {
            let reply = host.run(Script::new(format!("cat {}", quote_path(file)))).await?;
            anyhow::ensure!(reply.status == 0, reply.failure(&format!("reading {file} on the host")));
            return openpgp::keys(&reply.stdout).with_context(|| format!("{file} is no key"));
        }
        let url = match (&self.url, &self.keyserver) {
            (Some(url), _) => url.clone(),
            (None, Some(server)) => key_server(server, id.context("`keyserver` needs `id`")?),
            (None, None) => {
                anyhow::bail!("the key is not there, and no data, file, keyserver or url says where to get it")
            }
        };
        let mut request = Request::get(&url, Duration::from_secs(30));
        request.trust.anyone = !self.validate_certs;
        request.proxy = Request::proxy_of(&url, &cx.environment);
        let response = send(&request, host).await.with_context(|| format!("Failed to download key at {url}"))?;
        anyhow::ensure!(
            response.status == 200,
            "Failed to download key at {url}: HTTP Error {}: {}",
            response.status,
            response.reason
        );
        openpgp::keys(&response.body).with_context(|| format!("what {url} gave is no key"))
    }
}

/// The address of a key at a keyserver (the HKP draft).
fn key_server(server: &str, id: &str) -> String {
    let base = match server.split_once("://") {
        None => format!("http://{}", with_port(server)),
        Some(("hkp", rest)) => format!("http://{}", with_port(rest)),
        Some(("hkps", rest)) => format!("https://{rest}"),
        Some(_) => server.to_owned(),
    };
    format!("{}/pks/lookup?op=get&options=mr&search=0x{id}", base.trim_end_matches('/'))
}

fn with_port(server: &str) -> String {
    let server = server.trim_end_matches('/');
    if server.contains(':') { server.to_owned() } else { format!("{server}:11371") }
}
