//! `meta`: acts on the flow of the play.

use super::{Cx, done, free_form};
use crate::engine::call::Call;
use crate::engine::task::Ran;
use crate::modules::contract::Outcome;
use crate::text::{Diagnostic, did_you_mean};

/// What the flow is to do, for all hosts that say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Meta {
    FlushHandlers,
    EndPlay,
    EndBatch,
    EndHost,
    EndRole,
    ClearHostErrors,
    /// Done already.
    Nothing,
}

const NAMES: &[&str] = &[
    "clear_facts",
    "clear_host_errors",
    "end_batch",
    "end_host",
    "end_play",
    "end_role",
    "flush_handlers",
    "noop",
    "refresh_inventory",
    "reset_connection",
];

pub(super) async fn meta(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let name = free_form(call, &["free_form", "_raw_params"]).unwrap_or_default();
    let mut ran = done(Outcome::ok());
    ran.meta = match name.trim() {
        "noop" | "refresh_inventory" => Some(Meta::Nothing),
        "flush_handlers" => Some(Meta::FlushHandlers),
        "end_play" => Some(Meta::EndPlay),
        "end_batch" => Some(Meta::EndBatch),
        "end_host" => Some(Meta::EndHost),
        "end_role" => {
            let wrong = |what: &str| {
                let text = format!("Cannot execute 'end_role' from {what}");
                cx.play.run.fail(Diagnostic::error(text, &call.args.place));
                Some(Meta::Nothing)
            };
            match cx.scope.role() {
                _ if cx.info.handler => wrong("a handler"),
                None => wrong("outside of a role"),
                Some(role) => {
                    cx.host.state().left_role = Some(role.name.clone());
                    Some(Meta::EndRole)
                }
            }
        }
        "clear_host_errors" => Some(Meta::ClearHostErrors),
        "clear_facts" => {
            cx.host.clear_facts();
            Some(Meta::Nothing)
        }
        "reset_connection" => {
            let worker = cx.play.worker(cx.scope, cx.settings);
            let route = cx.play.route(cx.scope, &worker, cx.settings)?;
            cx.play.run.sessions.drop_route(&route).await;
            Some(Meta::Nothing)
        }
        other => {
            let error = Diagnostic::error(format!("invalid meta action requested: {other}"), &call.args.place);
            return Err(match did_you_mean(other, NAMES.iter().copied()) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error,
            });
        }
    };
    Ok(ran)
}
