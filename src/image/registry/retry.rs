//! What is tried again, and after which pause.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest pause that a registry may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// How often, and how patiently.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries after the first.
    pub retries: u32,
    /// Upper end of the first pause; it doubles with each try.
    pub first: Duration,
    /// Upper end of any pause.
    pub most: Duration,
}

impl Default for Patience {
    /// Six more tries within about half a minute.
    fn default() -> Self {
        Self { retries: 6, first: Duration::from_millis(500), most: Duration::from_secs(10) }
    }
}

/// The tries of one piece of work.
#[derive(Debug)]
pub struct Backoff {
    patience: Patience,
    done: u32,
}

impl Backoff {
    /// None so far.
    pub fn new(patience: Patience) -> Self {
        Self { patience, done: 0 }
    }

    /// Waits before the next try; `false` where there is none.
    /// Without an `asked` pause it is drawn from the upper half of its range, so that clients which failed together do not come together.
    pub async fn again(&mut self, asked: Option<Duration>) -> bool {
        if self.done >= self.patience.retries || asked.is_some_and(|pause| pause > MAX_RETRY_AFTER) {
            return false;
        }
        let end = self.patience.first.saturating_mul(1 << self.done.min(16)).min(self.patience.most);
        self.done += 1;
        let share = 0.5 + f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX) / 2.0;
        tokio::time::sleep(asked.unwrap_or_else(|| end.mul_f64(share))).await;
        true
    }

    /// Tries so far, the first included.
    pub fn tries(&self) -> u32 {
        self.done + 1
    }
}

/// Whether an answer may be another one soon.
pub fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The pause that an answer asks for in seconds (its form as a date is not used by registries).
pub fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tries_end() {
        let quick = Patience { retries: 2, first: Duration::from_millis(1), most: Duration::from_millis(1) };
        let mut backoff = Backoff::new(quick);
        assert!(backoff.again(None).await && backoff.again(Some(Duration::ZERO)).await);
        assert!(!backoff.again(None).await);
        assert_eq!(backoff.tries(), 3);
    }

    #[tokio::test]
    async fn a_pause_beyond_a_minute_is_not_waited_for() {
        assert!(!Backoff::new(Patience::default()).again(Some(Duration::from_secs(61))).await);
    }
}
