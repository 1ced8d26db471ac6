//! What users see of a run: each reporter consumes events, and nothing else.

pub mod adhoc;
pub mod ansible;
pub mod diff;
pub mod github;
pub mod human;
pub mod json;
pub mod junit;
pub mod plain;
pub mod result;
pub mod screen;
pub mod source;

pub use screen::{Color, Screen};

use crate::engine::event::Reporter;

/// The forms that a run's report can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For a terminal: live lines, folded results, reasons of failures.
    #[default]
    Human,
    /// For logs: one stable line a result.
    Plain,
    /// For programs: one event a line; `crudctl replay` shows it again in any form.
    Json,
    /// As Ansible's `default` callback prints it.
    Ansible,
    /// As Ansible's `minimal` callback prints it (the `ansible` command's form).
    Minimal,
    /// As Ansible's `oneline` callback prints it.
    Oneline,
    /// Annotations and groups for GitHub Actions.
    Github,
    /// JUnit XML.
    Junit,
}

/// How results are written in the `ansible` form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResultFormat {
    /// JSON, in one line where it isn't asked to be pretty.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

/// What users may set about reports; the names are those of Ansible's `default` callback.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often `-v` was given.
    pub verbosity: u8,
    /// Whether skipped tasks are shown.
    pub display_skipped_hosts: bool,
    /// Whether results without a change are shown.
    pub display_ok_hosts: bool,
    /// Whether failures go to stderr.
    pub display_failed_stderr: bool,
    /// Whether `set_stats` are shown at the end.
    pub show_custom_stats: bool,
    /// Whether check mode is marked in banners.
    pub check_mode_markers: bool,
    /// Whether a failed task's file and line are shown above it.
    pub show_task_path_on_failure: bool,
    /// Form of results.
    pub result_format: ResultFormat,
    /// Whether results are indented; none: where the form or verbosity wants it.
    pub pretty_results: Option<bool>,
    /// Whether deprecations are shown.
    pub deprecation_warnings: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            verbosity: 0,
            display_skipped_hosts: true,
            display_ok_hosts: true,
            display_failed_stderr: false,
            show_custom_stats: false,
            check_mode_markers: false,
            show_task_path_on_failure: false,
            result_format: ResultFormat::Json,
            pretty_results: None,
            deprecation_warnings: true,
        }
    }
}

/// The reporter of a form, writing to a screen.
pub fn for_output(output: Output, settings: Settings, screen: Screen) -> Box<dyn Reporter> {
    match output {
        Output::Human => Box::new(human::Human::new(settings, screen)),
        Output::Plain => Box::new(plain::Plain::new(settings, screen)),
        Output::Json => Box::new(json::Json::new(screen)),
        Output::Ansible => Box::new(ansible::Ansible::new(settings, screen)),
        Output::Minimal => Box::new(adhoc::AdHoc::minimal(settings, screen)),
        Output::Oneline => Box::new(adhoc::AdHoc::oneline(settings, screen)),
        Output::Github => Box::new(github::Github::new(settings, screen)),
        Output::Junit => Box::new(junit::Junit::new(screen)),
    }
}
