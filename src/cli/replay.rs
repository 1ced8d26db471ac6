//! `crudctl replay`: a recorded run, shown again in any form.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::args::OutputArgs;
use super::exit::Exit;
use crate::report::{self, Screen, Settings, json};

/// Show a recorded run again
///
/// Reads what `--output json` wrote and reports it in another form:
///
/// `crudctl run site.yml --output json >run.json`, then `crudctl replay run.json --output ansible`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Replay {
    /// The recording; `-` reads stdin
    file: PathBuf,
    /// Say more; up to four times
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    output: OutputArgs,
}

impl Replay {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let settings = Settings { verbosity: self.verbose, ..Settings::default() };
        let mut reporter = report::for_output(self.output.form(), settings, Screen::process());
        if self.file.as_os_str() == "-" {
            json::replay(std::io::stdin().lock(), &mut *reporter)?;
        } else {
            let file = File::open(&self.file).with_context(|| format!("can't open `{}`", self.file.display()))?;
            json::replay(BufReader::new(file), &mut *reporter)?;
        }
        Ok(Exit::Ok)
    }
}
