//! A registry behind a proxy that breaks requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crudctl::image::registry::retry::Patience;
use crudctl::image::registry::{Login, Options, Pushed, Registry, push};
use crudctl::image::{Image, ImageSpec, LayerBuilder};

use crate::proxy::{Fate, Proxy, Request};
use crate::server::Server;

const CHUNK: usize = 64 * 1024;

/// An image with a layer of several chunks, which gzip can't make smaller.
fn image() -> Image {
    let mut state = 1u64;
    let noise: Vec<u8> = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect();
    let layer = LayerBuilder::new().file("/noise", 0o644, Bytes::from(noise)).build("noise").expect("a layer");
    Image::assemble(&ImageSpec {
        layers: vec![layer],
        architecture: "amd64".into(),
        created: 0,
        user: String::new(),
        entrypoint: vec!["/noise".into()],
        command: vec![],
        env: BTreeMap::new(),
        ports: vec![],
        working_directory: "/".into(),
        healthcheck: None,
        labels: BTreeMap::new(),
    })
    .expect("an image")
}

fn options() -> Options {
    let patience = Patience { retries: 3, first: Duration::from_millis(10), most: Duration::from_millis(20) };
    Options { patience, chunk: CHUNK, ..Options::default() }
}

async fn push_to(proxy: &Proxy, login: Option<Login>) -> anyhow::Result<Pushed> {
    let registry = Registry::open(&proxy.name(), login, options()).await?;
    push(&registry, "team/app", &["v1".to_owned()], &image(), None).await
}

/// What the registry itself has under the tag.
async fn tagged(server: &Server) -> Option<String> {
    let registry = Registry::open(&server.name(), None, options()).await.expect("a registry");
    let digest = registry.manifest_digest("team/app", "v1").await.expect("an answer");
    digest.map(|digest| digest.as_str().to_owned())
}

/// Breaks the requests that `which` picks, `times` times.
fn breaking(
    times: usize,
    fate: Fate,
    which: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> impl Fn(&Request) -> Fate + Send + Sync + 'static {
    let broken = AtomicUsize::new(0);
    move |request| {
        let hit = which(request) && broken.fetch_add(1, Ordering::SeqCst) < times;
        if hit { fate.clone() } else { Fate::Pass }
    }
}

fn patches(request: &Request) -> bool {
    request.method == "PATCH"
}

/// A push that comes to its end although the proxy breaks something; gives the requests.
async fn survives(fate: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> Vec<Request> {
    let server = Server::plain();
    let proxy = Proxy::before(server.port, fate);
    let pushed = push_to(&proxy, None).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!((pushed.uploaded.len(), pushed.tagged.len()), (2, 1));
    assert_eq!(tagged(&server).await.as_deref(), Some(image().manifest_digest.as_str()));
    proxy.take()
}

/// A push that fails and leaves no tag; gives what it says.
async fn fails(fate: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> String {
    let server = Server::plain();
    let proxy = Proxy::before(server.port, fate);
    let error = push_to(&proxy, None).await.expect_err("it can't be pushed");
    assert_eq!(tagged(&server).await, None, "no tag is left");
    format!("{error:#}")
}

fn answer(status: u16, headers: &'static str, code: &str) -> Fate {
    Fate::Answer(status, headers, format!(r#"{{"errors":[{{"code":"{code}","message":"said by the test"}}]}}"#))
}

#[tokio::test]
async fn errors_that_pass_are_waited_out() {
    for status in [500, 502, 503, 504] {
        survives(breaking(2, answer(status, "", "UNKNOWN"), |_| true)).await;
    }
    survives(breaking(2, answer(500, "", "UNKNOWN"), Request::sends_blob)).await;
    survives(breaking(2, Fate::CutAfter(0), |request| request.method != "PATCH")).await;
}

#[tokio::test]
async fn a_pause_that_the_registry_asks_for_is_kept() {
    let start = Instant::now();
    survives(breaking(1, answer(429, "retry-after: 1\r\n", "TOOMANYREQUESTS"), patches)).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on() {
    survives(breaking(2, Fate::CutAfter(CHUNK / 2), patches)).await;
    survives(breaking(1, Fate::LoseAnswer, |request| request.method == "PUT" && request.sends_blob())).await;
    // The second chunk never arrives: the first is not sent again.
    let second = |request: &Request| request.header("content-range").is_some_and(|range| range.starts_with("65536-"));
    let seen = survives(breaking(1, answer(503, "", "UNAVAILABLE"), second)).await;
    let ranges: Vec<_> = seen.iter().filter_map(|request| request.header("content-range")).collect();
    assert_eq!(ranges.iter().filter(|range| range.starts_with("0-")).count(), 1, "{ranges:?}");
    assert!(ranges.iter().filter(|range| range.starts_with("65536-")).count() == 2, "{ranges:?}");
}

#[tokio::test]
async fn what_does_not_pass_ends_with_its_reason() {
    let said = fails(breaking(99, answer(500, "", "UNKNOWN"), patches)).await;
    assert!(
        said.contains("given up after 4 tries") && said.contains("500") && said.contains("said by the test"),
        "{said}"
    );
    let said = fails(breaking(99, answer(403, "", "DENIED"), |request| request.method == "POST")).await;
    assert!(said.contains("403") && said.contains("DENIED: said by the test"), "{said}");
    assert!(said.contains("/team/app") && said.contains("it takes the right to `pull,push` on `team/app`"), "{said}");
    let said = fails(breaking(99, answer(429, "retry-after: 3600\r\n", "TOOMANYREQUESTS"), patches)).await;
    assert!(said.contains("429"), "an hour is not waited for: {said}");
}

#[tokio::test]
async fn another_digest_than_was_sent_is_an_error() {
    let server = Server::plain();
    let (ours, other) = (image().manifest_digest.as_str().to_owned(), format!("sha256:{}", "0".repeat(64)));
    let to = other.clone();
    let proxy = Proxy::before(server.port, move |request| {
        if request.method == "PUT" && request.path.contains("/manifests/") {
            return Fate::Replace(ours.clone(), to.clone());
        }
        Fate::Pass
    });
    let said = format!("{:#}", push_to(&proxy, None).await.expect_err("another digest"));
    assert!(said.contains(&other) && said.contains("do not use that tag"), "{said}");

    let layer = image().layers[0].digest.as_str().to_owned();
    let said = fails(move |request| {
        let last = request.method == "PUT" && request.sends_blob();
        if last { Fate::Replace(layer.clone(), other.clone()) } else { Fate::Pass }
    });
    let said = said.await;
    assert!(said.contains("but calls it sha256:000"), "{said}");
}

#[tokio::test]
async fn two_pushes_of_one_tag_at_once_both_end_well() {
    let server = Server::plain();
    let proxy = Proxy::before(server.port, |_| Fate::Pass);
    let (one, two) = tokio::join!(push_to(&proxy, None), push_to(&proxy, None));
    one.expect("pushed");
    two.expect("pushed");
    assert_eq!(tagged(&server).await.as_deref(), Some(image().manifest_digest.as_str()));
}

/// A token service and a registry that takes its tokens, as the proxy plays them; the second token is another one.
#[tokio::test]
async fn a_token_that_runs_out_in_mid_push_is_replaced() {
    let server = Server::plain();
    let (given, patched) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let proxy = Proxy::before(server.port, move |request| {
        if request.path.starts_with("/token") {
            let basic = request.header("authorization").unwrap_or_default();
            assert!(basic.starts_with("Basic ") && request.path.contains("service=test"), "{request:?}");
            let number = given.fetch_add(1, Ordering::SeqCst);
            return Fate::Answer(200, "", format!(r#"{{"token":"secret-token-{number}"}}"#));
        }
        let newest = format!("Bearer secret-token-{}", given.load(Ordering::SeqCst).saturating_sub(1));
        let ran_out = request.method == "PATCH" && patched.fetch_add(1, Ordering::SeqCst) == 1;
        if ran_out || request.header("authorization") != Some(newest.as_str()) && request.path != "/v2/" {
            let port = request.header("host").and_then(|host| host.rsplit_once(':')).expect("a port").1.to_owned();
            let challenge =
                format!("www-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"test\"\r\n");
            return Fate::Answer(401, challenge.leak(), String::new());
        }
        Fate::Pass
    });
    let login = Login::Password { user: "ann".into(), password: crudctl::host::Secret::new("pass-word") };
    let pushed = push_to(&proxy, Some(login)).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(pushed.uploaded.len(), 2);
    assert_eq!(tagged(&server).await.as_deref(), Some(image().manifest_digest.as_str()));
}

#[tokio::test]
async fn a_registry_that_says_our_secret_is_not_quoted() {
    let server = Server::plain();
    let proxy = Proxy::before(server.port, |request| match request.method.as_str() {
        "HEAD" => Fate::Pass,
        _ if request.path == "/v2/" => Fate::Pass,
        _ => Fate::Answer(400, "", "the password pass-word is wrong".into()),
    });
    let login = Login::Password { user: "ann".into(), password: crudctl::host::Secret::new("pass-word") };
    let said = format!("{:#}", push_to(&proxy, Some(login)).await.expect_err("refused"));
    assert!(said.contains("the password ******** is wrong"), "{said}");
}
