//! What the hardware service answered last, and when it is asked again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::source::{Hardware, Source};
use crate::log;

/// After a failure the service is left alone for this time.
const PAUSE: Duration = Duration::from_secs(1);

/// One source, asked by one request at a time.
#[derive(Debug)]
pub(super) struct Cache {
    source: Source,
    keep: Duration,
    known: Mutex<Known>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    list: Option<(Arc<Vec<Hardware>>, Instant)>,
    failed: Option<Instant>,
}

/// A list and how old it is.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Arc<Vec<Hardware>>,
    pub(super) age: Duration,
}

/// What there is to show.
#[derive(Debug)]
pub(super) enum Seen {
    /// Not older than is allowed; `asked`: just now.
    Fresh {
        /// The list.
        list: List,
        /// Whether this request asked for it.
        asked: bool,
    },
    /// Older, since the service does not answer.
    Stale(List),
    /// The service never answered.
    Nothing,
}

impl Cache {
    pub(super) fn new(source: Source, keep: Duration) -> Self {
        Self { source, keep, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The list; asks for it where the known one is too old. While another request asks, an old list is shown.
    pub(super) async fn get(&self) -> Seen {
        let known = self.known();
        if let Some(fresh) = self.fresh(&known) {
            return fresh;
        }
        let turn = if known.list.is_some() {
            match self.asking.try_lock() {
                Ok(turn) => turn,
                Err(_) => return stale(known),
            }
        } else {
            self.asking.lock().await
        };
        // Another request may have asked while this one waited.
        let known = self.known();
        if let Some(fresh) = self.fresh(&known) {
            return fresh;
        }
        if known.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return stale(known);
        }
        let answer = self.source.ask().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = match answer {
            Ok(items) => {
                let items = Arc::new(items);
                *known = Known { list: Some((items.clone(), Instant::now())), failed: None };
                Seen::Fresh { list: List { items, age: Duration::ZERO }, asked: true }
            }
            Err(error) => {
                log::warn("the hardware service does not answer", &[("error", format!("{error:#}"))]);
                known.failed = Some(Instant::now());
                stale(known.clone())
            }
        };
        drop(turn);
        seen
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self, known: &Known) -> Option<Seen> {
        let (items, at) = known.list.as_ref()?;
        let age = at.elapsed();
        (age <= self.keep).then(|| Seen::Fresh { list: List { items: items.clone(), age }, asked: false })
    }
}

fn stale(known: Known) -> Seen {
    known.list.map_or(Seen::Nothing, |(items, at)| Seen::Stale(List { items, age: at.elapsed() }))
}
