//! Guarded batches: module steps for one host and user that travel together and are run in order until one stops them.

use std::sync::Arc;
use std::time::Duration;

use crate::host::script::Script;
use crate::host::{Become, Entry, GoOn, Lost, Reply, Session};
use crate::modules::contract::{
    AnyDrift, Applied, Apply, CONVERGED, Check, Context, DRIFT, HostStep, Outcome, ParseApply, ParseCheck, Verdict,
};

/// One module step of a batch.
pub(super) struct Work {
    /// The module with its parameters.
    pub module: Arc<dyn HostStep>,
    /// Its surroundings.
    pub context: Context,
    /// Exported to its scripts.
    pub environment: Vec<(String, String)>,
    /// Time that each of its scripts may take.
    pub timeout: Option<Duration>,
    /// Whether the host goes on by itself behind a failure.
    pub passes_failure: bool,
    /// Lines for the host's journal of owed handlers, should it change something.
    pub owes: Vec<String>,
    /// Steps of the same group (a loop's items) go on behind a failure of one; what follows the group then does not.
    pub group: usize,
}

/// A check that is made before its turn.
pub(super) struct Look {
    /// What the host is asked.
    pub asked: Asked,
    parse: ParseCheck<AnyDrift>,
    timeout: Option<Duration>,
}

/// What makes a check the same as another.
#[derive(PartialEq)]
pub(super) struct Asked {
    script: Script,
    environment: Vec<(String, String)>,
    check_mode: bool,
}

impl Look {
    /// The check of a work; none where it would act without asking.
    pub(super) fn of(work: &Work) -> Option<Self> {
        let context = Context { ahead: true, ..work.context.clone() };
        let Check::Ask { script, parse, .. } = work.module.check(&context).ok()? else { return None };
        let asked = Asked { script, environment: work.environment.clone(), check_mode: context.check_mode };
        Some(Self { asked, parse, timeout: work.timeout })
    }
}

/// How a step ended.
pub(super) enum End {
    /// With an outcome (a failure among them).
    Outcome(Outcome),
    /// The connection was lost, or the shell could not be had.
    Lost(Lost),
}

/// A step that is still to end.
struct Pending {
    index: usize,
    work: Work,
    next: Next,
    /// What the check found, kept while an apply is under way.
    found: Option<Outcome>,
}

enum Next {
    /// Nothing to send: the end is known.
    Known(Outcome),
    /// A check, perhaps with an apply that may run at once.
    Check { script: Script, parse: ParseCheck<AnyDrift>, inline: Option<Apply> },
    /// An apply.
    Apply { script: Script, parse: ParseApply },
}

/// Runs steps in order. `ended` is told of each end, in order, and says whether to go on; steps behind a stop don't run.
///
/// Results are those of one step at a time: a batch stops on the host at the first drift that needs this side, at the first verdict that
/// only this side can tell, and at the first failure; what is behind it is sent again.
pub(super) async fn run(
    session: &Session,
    who: Option<&Become>,
    work: Vec<Work>,
    ended: &mut (dyn FnMut(usize, End) -> bool + Send),
) {
    let mut queue: std::collections::VecDeque<Pending> =
        work.into_iter().enumerate().map(|(index, work)| prepare(index, work)).collect();
    // The group in which a step failed: nothing behind it is sent before it is over.
    let mut spoiled: Option<usize> = None;
    while !queue.is_empty() {
        while let Some(Pending { next: Next::Known(_), .. }) = queue.front() {
            if let Some(Pending { index, next: Next::Known(outcome), .. }) = queue.pop_front()
                && !ended(index, End::Outcome(outcome))
            {
                return;
            }
        }
        spoiled = spoiled.filter(|group| queue.front().is_some_and(|step| step.work.group == *group));
        let entries = entries(&queue, spoiled);
        if entries.is_empty() {
            continue;
        }
        let mut replies = session.run(who.cloned(), entries);
        let mut progress = false;
        while let Some(reply) = replies.recv().await {
            progress = true;
            // Ends that are known take their turn.
            while let Some(Pending { next: Next::Known(_), .. }) = queue.front() {
                if let Some(Pending { index, next: Next::Known(outcome), .. }) = queue.pop_front()
                    && !ended(index, End::Outcome(outcome))
                {
                    return;
                }
            }
            let Some(step) = queue.pop_front() else { break };
            let (index, group, passes) = (step.index, step.work.group, step.work.passes_failure);
            match reply {
                Err(lost) => {
                    ended(index, End::Lost(lost));
                    return;
                }
                Ok(reply) => {
                    let owes = if reply.apply.is_some() { step.work.owes.clone() } else { vec![] };
                    match settle(step, reply.check, reply.apply) {
                        Settled::Ended(outcome) => {
                            if outcome.changed || outcome.failed.is_some() {
                                session.owing(who, &owes);
                            }
                            if outcome.failed.is_some() && !passes {
                                spoiled = Some(group);
                            }
                            if !ended(index, End::Outcome(outcome)) {
                                return;
                            }
                        }
                        Settled::Again(step) => {
                            queue.push_front(*step);
                            // The host stopped here; what it may still say belongs to nothing.
                            while replies.recv().await.is_some() {}
                            break;
                        }
                    }
                }
            }
        }
        if !progress {
            if let Some(step) = queue.pop_front() {
                ended(step.index, End::Lost(Lost::Disconnected("the host gave no reply".into())));
            }
            return;
        }
    }
}

/// Makes checks in order up to the first that fails or, outside of check mode, finds something to do; returns what was as asked.
pub(super) async fn look(session: &Session, who: Option<&Become>, looks: Vec<Look>) -> Vec<(Asked, Outcome)> {
    let entry = |look: &Look| Entry {
        check: Some(look.asked.script.clone()),
        environment: look.asked.environment.clone(),
        timeout: look.timeout,
        go_on: GoOn { drift: look.asked.check_mode, ask: true, failed: false },
        ..Entry::default()
    };
    let mut replies = session.run(who.cloned(), looks.iter().map(entry).collect());
    let mut found = vec![];
    for Look { asked, parse, .. } in looks {
        let Some(Ok(reply)) = replies.recv().await else { break };
        match parse(&reply.check.unwrap_or_default()) {
            Ok(Verdict::Converged(outcome)) => found.push((asked, outcome)),
            Ok(Verdict::Drift { outcome, .. }) if asked.check_mode => {
                let changed = !outcome.skipped;
                found.push((asked, Outcome { changed, ..outcome }));
            }
            // What the host may still say rests on what this one will do.
            _ => break,
        }
    }
    found
}

fn prepare(index: usize, work: Work) -> Pending {
    let (next, found) = match work.module.check(&work.context) {
        Err(error) => (Next::Known(failure(&error)), None),
        Ok(Check::Known(verdict)) => after_verdict(&work, verdict),
        Ok(Check::Ask { script, parse, inline }) => {
            let inline = inline.filter(|_| !work.context.check_mode);
            (Next::Check { script, parse, inline }, None)
        }
    };
    Pending { index, work, next, found }
}

/// What follows from a verdict.
fn after_verdict(work: &Work, verdict: Verdict<AnyDrift>) -> (Next, Option<Outcome>) {
    match verdict {
        Verdict::Converged(outcome) => (Next::Known(outcome), None),
        Verdict::Failed(mut outcome) => {
            outcome.failed.get_or_insert_with(|| "failed".into());
            (Next::Known(outcome), None)
        }
        Verdict::Drift { drift, mut outcome } => {
            if work.context.check_mode {
                outcome.changed = !outcome.skipped;
                return (Next::Known(outcome), None);
            }
            match work.module.apply(drift, &work.context) {
                Ok(Apply { script, parse }) => (Next::Apply { script, parse }, Some(outcome)),
                Err(error) => (Next::Known(failure(&error)), None),
            }
        }
    }
}

fn failure(error: &anyhow::Error) -> Outcome {
    Outcome::failed(format!("{error:#}"))
}

/// Entries for what can travel now: up to the first known failure.
fn entries(queue: &std::collections::VecDeque<Pending>, spoiled: Option<usize>) -> Vec<Entry> {
    let mut entries = vec![];
    for step in queue {
        if spoiled.is_some_and(|group| step.work.group != group) {
            break;
        }
        let (check, apply) = match &step.next {
            Next::Known(outcome) => {
                if outcome.failed.is_some() && !step.work.passes_failure {
                    break;
                }
                continue;
            }
            Next::Check { script, inline, .. } => (Some(script.clone()), inline.as_ref().map(|i| i.script.clone())),
            Next::Apply { script, .. } => (None, Some(script.clone())),
        };
        let dry = step.work.context.check_mode;
        entries.push(Entry {
            check,
            apply,
            environment: step.work.environment.clone(),
            timeout: step.work.timeout,
            go_on: GoOn { drift: dry, ask: dry, failed: step.work.passes_failure },
            owes: step.work.owes.clone(),
        });
    }
    entries
}

enum Settled {
    Ended(Outcome),
    Again(Box<Pending>),
}

/// What a reply makes of its step.
fn settle(step: Pending, check: Option<Reply>, apply: Option<Reply>) -> Settled {
    let Pending { index, work, next, found } = step;
    match next {
        Next::Known(outcome) => Settled::Ended(outcome),
        Next::Apply { parse, .. } => {
            let reply = apply.unwrap_or_default();
            applied(index, work, parse(&reply), &reply, found)
        }
        Next::Check { parse, inline, .. } => {
            let reply = check.unwrap_or_default();
            let verdict = match parse(&reply) {
                Ok(verdict) => verdict,
                Err(error) => return Settled::Ended(failure(&error)),
            };
            if let (Some(inline), Some(done)) = (inline, apply) {
                let found = match verdict {
                    Verdict::Drift { outcome, .. } => Some(outcome),
                    _ => None,
                };
                return applied(index, work, (inline.parse)(&done), &done, found);
            }
            // The host went on behind these statuses, so nothing else may come of them.
            let contradiction = match (&verdict, reply.status) {
                (Verdict::Converged(_), DRIFT) => !work.context.check_mode,
                (Verdict::Drift { .. } | Verdict::Failed(_), CONVERGED) => true,
                _ => false,
            };
            if contradiction {
                return Settled::Ended(Outcome::failed(format!(
                    "the module's check ended with status {} and its parser found otherwise: this is a defect of crudctl",
                    reply.status
                )));
            }
            match after_verdict(&work, verdict) {
                (Next::Known(outcome), _) => Settled::Ended(outcome),
                (next, found) => Settled::Again(Box::new(Pending { index, work, next, found })),
            }
        }
    }
}

fn applied(
    index: usize,
    work: Work,
    result: anyhow::Result<Applied>,
    reply: &Reply,
    found: Option<Outcome>,
) -> Settled {
    match result {
        Err(error) => Settled::Ended(failure(&error)),
        Ok(Applied::Done(outcome)) => Settled::Ended(merge(found, outcome)),
        Ok(Applied::Again(_)) if reply.status == 0 => Settled::Ended(Outcome::failed(
            "the module wants another script though its last one ended with status 0: this is a defect of crudctl",
        )),
        Ok(Applied::Again(Apply { script, parse })) => {
            Settled::Again(Box::new(Pending { index, work, next: Next::Apply { script, parse }, found }))
        }
    }
}

/// The apply's outcome with what only the check knew.
fn merge(found: Option<Outcome>, mut outcome: Outcome) -> Outcome {
    let Some(found) = found else { return outcome };
    if outcome.diff.is_empty() {
        outcome.diff = found.diff;
    }
    for (name, value) in found.values {
        outcome.values.entry(name).or_insert(value);
    }
    if outcome.failed.is_none() && outcome.msg.is_none() {
        outcome.msg = found.msg;
    }
    outcome.warnings.splice(0..0, found.warnings);
    outcome
}
