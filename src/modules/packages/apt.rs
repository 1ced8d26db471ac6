//! `apt`: packages of Debian and Ubuntu.

use schemars::JsonSchema;
use serde::Deserialize;

use super::apt_shell::{APT, APT_UPDATE, DEB};
use crate::host::script::{quote, quote_all};
use crate::modules::Context;
use crate::modules::guarded::{Call, Guarded, flag, variables, yes};

/// Installs, upgrades and removes packages of Debian and Ubuntu.
///
/// What is installed is read from dpkg's database, so that a converged host costs no `apt-get`; python3-apt is never needed.
/// Where package lists are missing altogether they are fetched before something is installed.
/// A held lock is waited for (`lock_timeout`); then the error names the process that holds it.
///
/// ```yaml
/// - apt:
///     name: [nginx, "postgresql=15*"]
///     state: present
///     update_cache: true
///     cache_valid_time: 3600
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Apt {
    /// Packages: `name`, `name=version` (globs allowed in both), `name>=version`, `name:arch`; a path or URL of a `.deb` too.
    #[serde(default, alias = "package", alias = "pkg")]
    name: Vec<String>,
    /// What the packages should be.
    #[serde(default)]
    state: State,
    /// Fetch package lists before anything else.
    #[serde(default, alias = "update-cache")]
    update_cache: Option<bool>,
    /// Lists younger than this many seconds need no update; setting it implies `update_cache`.
    #[serde(default)]
    cache_valid_time: u64,
    /// How often a failed update is tried again.
    #[serde(default = "five")]
    update_cache_retries: u32,
    /// The longest wait, in seconds, before it is tried again.
    #[serde(default = "twelve")]
    update_cache_retry_max_delay: u32,
    /// Remove configuration files too.
    #[serde(default)]
    purge: bool,
    /// The release whose versions are preferred (`apt-get -t`).
    #[serde(default, alias = "default-release")]
    default_release: Option<String>,
    /// Whether recommended packages are installed; apt's own configuration decides where this is absent.
    #[serde(default, alias = "install-recommends")]
    install_recommends: Option<bool>,
    /// Corresponds to `--force-yes`: unauthenticated packages, downgrades, essential and held packages.
    #[serde(default)]
    force: bool,
    /// Remove packages that were only installed as dependencies and are not needed any more.
    #[serde(default)]
    autoremove: bool,
    /// Remove downloaded packages that can't be downloaded any more.
    #[serde(default)]
    autoclean: bool,
    /// Remove all downloaded packages.
    #[serde(default)]
    clean: bool,
    /// Allow packages whose origin is not authenticated.
    #[serde(default, alias = "allow-unauthenticated")]
    allow_unauthenticated: bool,
    /// Allow packages to become older.
    #[serde(default, alias = "allow-downgrade", alias = "allow-downgrades", alias = "allow_downgrades")]
    allow_downgrade: bool,
    /// Allow packages on hold to change.
    #[serde(default)]
    allow_change_held_packages: bool,
    /// Upgrade all packages: `safe` (or `yes`) removes none, `full` and `dist` may.
    #[serde(default)]
    upgrade: Upgrade,
    /// Options of dpkg, separated by commas.
    #[serde(default = "dpkg_options")]
    dpkg_options: String,
    /// A `.deb` on the host, or its URL.
    #[serde(default)]
    deb: Option<String>,
    /// Upgrade packages only where they are installed already.
    #[serde(default)]
    only_upgrade: bool,
    /// Fail where autoremove would remove a package.
    #[serde(default)]
    fail_on_autoremove: bool,
    /// Accepted: `apt-get` is always what is used.
    #[serde(default)]
    #[expect(dead_code, reason = "true and false mean the same here")]
    force_apt_get: bool,
    /// Seconds to wait for the locks of apt and dpkg.
    #[serde(default = "sixty")]
    lock_timeout: u32,
    /// The status of `policy-rc.d` while packages are installed: 101 keeps services from being started.
    #[serde(default)]
    policy_rc_d: Option<i32>,
    /// Accepted: nothing has to be installed for this module.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "there are no such dependencies")]
    auto_install_module_deps: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// Not installed.
    #[serde(alias = "removed")]
    Absent,
    /// The dependencies of building it are installed.
    BuildDep,
    /// Broken dependencies are repaired.
    Fixed,
    /// Installed in the newest version that is known.
    Latest,
    /// Installed.
    #[default]
    #[serde(alias = "installed")]
    Present,
}

impl State {
    /// Its name in the shell function.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::BuildDep => "build-dep",
            Self::Fixed => "fixed",
            Self::Latest => "latest",
            Self::Present => "present",
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Upgrade {
    #[default]
    No,
    Yes,
    Safe,
    Full,
    Dist,
}

const DPKG_OPTIONS: &str = "force-confdef,force-confold";

fn dpkg_options() -> String {
    DPKG_OPTIONS.to_owned()
}
fn five() -> u32 {
    5
}
fn twelve() -> u32 {
    12
}
fn sixty() -> u32 {
    60
}

impl Guarded for Apt {
    fn call(&self, cx: &Context) -> anyhow::Result<Call> {
        let (files, names): (Vec<&str>, Vec<&str>) = self
            .deb
            .iter()
            .chain(&self.name)
            .map(|name| name.trim())
            .filter(|name| !name.is_empty() && *name != "*")
            .partition(|name| is_file(name) || self.deb.as_deref() == Some(*name));
        self.validate(&files, &names)?;
        let mut text = self.settings()?;
        let fetches = self.update_cache.unwrap_or(self.cache_valid_time > 0);
        if fetches {
            text.push_str(&format!("crud_apt_update {}\n", self.cache_valid_time));
            if names.is_empty() && files.is_empty() && self.upgrade == Upgrade::No {
                text.push_str("[ -z \"$crud_apt_new\" ] || crud_note\n");
            } else if self.state == State::Latest || self.upgrade != Upgrade::No {
                // What is newest is known after the update only.
                text.push_str("[ -z \"$crud_apt_new\" ] || [ -n \"$do\" ] || crud_end\n");
            }
        }
        match self.upgrade {
            Upgrade::No => {}
            Upgrade::Yes | Upgrade::Safe => text.push_str("crud_apt_more upgrade\n"),
            Upgrade::Full | Upgrade::Dist => text.push_str("crud_apt_more upgrade dist\n"),
        }
        for file in &files {
            text.push_str(&format!("crud_apt_deb {}\n", quote(file)));
        }
        if !names.is_empty() || self.state == State::Fixed {
            text.push_str(&format!("crud_apt {} {}\n", self.state.word(), quote_all(&names)));
        }
        let alone = names.is_empty() && files.is_empty();
        for (wanted, action) in [(self.autoremove, "autoremove"), (self.autoclean, "autoclean"), (self.clean, "clean")]
        {
            if wanted && (alone || action != "autoremove") {
                text.push_str(&format!("crud_apt_more {action}\n"));
            }
        }
        text.push_str(if cx.check_mode || !fetches { "" } else { "crud_apt_stat" });
        let mut call = Call::new(text, &APT);
        if !files.is_empty() {
            call = call.function(&DEB);
        }
        Ok(call.function(&APT_UPDATE).finish(|said| {
            let mut outcome = said.outcome();
            if said.applied {
                outcome = outcome
                    .with("stdout", said.rest.as_str())
                    .with("stdout_lines", said.rest.lines().collect::<Vec<_>>())
                    .with("stderr", said.stderr.as_str())
                    .with("stderr_lines", said.stderr.lines().collect::<Vec<_>>());
            }
            outcome
        }))
    }
}

impl Apt {
    fn validate(&self, files: &[&str], names: &[&str]) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.deb.is_none() || self.name.is_empty(),
            "parameters are mutually exclusive: deb|package|upgrade"
        );
        anyhow::ensure!(
            self.upgrade == Upgrade::No || (self.deb.is_none() && names.is_empty()),
            "parameters are mutually exclusive: deb|package|upgrade"
        );
        let acts = self.autoremove || self.autoclean || self.clean || self.update_cache == Some(true);
        anyhow::ensure!(
            acts || self.upgrade != Upgrade::No
                || self.cache_valid_time > 0
                || !files.is_empty()
                || !self.name.is_empty()
                || self.state == State::Fixed,
            "one of the following is required: autoremove, deb, package, update_cache, upgrade"
        );
        anyhow::ensure!(
            files.is_empty() || self.state == State::Present || self.deb.is_none(),
            "`deb` only supports `state: present`"
        );
        anyhow::ensure!(
            self.state != State::Latest || !names.iter().any(|name| name.contains('=')),
            "version number inconsistent with state=latest: {}",
            names.join(", ")
        );
        for name in names {
            let ok = |c: char| c.is_ascii_alphanumeric() || "+-.:~*?[]=>_^".contains(c);
            anyhow::ensure!(name.chars().all(ok) && !name.starts_with('-'), "`{name}` is not the name of a package");
        }
        Ok(())
    }

    /// Variables of the shell functions, one assignment a line that is not the default.
    fn settings(&self) -> anyhow::Result<String> {
        let mut options: Vec<String> = Vec::new();
        let mut add = |wanted: bool, option: &str| {
            if wanted {
                options.push(option.to_owned());
            }
        };
        add(self.allow_unauthenticated || self.force, "--allow-unauthenticated");
        add(self.allow_downgrade || self.force, "--allow-downgrades");
        add(self.allow_change_held_packages || self.force, "--allow-change-held-packages");
        add(self.force, "--allow-remove-essential");
        add(self.only_upgrade, "--only-upgrade");
        add(self.fail_on_autoremove, "--no-remove");
        add(self.autoremove, "--auto-remove");
        add(self.install_recommends == Some(true), "-oAPT::Install-Recommends=yes");
        add(self.install_recommends == Some(false), "-oAPT::Install-Recommends=no");
        if let Some(release) = &self.default_release {
            anyhow::ensure!(!release.contains(char::is_whitespace), "`default_release` has no blanks");
            options.push(format!("-t{release}"));
        }
        anyhow::ensure!(
            !self.dpkg_options.contains(char::is_whitespace),
            "`dpkg_options` are separated by commas, without blanks"
        );
        let dpkg: Vec<String> = self
            .dpkg_options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(|option| format!("-oDpkg::Options::=--{option}"))
            .collect();
        let number = |given: u32, default: u32| (given != default).then(|| given.to_string());
        let (lock, retries) = (number(self.lock_timeout, 60), number(self.update_cache_retries, 5));
        let delay = number(self.update_cache_retry_max_delay, 12);
        let policy = self.policy_rc_d.map(|status| status.to_string());
        let line = variables(&[
            ("opts", (!options.is_empty()).then(|| options.join(" ")).as_deref()),
            ("dpkg", (self.dpkg_options != DPKG_OPTIONS).then(|| dpkg.join(" ")).as_deref()),
            ("lock", lock.as_deref()),
            ("retries", retries.as_deref()),
            ("delay", delay.as_deref()),
            ("rel", self.default_release.as_deref()),
            ("policy", policy.as_deref()),
            ("purge", flag(self.purge)),
            ("only", flag(self.only_upgrade)),
            ("down", flag(self.allow_downgrade || self.force)),
        ]);
        Ok(if line.is_empty() { line } else { format!("{}\n", line.trim_end()) })
    }
}

/// Whether a name is a package's file or its URL.
fn is_file(name: &str) -> bool {
    name.contains("://") || (name.starts_with('/') || name.starts_with("./"))
}
