//! `crudctl status`, `crudctl history`, `crudctl logs`: what runs, since when, which image, by whom; what it says.

use clap::Args;
use serde_json::Value;

use super::exit::Exit;
use super::failure::Failure;
use super::say;
use super::service::{Service, ServiceArgs, Watch};
use crate::engine::event::Events;
use crate::engine::secrets::Secrets;
use crate::report::Output;

/// Show the release that runs on each host
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    service: ServiceArgs,
}

/// Show all releases on each host
#[derive(Debug, Args)]
pub struct History {
    /// Those of the cluster
    #[arg(long)]
    kubernetes: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Show the log of the release that runs
#[derive(Debug, Args)]
#[command(mut_arg("forks", |arg| arg.short(None)))]
pub struct Logs {
    /// Go on with lines as they come
    #[arg(short = 'f', long = "follow")]
    follow: bool,
    /// How many of the last lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    tail: u32,
    #[command(flatten)]
    service: ServiceArgs,
}

impl Status {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        show(&self.service, true, false)
    }
}

impl History {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        show(&self.service, false, self.kubernetes)
    }
}

impl Logs {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let watch = Watch::printing();
        ask(&self.service, &watch, false, &[("log_lines", self.tail.into()), ("follow", self.follow.into())])
    }
}

fn ask(args: &ServiceArgs, watch: &Watch, kubernetes: bool, more: &[(&str, Value)]) -> Result<Exit, Failure> {
    let service = Service::load(args)?;
    let (playbook, mut setup) = if kubernetes {
        ("kubernetes/status", service.cluster_setup(false, more)?)
    } else {
        ("status", service.setup(false, more)?)
    };
    // Data goes to stdout and nothing else does; errors are told below.
    let errors = Errors;
    setup.events = Events::new(vec![Box::new(watch.clone()), Box::new(errors)], Secrets::default());
    let ended = service.run(playbook, setup)?;
    Ok(watch.exit(&ended))
}

/// Tells failures, and nothing else.
struct Errors;

impl crate::engine::event::Reporter for Errors {
    fn event(&mut self, event: &crate::engine::event::Event) {
        use crate::engine::event::{Event, Status};
        match event {
            Event::TaskEnded(result) if matches!(result.status, Status::Failed | Status::Unreachable) => {
                let reason = result.result.get("msg").and_then(Value::as_str).unwrap_or("it failed");
                super::complain(&format!("error: {}: {reason}", result.host));
            }
            Event::Error { text } => super::complain(text),
            _ => {}
        }
    }
}

fn show(args: &ServiceArgs, only_running: bool, kubernetes: bool) -> Result<Exit, Failure> {
    let watch = Watch::default();
    let exit = ask(args, &watch, kubernetes, &[])?;
    let seen = watch.seen();
    if args.output.form() == Output::Json {
        let all: serde_json::Map<String, Value> = seen.releases.into_iter().collect();
        say(&Value::Object(all).to_string());
        return Ok(exit);
    }
    let mut rows = vec![["HOST", "RELEASE", "STATE", "SINCE", "IMAGE", "BY"].map(str::to_owned)];
    for (host, releases) in &seen.releases {
        let all = releases.as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |r: &Value, key: &str| {
            r.get(key).map_or_else(String::new, |v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
        };
        let mut any = false;
        for release in all {
            if only_running && release.get("state") != Some(&Value::from("running")) {
                continue;
            }
            any = true;
            rows.push([
                host.clone(),
                text(release, "release"),
                text(release, "status"),
                text(release, "at"),
                text(release, "image"),
                text(release, "by"),
            ]);
        }
        if !any {
            rows.push([host.clone(), "-".into(), "not running".into(), String::new(), String::new(), String::new()]);
        }
    }
    let widths: Vec<usize> = (0..6).map(|i| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(cells.join("  ").trim_end());
    }
    Ok(exit)
}
