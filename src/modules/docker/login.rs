//! `docker_login`: the host's user is logged in to a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::DockerHost;
use crate::host::Script;
use crate::host::script::quote_path;
use crate::modules::guarded::refuse;
use crate::modules::net::http::{Request, send};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Logs the task's user in to a registry, as `docker login` does: the credentials are tried, then kept in `~/.docker/config.json`.
///
/// ```yaml
/// - docker_login:
///     registry_url: registry.example.org
///     username: deploy
///     password: "{{ registry_password }}"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerLogin {
    /// The registry.
    #[serde(default = "hub", alias = "registry", alias = "url")]
    registry_url: String,
    /// The user's name there.
    #[serde(default)]
    username: Option<String>,
    /// The password there.
    #[serde(default)]
    password: Option<String>,
    /// Whether the user is logged in.
    #[serde(default)]
    state: State,
    /// Write the credentials anew.
    #[serde(default, alias = "reauth")]
    reauthorize: bool,
    /// The file of credentials.
    #[serde(default = "config", alias = "dockercfg_path")]
    config_path: String,
    /// Not supported: Docker has no use for it any more.
    #[serde(default)]
    email: Option<String>,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

const HUB: &str = "https://index.docker.io/v1/";

fn hub() -> String {
    HUB.to_owned()
}
fn config() -> String {
    "~/.docker/config.json".to_owned()
}

impl ControllerModule for DockerLogin {
    /// The whole new file.
    type Drift = Value;

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Value>> {
        self.docker_host.ensure_own()?;
        refuse("docker_login", &[("email", self.email.is_some())], "Docker has no use for it any more")?;
        let reply = host.run(Script::new(format!("cat {} 2>/dev/null; exit 0", self.file()))).await?;
        let mut config: Value = if reply.out().trim().is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&reply.stdout)
                .map_err(|e| anyhow::anyhow!("{} is no JSON: {e}", self.config_path))?
        };
        for key in ["credsStore", "credHelpers"] {
            anyhow::ensure!(
                config.get(key).is_none_or(|value| value.as_str().is_some_and(str::is_empty)),
                "{} uses `{key}`: a credential helper can't be written to from here",
                self.config_path
            );
        }
        let key = self.key();
        let now = config["auths"][&key]["auth"].as_str().map(str::to_owned);
        if self.state == State::Absent {
            if now.is_none() {
                return Ok(Verdict::Converged(Outcome::ok()));
            }
            if let Some(auths) = config["auths"].as_object_mut() {
                auths.shift_remove(&key);
            }
            return Ok(Verdict::drift(config));
        }
        let (Some(user), Some(password)) = (&self.username, &self.password) else {
            anyhow::bail!("state is present but all of the following are missing: username, password");
        };
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let outcome = Outcome::ok().with("login_result", json!({"Status": "Login Succeeded", "username": user}));
        if now.as_deref() == Some(auth.as_str()) && !self.reauthorize {
            return Ok(Verdict::Converged(outcome));
        }
        self.try_out(user, password, cx, host).await?;
        config["auths"][&key] = json!({ "auth": auth });
        Ok(Verdict::Drift { drift: config, outcome: Outcome { changed: true, ..outcome } })
    }

    async fn apply<'a>(&'a self, config: Value, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let file = self.file();
        let mut script = Script::new("");
        let upload = script.upload(format!("{config:#}\n").into_bytes());
        script.text = format!(
            "f={file}; umask 077; mkdir -p \"$(dirname \"$f\")\" && cat {upload} >\"$f.crud\" && mv -f \"$f.crud\" \"$f\""
        );
        let reply = host.run(script).await?;
        anyhow::ensure!(reply.status == 0, reply.failure("writing the credentials"));
        let user = self.username.as_deref().unwrap_or_default();
        Ok(Outcome::changed().with("login_result", json!({"Status": "Login Succeeded", "username": user})))
    }
}

impl DockerLogin {
    fn file(&self) -> String {
        match self.config_path.strip_prefix("~/") {
            Some(rest) => format!("\"$HOME\"/{}", crate::host::quote(rest)),
            None => quote_path(&self.config_path),
        }
    }

    /// The name under which Docker keeps the registry.
    fn key(&self) -> String {
        let bare = self.registry_url.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let hub =
            ["docker.io", "index.docker.io", "index.docker.io/v1", "registry-1.docker.io", "registry.hub.docker.com"];
        if hub.contains(&bare) { HUB.to_owned() } else { bare.trim_end_matches("/v2").to_owned() }
    }

    /// Asks the registry (`GET /v2/`), also by way of its token service.
    async fn try_out(&self, user: &str, password: &str, cx: &Context, host: &dyn Access) -> anyhow::Result<()> {
        let key = self.key();
        let name = if key == HUB { "registry-1.docker.io".to_owned() } else { key.clone() };
        let bare = name.rsplit_once(':').map_or(name.as_str(), |(name, _)| name);
        let local = bare == "localhost" || bare.starts_with("127.") || self.registry_url.starts_with("http://");
        let address = format!("{}://{name}/v2/", if local { "http" } else { "https" });
        let ask = async |url: &str, login: bool| {
            let mut request = Request::get(url, std::time::Duration::from_secs(30));
            request.proxy = Request::proxy_of(url, &cx.environment);
            request.login = login.then(|| (user.to_owned(), password.to_owned()));
            request.login_at_once = login;
            send(&request, host).await
        };
        let first = ask(&address, false).await?;
        if first.status == 200 {
            return Ok(());
        }
        let challenge = first.header("www-authenticate").unwrap_or_default().to_owned();
        let part = |name: &str| {
            let rest = challenge.split_once(&format!("{name}=\""))?.1;
            Some(rest.split('"').next().unwrap_or_default().to_owned())
        };
        let answer = if challenge.to_ascii_lowercase().starts_with("bearer") {
            let realm = part("realm").ok_or_else(|| anyhow::anyhow!("the registry {name} names no token service"))?;
            let service = part("service").unwrap_or_default();
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("service", &service)
                .append_pair("account", user)
                .finish();
            ask(&format!("{realm}?{query}"), true).await?
        } else {
            ask(&address, true).await?
        };
        anyhow::ensure!(
            answer.status == 200,
            "Logging into {key} for user {user} failed: the registry answered {} {}",
            answer.status,
            answer.reason
        );
        Ok(())
    }
}
