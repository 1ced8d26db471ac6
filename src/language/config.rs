//! `ansible.cfg` and `ANSIBLE_*`: what of them matters to crudctl.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::text::Diagnostic;

/// The configuration.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each of Ansible's settings")]
pub struct Config {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Inventory sources.
    pub inventory: Vec<String>,
    /// Directories of roles.
    pub roles_path: Vec<PathBuf>,
    /// Directories of collections.
    pub collections_path: Vec<PathBuf>,
    /// Hosts at a time.
    pub forks: usize,
    /// Seconds that a login may take.
    pub timeout: u64,
    /// Login user.
    pub remote_user: Option<String>,
    /// Private key.
    pub private_key_file: Option<PathBuf>,
    /// Whether unknown host keys are refused.
    pub host_key_checking: bool,
    /// Arguments for ssh.
    pub ssh_args: Vec<String>,
    /// Whether tasks run as another user.
    pub r#become: bool,
    /// How.
    pub become_method: Option<String>,
    /// As whom.
    pub become_user: Option<String>,
    /// Whether the password for it is asked.
    pub become_ask_pass: bool,
    /// Whether the login password is asked.
    pub ask_pass: bool,
    /// `implicit`, `explicit`, `smart`.
    pub gathering: String,
    /// Default strategy.
    pub strategy: String,
    /// Whether handlers run on failed hosts.
    pub force_handlers: bool,
    /// Whether the first failure ends a play for all hosts.
    pub any_errors_fatal: bool,
    /// `--tags`.
    pub run_tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// Vault passwords.
    pub vault_password_file: Option<PathBuf>,
    /// `id@source`s.
    pub vault_identity_list: Vec<String>,
    /// Whether diffs are always shown.
    pub diff_always: bool,
    /// Whether skipped hosts are shown.
    pub display_skipped_hosts: bool,
    /// Whether ok hosts are shown.
    pub display_ok_hosts: bool,
    /// Whether failures go to stderr.
    pub display_failed_stderr: bool,
    /// Whether custom statistics are shown.
    pub show_custom_stats: bool,
    /// `warning`, `error` or `ignore`.
    pub host_pattern_mismatch: String,
    /// Whether an unknown handler is an error.
    pub error_on_missing_handler: bool,
    /// Whether facts are variables of their own.
    pub inject_facts_as_vars: bool,
    /// Whether conditions may be no booleans.
    pub allow_broken_conditionals: bool,
    /// Whether only a role's own tasks see its variables; none where it is not said: then those of included roles are private.
    pub private_role_vars: Option<bool>,
    /// `replace` or `merge`.
    pub hash_behaviour: String,
    /// What a key that stands twice in a mapping is: `warn`, `error` or `ignore`.
    pub duplicate_dict_key: String,
    /// Whether colours are off.
    pub nocolor: bool,
    /// Whether colours are forced.
    pub force_color: bool,
    /// The callback plugin for stdout.
    pub stdout_callback: String,
    /// `json` or `yaml`.
    pub result_format: String,
    /// Verbosity.
    pub verbosity: u8,
    /// Whether nothing is logged.
    pub no_log: bool,
    /// Whether the mode of a run in check mode is marked.
    pub check_mode_markers: bool,
    /// Seconds that a task may take; 0: no limit.
    pub task_timeout: u64,
}

struct Values {
    ini: HashMap<(String, String), String>,
    dir: PathBuf,
}

impl Values {
    fn get(&self, variables: &[&str], section: &str, key: &str) -> Option<String> {
        variables
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
            .or_else(|| self.ini.get(&(section.to_owned(), key.to_owned())).cloned())
    }

    fn flag(&self, variable: &str, section: &str, key: &str, default: bool) -> bool {
        self.get(&[variable], section, key).map_or(default, |text| {
            matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
        })
    }

    fn path(&self, text: &str) -> PathBuf {
        let text = text.trim();
        match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => self.dir.join(text.replace("{{CWD}}", ".")),
        }
    }

    fn paths(&self, variable: &str, section: &str, key: &str, defaults: &[&str]) -> Vec<PathBuf> {
        match self.get(&[variable], section, key) {
            Some(text) => {
                // Paths of the environment are relative to where the user stands, those of a file to the file.
                let here = std::env::var(variable).is_ok_and(|value| !value.is_empty());
                let path = |p: &str| {
                    if here { PathBuf::from(crate::language::template::filters::expanduser(p)) } else { self.path(p) }
                };
                text.split(':').filter(|p| !p.trim().is_empty()).map(path).collect()
            }
            None => defaults.iter().map(|p| self.path(p)).collect(),
        }
    }
}

fn list(text: Option<String>) -> Vec<String> {
    text.map(|t| t.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()).unwrap_or_default()
}

impl Config {
    /// Whether mappings of one name are joined over all that set it, rather than that the highest wins.
    pub fn merge_hashes(&self) -> bool {
        self.hash_behaviour == "merge"
    }

    /// Reads the configuration as seen from a directory.
    pub fn load(cwd: &Path) -> (Self, Vec<Diagnostic>) {
        let mut warnings = vec![];
        let file = find(cwd, &mut warnings);
        let text = file.as_ref().and_then(|f| std::fs::read_to_string(f).ok()).unwrap_or_default();
        let dir = file.as_ref().and_then(|f| f.parent()).map_or_else(|| cwd.to_owned(), Path::to_owned);
        let v = Values { ini: ini(&text), dir };
        let d = "defaults";
        let text = |variable: &str, key: &str| v.get(&[variable], d, key);
        let number = |variable: &str, key: &str, default: u64| {
            text(variable, key).and_then(|t| t.trim().parse().ok()).unwrap_or(default)
        };
        let words = |variable: &str, key: &str| -> Vec<String> {
            v.get(&[variable], "ssh_connection", key).and_then(|t| shlex::split(&t)).unwrap_or_default()
        };
        let become_text = |variable: &str, key: &str| v.get(&[variable], "privilege_escalation", key);
        let ssh_args = ["ssh_args", "ssh_common_args", "ssh_extra_args"]
            .iter()
            .zip(["ANSIBLE_SSH_ARGS", "ANSIBLE_SSH_COMMON_ARGS", "ANSIBLE_SSH_EXTRA_ARGS"])
            .flat_map(|(key, variable)| words(variable, key))
            .collect();
        let config = Self {
            inventory: match text("ANSIBLE_INVENTORY", "inventory") {
                Some(text) => {
                    let from_file = std::env::var("ANSIBLE_INVENTORY").is_err();
                    let entries = text.split(',').map(str::trim).filter(|p| !p.is_empty());
                    entries.map(|p| if from_file { v.path(p).display().to_string() } else { p.to_owned() }).collect()
                }
                None => vec!["/etc/ansible/hosts".into()],
            },
            roles_path: v.paths(
                "ANSIBLE_ROLES_PATH",
                d,
                "roles_path",
                &["~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles"],
            ),
            collections_path: v.paths(
                "ANSIBLE_COLLECTIONS_PATH",
                d,
                "collections_path",
                &["~/.ansible/collections", "/usr/share/ansible/collections"],
            ),
            forks: usize::try_from(number("ANSIBLE_FORKS", "forks", 5)).unwrap_or(5).max(1),
            timeout: number("ANSIBLE_TIMEOUT", "timeout", 10),
            remote_user: text("ANSIBLE_REMOTE_USER", "remote_user"),
            private_key_file: text("ANSIBLE_PRIVATE_KEY_FILE", "private_key_file").map(|p| v.path(&p)),
            host_key_checking: v.flag("ANSIBLE_HOST_KEY_CHECKING", d, "host_key_checking", true),
            ssh_args,
            r#become: v.flag("ANSIBLE_BECOME", "privilege_escalation", "become", false),
            become_method: become_text("ANSIBLE_BECOME_METHOD", "become_method"),
            become_user: become_text("ANSIBLE_BECOME_USER", "become_user"),
            become_ask_pass: v.flag("ANSIBLE_BECOME_ASK_PASS", "privilege_escalation", "become_ask_pass", false),
            ask_pass: v.flag("ANSIBLE_ASK_PASS", d, "ask_pass", false),
            gathering: text("ANSIBLE_GATHERING", "gathering").unwrap_or_else(|| "implicit".into()),
            strategy: text("ANSIBLE_STRATEGY", "strategy").unwrap_or_else(|| "linear".into()),
            force_handlers: v.flag("ANSIBLE_FORCE_HANDLERS", d, "force_handlers", false),
            any_errors_fatal: v.flag("ANSIBLE_ANY_ERRORS_FATAL", d, "any_errors_fatal", false),
            run_tags: list(v.get(&["ANSIBLE_RUN_TAGS"], "tags", "run")),
            skip_tags: list(v.get(&["ANSIBLE_SKIP_TAGS"], "tags", "skip")),
            vault_password_file: text("ANSIBLE_VAULT_PASSWORD_FILE", "vault_password_file").map(|p| v.path(&p)),
            vault_identity_list: list(text("ANSIBLE_VAULT_IDENTITY_LIST", "vault_identity_list")),
            diff_always: v.flag("ANSIBLE_DIFF_ALWAYS", "diff", "always", false),
            display_skipped_hosts: v.flag("ANSIBLE_DISPLAY_SKIPPED_HOSTS", d, "display_skipped_hosts", true),
            display_ok_hosts: v.flag("ANSIBLE_DISPLAY_OK_HOSTS", d, "display_ok_hosts", true),
            display_failed_stderr: v.flag("ANSIBLE_DISPLAY_FAILED_STDERR", d, "display_failed_stderr", false),
            show_custom_stats: v.flag("ANSIBLE_SHOW_CUSTOM_STATS", d, "show_custom_stats", false),
            host_pattern_mismatch: v
                .get(&["ANSIBLE_HOST_PATTERN_MISMATCH"], "inventory", "host_pattern_mismatch")
                .unwrap_or_else(|| "warning".into()),
            error_on_missing_handler: v.flag("ANSIBLE_ERROR_ON_MISSING_HANDLER", d, "error_on_missing_handler", true),
            inject_facts_as_vars: v.flag("ANSIBLE_INJECT_FACT_VARS", d, "inject_facts_as_vars", true),
            allow_broken_conditionals: v.flag(
                "ANSIBLE_ALLOW_BROKEN_CONDITIONALS",
                d,
                "allow_broken_conditionals",
                false,
            ),
            private_role_vars: text("ANSIBLE_PRIVATE_ROLE_VARS", "private_role_vars")
                .map(|value| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")),
            hash_behaviour: text("ANSIBLE_HASH_BEHAVIOUR", "hash_behaviour").unwrap_or_else(|| "replace".into()),
            duplicate_dict_key: text("ANSIBLE_DUPLICATE_YAML_DICT_KEY", "duplicate_dict_key")
                .unwrap_or_else(|| "warn".into()),
            nocolor: v.flag("ANSIBLE_NOCOLOR", d, "nocolor", false)
                || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()),
            force_color: v.flag("ANSIBLE_FORCE_COLOR", d, "force_color", false),
            stdout_callback: text("ANSIBLE_STDOUT_CALLBACK", "stdout_callback").unwrap_or_else(|| "default".into()),
            result_format: v
                .get(&["ANSIBLE_CALLBACK_RESULT_FORMAT"], d, "callback_result_format")
                .unwrap_or_else(|| "json".into()),
            verbosity: u8::try_from(number("ANSIBLE_VERBOSITY", "verbosity", 0)).unwrap_or(0),
            no_log: v.flag("ANSIBLE_NO_LOG", d, "no_log", false),
            check_mode_markers: v.flag("ANSIBLE_CHECK_MODE_MARKERS", d, "check_mode_markers", false),
            task_timeout: number("ANSIBLE_TASK_TIMEOUT", "task_timeout", 0),
            file,
        };
        (config, warnings)
    }
}

impl Default for Config {
    /// Without a file: the environment alone.
    fn default() -> Self {
        Self::load(Path::new("/nonexistent")).0
    }
}

fn find(cwd: &Path, warnings: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ANSIBLE_CONFIG") {
        let path = PathBuf::from(named);
        let path = if path.is_dir() { path.join("ansible.cfg") } else { path };
        return path.is_file().then_some(path);
    }
    let here = cwd.join("ansible.cfg");
    if here.is_file() {
        use std::os::unix::fs::PermissionsExt as _;
        if cwd.metadata().is_ok_and(|m| m.permissions().mode() & 0o002 != 0) {
            warnings.push(
                Diagnostic::plain(format!(
                    "Ansible is being run in a world writable directory ({}), ignoring it as an ansible.cfg source.",
                    cwd.display()
                ))
                .warning(),
            );
        } else {
            return Some(here);
        }
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ansible.cfg"));
    home.into_iter().chain([PathBuf::from("/etc/ansible/ansible.cfg")]).find(|p| p.is_file())
}

fn ini(text: &str) -> HashMap<(String, String), String> {
    let mut out = HashMap::new();
    let mut section = String::new();
    let mut last: Option<(String, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|t| t.split(']').next()) {
            name.clone_into(&mut section);
            last = None;
        } else if line.starts_with([' ', '\t'])
            && let Some(key) = &last
        {
            // A value goes on in indented lines.
            if let Some(value) = out.get_mut(key) {
                let value: &mut String = value;
                value.push('\n');
                value.push_str(trimmed);
            }
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            let value = value.split(" ;").next().unwrap_or(value).trim().to_owned();
            let key = (section.clone(), key.trim().to_lowercase());
            out.insert(key.clone(), value);
            last = Some(key);
        }
    }
    out
}
