//! `crud-server backup`: a copy of the `SQLite` file while the server writes to it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::log;
use crate::store::Target;

/// Writes a copy to `to`, whole or not at all; a file that is there is replaced at the end. The copy is what the database
/// held at one moment, and writers go on meanwhile (`VACUUM INTO` reads in one transaction, which WAL allows beside them).
///
/// # Errors
/// A database that is no file: its own tools copy it.
pub fn run(target: &Target, to: &Path) -> anyhow::Result<()> {
    let Target::Sqlite(options, from) = target else {
        bail!("only a SQLite database is copied in this way: PostgreSQL has pg_dump, MariaDB mariadb-dump");
    };
    let part = part(to)?;
    let text = part.to_str().context("the file's name must be UTF-8")?.replace('\'', "''");
    let options = options.clone().create_if_missing(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let copied = runtime.block_on(async {
        let mut connection = options.connect().await.with_context(|| format!("cannot open {}", from.display()))?;
        connection.execute(AssertSqlSafe(format!("VACUUM INTO '{text}'"))).await?;
        connection.close().await?;
        anyhow::Ok(())
    });
    let done = copied.and_then(|()| keep(&part, to));
    if done.is_err() && part.exists() {
        std::fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    done.with_context(|| format!("no backup to {}", to.display()))?;
    log::info("backup written", &[("file", to.display().to_string())]);
    Ok(())
}

/// Beside the file, so that renaming it is one step; of this process alone.
fn part(to: &Path) -> anyhow::Result<PathBuf> {
    let name = to.file_name().context("name a file for the backup")?;
    Ok(to.with_file_name(format!("{}.{}.part", name.to_string_lossy(), std::process::id())))
}

/// On disk before it gets its name.
fn keep(part: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::File::open(part)?.sync_all()?;
    std::fs::rename(part, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}
