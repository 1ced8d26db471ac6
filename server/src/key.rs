//! `crud-server key`: makes, lists and revokes API keys.

use std::io::Write as _;

use anyhow::{Context as _, bail};

use crate::auth::keys;
use crate::config::{KeyCommand, Settings};
use crate::store::{Database, StoreError, migrate};

/// Does it, on the database of the settings.
pub fn run(settings: &Settings, command: &KeyCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let target = settings.target()?;
        let table = keys::table();
        migrate(&target, [&table].into_iter()).await?;
        let database = Database::new(&target, 1, settings.wait());
        let mut out = std::io::stdout();
        match command {
            KeyCommand::Create { name, role } => {
                table.fields[0].read(&name.as_str().into()).map_err(|rule| anyhow::anyhow!("the name {rule}"))?;
                match keys::create(&database, &table, name, *role).await {
                    Ok(key) => writeln!(out, "{key}")?,
                    Err(StoreError::Unique(_)) => bail!("there is a key `{name}` already: revoke it first"),
                    Err(error) => return Err(error.into()),
                }
            }
            KeyCommand::List => {
                for [name, role, created] in keys::list(&database, &table).await? {
                    writeln!(out, "{name}\t{role}\t{created}")?;
                }
            }
            KeyCommand::Revoke { name } => {
                if !keys::revoke(&database, &table, name).await? {
                    bail!("there is no key `{name}`");
                }
            }
        }
        database.close().await;
        Ok(())
    })
}
