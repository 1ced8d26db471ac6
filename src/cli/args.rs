//! Options that several verbs share.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::report::Output;

/// Where to, as whom, with which variables: every verb that runs something takes these.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Inventory: a file, a directory, a program, or a comma-separated list of hosts (`host,`)
    #[arg(short, long, visible_alias = "inventory-file", value_name = "INVENTORY", action = ArgAction::Append)]
    pub inventory: Vec<String>,
    /// Limit to hosts that match this pattern
    #[arg(short, long, value_name = "PATTERN", action = ArgAction::Append)]
    pub limit: Vec<String>,
    /// Variables above all others: `key=value …`, YAML or JSON, or `@FILE`
    #[arg(short, long, value_name = "VARS", action = ArgAction::Append, allow_hyphen_values = true)]
    pub extra_vars: Vec<String>,
    /// Change nothing; say what would change
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show what changes, as text
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// Hosts at a time
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub forks: Option<u32>,
    /// Say more; up to four times
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// How to connect
    #[command(flatten)]
    pub connection: Connection,
    /// As whom
    #[command(flatten)]
    pub privilege: Privilege,
    /// Secrets
    #[command(flatten)]
    pub vault: VaultArgs,
}

/// How to connect.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Log in as this user
    #[arg(short = 'u', long = "user", visible_alias = "remote-user", value_name = "USER")]
    pub user: Option<String>,
    /// Log in with this private key
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// How to reach hosts: ssh or local
    #[arg(short, long, value_name = "TYPE")]
    pub connection: Option<String>,
    /// Seconds that a login may take
    #[arg(short = 'T', long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Ask for the login password
    #[arg(short = 'k', long, conflicts_with = "connection_password_file")]
    pub ask_pass: bool,
    /// Read the login password from this file (or from a program's output)
    #[arg(long, alias = "conn-pass-file", value_name = "FILE")]
    pub connection_password_file: Option<PathBuf>,
    /// More arguments for ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_common_args: Option<String>,
    /// More arguments for ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_extra_args: Option<String>,
    /// Arguments for sftp, which crudctl never calls: accepted for the sake of scripts
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub sftp_extra_args: Option<String>,
    /// Arguments for scp, which crudctl never calls: accepted for the sake of scripts
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub scp_extra_args: Option<String>,
}

/// As whom tasks run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Privileges")]
pub struct Privilege {
    /// Run tasks as another user (root, where none is named)
    #[arg(short = 'b', long)]
    pub r#become: bool,
    /// How to become that user: sudo, su or doas
    #[arg(long, value_name = "METHOD")]
    pub become_method: Option<String>,
    /// As whom tasks run
    #[arg(long, value_name = "USER")]
    pub become_user: Option<String>,
    /// Ask for the password of that change
    #[arg(short = 'K', long, conflicts_with = "become_password_file")]
    pub ask_become_pass: bool,
    /// Read that password from this file (or from a program's output)
    #[arg(long, alias = "become-pass-file", value_name = "FILE")]
    pub become_password_file: Option<PathBuf>,
}

/// How encrypted values are opened.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Vault")]
pub struct VaultArgs {
    /// A vault identity: `LABEL@SOURCE`, where the source is a file, a program, or `prompt`
    #[arg(long, value_name = "ID", action = ArgAction::Append)]
    pub vault_id: Vec<String>,
    /// Read the vault password from this file (or from a program's output)
    #[arg(long, alias = "vault-pass-file", value_name = "FILE", action = ArgAction::Append)]
    pub vault_password_file: Vec<String>,
    /// Ask for the vault password
    #[arg(short = 'J', long, alias = "ask-vault-password", conflicts_with = "vault_password_file")]
    pub ask_vault_pass: bool,
}

/// Which part of a playbook runs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Selection {
    /// Only tasks with these tags
    #[arg(short, long, value_name = "TAGS", action = ArgAction::Append)]
    pub tags: Vec<String>,
    /// Leave out tasks with these tags
    #[arg(long, value_name = "TAGS", action = ArgAction::Append)]
    pub skip_tags: Vec<String>,
    /// Start at the task of this name
    #[arg(long, value_name = "NAME")]
    pub start_at_task: Option<String>,
    /// Run handlers even where a task failed
    #[arg(long)]
    pub force_handlers: bool,
    /// Forget facts that were kept
    #[arg(long)]
    pub flush_cache: bool,
    /// Confirm each task before it runs
    #[arg(long)]
    pub step: bool,
    /// List the hosts that match; run nothing
    #[arg(long)]
    pub list_hosts: bool,
    /// List the tasks that would run; run nothing
    #[arg(long)]
    pub list_tasks: bool,
    /// List all tags; run nothing
    #[arg(long)]
    pub list_tags: bool,
    /// Only check that the playbook can be read; run nothing
    #[arg(long)]
    pub syntax_check: bool,
}

impl Selection {
    /// Whether something is listed in place of a run.
    pub fn lists(&self) -> bool {
        self.list_hosts || self.list_tasks || self.list_tags
    }

    /// The wanted tags, commas split.
    pub fn tags(&self) -> Vec<String> {
        split_tags(&self.tags)
    }

    /// The unwanted tags, commas split.
    pub fn skip_tags(&self) -> Vec<String> {
        split_tags(&self.skip_tags)
    }
}

fn split_tags(given: &[String]) -> Vec<String> {
    given
        .iter()
        .flat_map(|tags| tags.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// In which form a run is reported.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Form of the report [default: human at a terminal, else plain]
    #[arg(long, value_enum, value_name = "FORM", env = "CRUDCTL_OUTPUT")]
    pub output: Option<Output>,
}

impl OutputArgs {
    /// The form: as asked for, else what suits stdout.
    pub fn form(&self) -> Output {
        use std::io::IsTerminal as _;
        self.output.unwrap_or_else(|| if std::io::stdout().is_terminal() { Output::Human } else { Output::Plain })
    }
}
