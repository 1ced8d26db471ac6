//! `crudctl schema`: JSON schemas, for editors and other programs.

use clap::Args;

use super::exit::Exit;
use super::say;
use crate::modules;
use crate::project::Project;

/// Print the JSON schema of a module's arguments, or of crudctl.yaml
#[derive(Debug, Args)]
pub struct Schema {
    /// The module's name; none: all modules in one object
    module: Option<String>,
    /// The schema of crudctl.yaml
    #[arg(long, conflicts_with = "module")]
    project: bool,
}

impl Schema {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let value = match &self.module {
            Some(name) => {
                let module = modules::find(name).ok_or_else(|| anyhow::anyhow!("there is no module `{name}`"))?;
                (module.schema)().to_value()
            }
            None if self.project => schemars::schema_for!(Project).to_value(),
            None => modules::all().map(|module| (module.name.to_owned(), (module.schema)().to_value())).collect(),
        };
        say(&serde_json::to_string_pretty(&value)?);
        Ok(Exit::Ok)
    }
}
