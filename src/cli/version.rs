//! `crudctl version`.

use clap::Args;

use super::exit::Exit;
use super::say;

/// Print the version
#[derive(Debug, Args)]
pub struct Version {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Version {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            let events = crate::engine::event::VERSION;
            let value = serde_json::json!({
                "version": version, "language": "ansible-core 2.19", "events": events,
                "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
            });
            say(&value.to_string());
        } else {
            say(&format!("crudctl {version} (language of ansible-core 2.19)"));
        }
        Ok(Exit::Ok)
    }
}
