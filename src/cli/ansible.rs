//! `ansible`: one module on many hosts, with that command's options, output and exit statuses.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::args::{Common, Selection};
use super::compat::{self, Problem, Status};
use super::{common, say};
use crate::report::Output;
use crate::text::Source;

/// Modules that can't do anything without arguments.
const NEED_ARGUMENTS: &[&str] = &["command", "shell", "raw", "script", "include_tasks", "include_role"];

/// Run one module on hosts, as Ansible's own command does: its options, output and exit statuses
#[derive(Debug, Args)]
pub struct Ansible {
    /// Which hosts
    #[arg(required_unless_present = "version")]
    pattern: Option<String>,
    /// The module
    #[arg(short, long, default_value = "command", value_name = "MODULE")]
    module_name: String,
    /// Its arguments: `key=value …`, free-form text, or JSON
    #[arg(short, long, default_value = "", value_name = "ARGS", allow_hyphen_values = true, hide_default_value = true)]
    args: String,
    /// Run in the background for at most so many seconds
    #[arg(short = 'B', long, value_name = "SECONDS")]
    background: Option<u64>,
    /// Seconds between looks at what runs in the background; 0: never
    #[arg(short = 'P', long, default_value_t = 15, value_name = "SECONDS")]
    poll: u64,
    /// One line a host
    #[arg(short, long)]
    one_line: bool,
    /// Directories of modules: accepted for the sake of scripts
    #[arg(short = 'M', long, value_name = "MODULE_PATH", hide = true)]
    module_path: Vec<String>,
    /// The directory that stands for the playbook's
    #[arg(long, value_name = "DIR")]
    playbook_dir: Option<PathBuf>,
    /// Seconds that the task may take
    #[arg(long, value_name = "SECONDS")]
    task_timeout: Option<u64>,
    /// List the hosts that match; run nothing
    #[arg(long)]
    list_hosts: bool,
    /// Forget facts that were kept
    #[arg(long)]
    flush_cache: bool,
    /// Print the version
    #[arg(long)]
    version: bool,
    #[command(flatten)]
    common: Common,
}

impl Ansible {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        if self.version {
            say(&compat::version("ansible"));
            return Status::Ok.into();
        }
        compat::answer(self.attempt())
    }

    fn attempt(&self) -> Result<Status, Problem> {
        let pattern = self.pattern.as_deref().unwrap_or_default();
        let form = compat::form(if self.one_line { Output::Oneline } else { Output::Minimal });
        let start = common::start(&self.common, form);
        if self.one_line {
            start.events.warning(
                "[DEPRECATION WARNING]: The '-o' argument is deprecated. This feature will be removed from ansible-core version 2.23. Use callback configuration to enable the oneline callback instead.",
            );
        }
        let dir = self.playbook_dir.clone().unwrap_or_else(|| PathBuf::from("."));
        let setup = common::setup(&start, &self.common, &Selection::default(), std::slice::from_ref(&dir))?;
        compat::check_hosts(&setup, pattern)?;
        let mut hosts = setup.inventory.matching(pattern).map_err(|error| Problem::parser(vec![error]))?;
        if let Some(limit) = &setup.options.limit {
            let limited = setup.inventory.matching(limit).map_err(|error| Problem::parser(vec![error]))?;
            hosts.retain(|host| limited.contains(host));
        }
        if self.list_hosts {
            say(&format!("  hosts ({}):", hosts.len()));
            hosts.iter().for_each(|host| say(&format!("    {host}")));
            return Ok(Status::Ok);
        }
        let short = self.module_name.rsplit('.').next().unwrap_or_default();
        if self.args.trim().is_empty() && NEED_ARGUMENTS.contains(&short) {
            return Err(Problem::options(format!("No argument passed to {} module", self.module_name)));
        }
        if matches!(short, "import_playbook" | "import_tasks" | "import_role") {
            return Err(Problem::options(format!("'{}' is not a valid action for ad-hoc commands", self.module_name)));
        }
        let source = Source::new(format!("<adhoc '{}' task>", self.module_name), self.play(pattern).to_string());
        let playbook = setup.loader.playbook_from(&source, &dir).map_err(Problem::parser)?;
        Ok(Status::of(&common::run(setup, vec![playbook])?))
    }

    /// The playbook that this command line stands for.
    fn play(&self, pattern: &str) -> Value {
        let given = self.args.trim();
        let arguments = match serde_json::from_str::<Value>(given) {
            Ok(map @ Value::Object(_)) => map,
            _ if given.is_empty() => Value::Null,
            _ => self.args.as_str().into(),
        };
        let mut task = Map::new();
        task.insert(self.module_name.clone(), arguments);
        if let Some(seconds) = self.background {
            task.insert("async".into(), seconds.into());
            task.insert("poll".into(), self.poll.into());
        }
        if let Some(seconds) = self.task_timeout {
            task.insert("timeout".into(), seconds.into());
        }
        json!([{"name": "Ansible Ad-Hoc", "hosts": pattern, "gather_facts": false, "tasks": [task]}])
    }
}
