//! `crudctl login` and `logout`: credentials for registries, kept where Docker keeps them.

use std::io::Read as _;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use super::exit::Exit;
use super::registry::{Trust, block_on, registry_name};
use super::{prompt, say};
use crate::host::Secret;
use crate::image::reference::DEFAULT_REGISTRY;
use crate::image::registry::{Credentials, Registry};

/// Log in to a registry: the credentials are tried, then kept as `docker login` keeps them
///
/// They are kept by Docker's credential helper, where one is configured, else in ~/.docker/config.json (mode 0600).
#[derive(Debug, Args)]
pub struct Login {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = DEFAULT_REGISTRY)]
    registry: String,
    /// The user [default: is asked for]
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// Read the password from stdin in place of asking for it
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[command(flatten)]
    trust: Trust,
}

/// Forget the credentials for a registry
#[derive(Debug, Args)]
pub struct Logout {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = DEFAULT_REGISTRY)]
    registry: String,
}

impl Login {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let name = registry_name(&self.registry);
        let user = match &self.username {
            Some(user) => user.clone(),
            None => prompt::line("Username: ", true)?,
        };
        anyhow::ensure!(!user.is_empty() && !user.contains(':'), "`{user}` can't be a user's name");
        let password = if self.password_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("no password could be read")?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            prompt::password("Password: ")?
        };
        anyhow::ensure!(!password.is_empty(), "no password was given");
        if std::env::var("GITHUB_ACTIONS").as_deref() == Ok("true") {
            // The runner takes these lines out of the log, and every later occurrence with them.
            let auth = STANDARD.encode(format!("{user}:{password}"));
            [&password, &auth].into_iter().for_each(|secret| say(&format!("::add-mask::{secret}")));
        }
        let login =
            crate::image::registry::Login::Password { user: user.clone(), password: Secret::new(password.as_str()) };
        let kept = block_on(async {
            Registry::open(name, Some(login), self.trust.options()).await?.prove_login().await?;
            Credentials::load()?.keep(name, &user, &password).await
        })?;
        say(&format!("logged in to {name} as {user}; kept by {kept}"));
        Ok(Exit::Ok)
    }
}

impl Logout {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let name = registry_name(&self.registry);
        let found = block_on(async { Credentials::load()?.forget(name).await })?;
        say(&if found { format!("logged out of {name}") } else { format!("there was no login to {name}") });
        Ok(Exit::Ok)
    }
}
