//! Ends a run early, in order: no new task starts, sessions are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tokio::sync::Notify;

/// A flag that a signal handler raises; clones share it.
#[derive(Clone, Default, Debug)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default, Debug)]
struct Inner {
    signal: AtomicI32,
    raised: Notify,
}

impl Interrupt {
    /// Raises it for this signal.
    pub fn raise(&self, signal: i32) {
        self.0.signal.store(signal, Ordering::SeqCst);
        self.0.raised.notify_waiters();
    }

    /// The signal, once raised.
    pub fn signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Waits until it is raised.
    pub async fn wait(&self) {
        loop {
            let raised = self.0.raised.notified();
            if self.signal().is_some() {
                return;
            }
            raised.await;
        }
    }
}
