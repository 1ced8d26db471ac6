//! From options to a run: configuration, vault, inventory, loader and events, for every verb that runs something.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Common, Selection};
use super::failure::Failure;
use super::{exit::Exit, extra_vars, passwords, signals, static_scope, vaults};
use crate::engine::Interrupt;
use crate::engine::event::Events;
use crate::engine::secrets::Secrets;
use crate::engine::{Ended, Options, Setup};
pub use crate::language::playbook::directory;
use crate::language::template::{Templar, TemplarOptions};
use crate::language::{Beside, Config, Inventory, Loader, LoaderOptions, Playbook, Vault};
use crate::report::{self, Output, ResultFormat, Screen, Settings};

/// What is known before anything is read: configuration, and where messages go.
pub struct Start {
    /// `ansible.cfg` and the environment.
    pub config: Arc<Config>,
    /// Where events go.
    pub events: Events,
    /// How often `-v` was given, or is configured.
    pub verbosity: u8,
}

/// Reads the configuration and opens the report.
pub fn start(common: &Common, form: Output) -> Start {
    start_on(Screen::process(), common, form)
}

/// The same, with the report on a screen of its own.
pub fn start_on(mut screen: Screen, common: &Common, form: Output) -> Start {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let (config, warnings) = Config::load(&cwd);
    let verbosity = if common.verbose > 0 { common.verbose } else { config.verbosity };
    screen.color = (screen.color && !config.nocolor) || config.force_color;
    if matches!(form, Output::Ansible | Output::Minimal) && verbosity > 0 {
        screen.line(&match &config.file {
            Some(file) => format!("Using {} as config file", file.display()),
            None => "No config file found; using defaults".to_owned(),
        });
    }
    let reporter = report::for_output(form, settings(&config, verbosity), screen);
    let events = Events::new(vec![reporter], Secrets::default());
    for warning in &warnings {
        events.diagnostic(warning);
    }
    Start { config: Arc::new(config), events, verbosity }
}

fn settings(config: &Config, verbosity: u8) -> Settings {
    Settings {
        verbosity,
        display_skipped_hosts: config.display_skipped_hosts,
        display_ok_hosts: config.display_ok_hosts,
        display_failed_stderr: config.display_failed_stderr,
        show_custom_stats: config.show_custom_stats,
        check_mode_markers: config.check_mode_markers,
        result_format: if config.result_format == "yaml" { ResultFormat::Yaml } else { ResultFormat::Json },
        ..Settings::default()
    }
}

/// Everything that a run needs; `dirs` are those of its playbooks, the first is the one that counts.
///
/// # Errors
/// What can't be read: passwords, variables, the inventory.
pub fn setup(start: &Start, common: &Common, selection: &Selection, dirs: &[PathBuf]) -> Result<Setup, Failure> {
    let config = Arc::clone(&start.config);
    let vault = Arc::new(vaults::of(&common.vault, &config)?);
    let options = options(start, common, selection, &vault)?;
    let templar = Templar::new(TemplarOptions { allow_broken_conditionals: config.allow_broken_conditionals });
    let events = start.events.clone();
    templar.on_warning(move |text| events.warning(text));
    let here = PathBuf::from(".");
    let playbook_dir = dirs.first().unwrap_or(&here).clone();
    let loader = Arc::new(Loader::new(LoaderOptions {
        roles_path: config.roles_path.clone(),
        collections_path: config.collections_path.clone(),
        playbook_dir,
        vault: Arc::clone(&vault),
        render_static: Some(static_scope::render(&templar, &options.extra_vars, &vault)),
        duplicate_keys: config.duplicate_dict_key.clone(),
    }));
    let inventory = inventory(start, common, &loader, dirs)?;
    Ok(Setup {
        inventory,
        loader,
        templar,
        vault,
        config,
        options,
        events: start.events.clone(),
        interrupt: Interrupt::default(),
    })
}

fn options(start: &Start, common: &Common, selection: &Selection, vault: &Vault) -> Result<Options, Failure> {
    let config = &start.config;
    let (password, become_password) = passwords::of_run(&common.connection, &common.privilege)?;
    for secret in [&password, &become_password].into_iter().flatten() {
        start.events.secrets().track_text(secret.expose());
    }
    let read = |path: &str| -> anyhow::Result<String> {
        use anyhow::Context as _;
        let path = crate::language::template::filters::expanduser(path);
        let text = std::fs::read_to_string(&path).with_context(|| format!("can't read the variables of `{path}`"))?;
        if Vault::is_vaulted(text.as_bytes()) { vault.decrypt(&text) } else { Ok(text) }
    };
    let mut ssh_args = config.ssh_args.clone();
    for given in [&common.connection.ssh_common_args, &common.connection.ssh_extra_args].into_iter().flatten() {
        let words = shlex::split(given)
            .ok_or_else(|| Failure::new(Exit::Usage, format!("the ssh arguments `{given}` have unbalanced quotes")))?;
        ssh_args.extend(words);
    }
    let or = |given: Vec<String>, configured: &[String]| if given.is_empty() { configured.to_vec() } else { given };
    Ok(Options {
        extra_vars: extra_vars::read(&common.extra_vars, read)?,
        limit: (!common.limit.is_empty()).then(|| common.limit.join(",")),
        tags: or(selection.tags(), &config.run_tags),
        skip_tags: or(selection.skip_tags(), &config.skip_tags),
        check_mode: common.check,
        diff: common.diff || config.diff_always,
        forks: common.forks.map_or(config.forks, |forks| usize::try_from(forks).unwrap_or(usize::MAX)),
        verbosity: start.verbosity,
        start_at_task: selection.start_at_task.clone(),
        force_handlers: selection.force_handlers || config.force_handlers,
        owed_handlers: true,
        remote_user: common.connection.user.clone().or_else(|| config.remote_user.clone()),
        private_key: common.connection.private_key.clone().or_else(|| config.private_key_file.clone()),
        password,
        connection: common.connection.connection.clone(),
        timeout: Duration::from_secs(common.connection.timeout.unwrap_or(config.timeout)),
        ssh_args,
        r#become: common.privilege.r#become || config.r#become,
        become_method: common.privilege.become_method.clone().or_else(|| config.become_method.clone()),
        become_user: common.privilege.become_user.clone().or_else(|| config.become_user.clone()),
        become_password,
    })
}

fn inventory(start: &Start, common: &Common, loader: &Loader, dirs: &[PathBuf]) -> Result<Inventory, Failure> {
    let sources = if common.inventory.is_empty() { start.config.inventory.clone() } else { common.inventory.clone() };
    let (mut inventory, warnings) = Inventory::load(&sources, loader, start.config.merge_hashes())
        .map_err(|errors| Failure::of(Exit::Error, errors))?;
    for warning in warnings {
        start.events.diagnostic(&warning);
    }
    for dir in dirs {
        inventory.load_vars_dir(dir, Beside::Playbook, loader).map_err(|errors| Failure::of(Exit::Error, errors))?;
    }
    Ok(inventory)
}

/// Runs playbooks to their end, signals included.
///
/// # Errors
/// When the runtime can't be started.
pub fn run(setup: Setup, playbooks: Vec<Playbook>) -> Result<Ended, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Error, format!("the runtime can't be started: {error}")))?;
    let events = setup.events.clone();
    let ended = runtime.block_on(async {
        signals::watch(&setup.interrupt)?;
        anyhow::Ok(crate::engine::run(setup, playbooks).await)
    })?;
    events.finish();
    // What still runs in the background (a reader of stdin) must not hold up the end.
    runtime.shutdown_background();
    Ok(ended)
}
