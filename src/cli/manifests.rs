//! `crudctl manifests`: what `deploy` would apply, as one file.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::Value;

use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs};
use super::{complain, say};
use crate::engine::event::{Event, Events, Reporter, Status};
use crate::engine::secrets::Secrets;

/// Print the manifests that `deploy` would apply, as one file for `kubectl apply -f`
///
/// No cluster is asked. Secrets are left out: their names go to stderr.
#[derive(Debug, Args)]
pub struct Manifests {
    /// The image, best by its digest: REGISTRY/NAME@sha256:…
    #[arg(long, value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Keeps what the playbook rendered, tells what failed.
#[derive(Clone, Default)]
struct Rendered(Arc<Mutex<(String, Vec<String>)>>);

impl Reporter for Rendered {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskEnded(result) if matches!(result.status, Status::Failed | Status::Unreachable) => {
                let reason = result.result.get("msg").and_then(Value::as_str).unwrap_or("it failed");
                complain(&format!("error: {reason}"));
            }
            Event::TaskEnded(result) => {
                let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(text) = result.result.get("manifests").and_then(Value::as_str) {
                    kept.0.push_str(text);
                    let names = result.result.get("secrets").and_then(Value::as_array).into_iter().flatten();
                    kept.1.extend(names.filter_map(Value::as_str).map(str::to_owned));
                }
            }
            Event::Error { text } => complain(text),
            _ => {}
        }
    }
}

impl Manifests {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        let mut setup = service.cluster_setup(false, &[("image", self.image.as_str().into())])?;
        let rendered = Rendered::default();
        setup.events = Events::new(vec![Box::new(rendered.clone())], Secrets::default());
        let ended = service.run("kubernetes/manifests", setup)?;
        let kept = rendered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.0.is_empty() {
            say(kept.0.trim_end());
        }
        for name in &kept.1 {
            complain(&format!("the Secret {name} is left out: make it by hand, or deploy with crudctl"));
        }
        Ok(Exit::of(&ended))
    }
}
