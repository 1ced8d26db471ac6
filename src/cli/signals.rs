//! Signals: the first asks the run to end in order, the second ends the program.

use tokio::signal::unix::{SignalKind, signal};

use crate::engine::Interrupt;

/// Raises the interrupt on SIGINT, SIGTERM or SIGHUP, for as long as the runtime lives.
///
/// # Errors
/// When a handler can't be installed.
pub fn watch(interrupt: &Interrupt) -> anyhow::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        let interrupt = interrupt.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let number = kind.as_raw_value();
                if interrupt.signal().is_some() {
                    // Asked twice: whoever asks no longer wants to wait for sessions to be closed.
                    std::process::exit(128 + number);
                }
                super::complain("\ninterrupted: ending in order (again to end at once)");
                interrupt.raise(number);
            }
        });
    }
    Ok(())
}
