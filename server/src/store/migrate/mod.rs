//! Brings the tables to what the resources declare: additions only, under a lock, so that any number of replicas may
//! start at once. What would lose data is refused, with what to do.

mod catalogue;
mod rows;
mod session;
mod table;
mod types;

use anyhow::Context as _;

use self::session::Session;
use super::target::Target;
use crate::model::Resource;

/// Creates missing tables, columns and indexes, widens columns that are too narrow, and checks that the rows keep the
/// rules.
///
/// # Errors
/// A database that does not answer or is locked by others (see [`super::error::may_pass`]), or a change that is not
/// made here.
pub async fn migrate(target: &Target, resources: impl Iterator<Item = &Resource>) -> anyhow::Result<()> {
    let mut session = Session::connect(target).await?;
    session.lock().await?;
    let done = all(&mut session, resources).await;
    session.unlock(done.is_ok()).await?;
    done
}

async fn all(session: &mut Session, resources: impl Iterator<Item = &Resource>) -> anyhow::Result<()> {
    rows::prepare(session).await?;
    for resource in resources {
        let context = || format!("table `{}`", resource.table);
        table::bring(session, resource).await.with_context(context)?;
        rows::keep_the_rules(session, resource).await.with_context(context)?;
    }
    Ok(())
}
