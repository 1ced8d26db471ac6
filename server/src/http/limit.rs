//! A limit of requests for each client. Off unless `RATE_LIMIT` is set.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Frame;
use super::layers::client;
use crate::problem::Problem;

/// Clients that are remembered before those that were quiet are forgotten.
const CLIENTS: usize = 100_000;

/// So many requests a second, and as many at once, for each client.
#[derive(Debug)]
pub(super) struct Limit {
    clients: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock, NoOpMiddleware<std::time::Instant>>,
}

impl Limit {
    /// None for 0.
    pub(super) fn new(per_second: u32) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(per_second)?);
        Some(Self { clients: RateLimiter::hashmap_with_clock(quota, MonotonicClock) })
    }

    /// Whether one more request may come; if not, in how many seconds.
    fn take(&self, client: IpAddr) -> Result<(), u64> {
        if self.clients.len() > CLIENTS {
            self.clients.retain_recent();
        }
        let now = MonotonicClock.now();
        self.clients.check_key(&network(client)).map_err(|not| not.wait_time_from(now).as_secs() + 1)
    }
}

/// One customer has a whole /64 of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        },
    }
}

pub(super) async fn limited(State(frame): State<Arc<Frame>>, request: Request, next: Next) -> Response {
    if let (Some(limit), Some(client)) = (frame.limit(), client(&request, frame.proxy_hops))
        && let Err(seconds) = limit.take(client)
    {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests: try again later");
        let mut response = problem.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }
    next.run(request).await
}
