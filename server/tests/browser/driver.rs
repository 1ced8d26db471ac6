//! A headless Chromium without JavaScript, driven by the W3C WebDriver protocol.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::databases::is_root;

const PATIENCE: Duration = Duration::from_secs(30);
/// The member of an element's reference (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. Closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// The session's URL.
    session: String,
    /// For what it leaves behind.
    _folder: tempfile::TempDir,
}

/// An element of the page.
pub(crate) struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: install the Debian packages `chromium` and `chromium-driver` (or set CRUD_TEST_NO_LAB=1)");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.split_once("successfully on port ").map(|(_, port)| port.to_owned()));
        let port = port.expect("chromedriver names its port").trim_end_matches('.').to_owned();
        // It may go on talking.
        std::thread::spawn(move || lines.for_each(drop));
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
        let mut browser = Self {
            driver,
            agent: config.build().into(),
            session: format!("http://127.0.0.1:{port}/session"),
            _folder: folder,
        };
        let mut arguments = vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        if is_root() {
            arguments.push("--no-sandbox");
        }
        let options = json!({
            "args": arguments,
            // 2: blocked.
            "prefs": {"profile.managed_default_content_settings.javascript": 2},
        });
        let wanted =
            json!({"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let session = browser.post("", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().expect("a session"));
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.agent.post(format!("{}{path}", self.session)).header("content-type", "application/json");
        answer(path, request.send(body.to_string()))
    }

    fn get(&self, path: &str) -> Value {
        answer(path, self.agent.get(format!("{}{path}", self.session)).call())
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    pub(crate) fn url(&self) -> String {
        self.get("/url").as_str().expect("a URL").to_owned()
    }

    pub(crate) fn title(&self) -> String {
        self.get("/title").as_str().expect("a title").to_owned()
    }

    fn developer(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// The width of the window in CSS pixels.
    pub(crate) fn set_width(&self, width: u32) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.developer("Emulation.setDeviceMetricsOverride", &size);
    }

    pub(crate) fn set_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.developer("Emulation.setEmulatedMedia", &features);
    }

    /// The width of what the page holds: more than the window's means that one must scroll sideways.
    pub(crate) fn content_width(&self) -> f64 {
        let metrics = self.developer("Page.getLayoutMetrics", &json!({}));
        metrics["cssContentSize"]["width"].as_f64().expect("a width")
    }

    /// What the browser complains about: scripts, styles or requests that the page's policy does not allow, for instance.
    /// Its advice is left out, and so are answers with an error status, which it lists, too.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a log").iter().filter(|entry| entry["level"] != "DEBUG");
        let messages = entries.filter_map(|entry| entry["message"].as_str());
        messages.filter(|text| !text.contains("the server responded with a status of")).map(str::to_owned).collect()
    }

    /// The elements that a CSS selector finds now.
    pub(crate) fn all(&self, css: &str) -> Vec<Element<'_>> {
        let found = self.post("/elements", &json!({"using": "css selector", "value": css}));
        found.as_array().expect("elements").iter().map(|element| self.element(element)).collect()
    }

    /// The first element that a CSS selector finds, as soon as it is there.
    pub(crate) fn find(&self, css: &str) -> Element<'_> {
        self.until(css, || self.all(css).into_iter().next())
    }

    /// The link with this text, as soon as it is there.
    pub(crate) fn link(&self, text: &str) -> Element<'_> {
        self.until(text, || {
            let found = self.post("/elements", &json!({"using": "link text", "value": text}));
            found.as_array().expect("elements").first().map(|element| self.element(element))
        })
    }

    /// Waits for what is to be seen.
    pub(crate) fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "no {what} on {}: {}", self.url(), self.get("/source"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the page says so in an element of its own for news.
    pub(crate) fn told(&self, role: &str, text: &str) {
        self.until(text, || {
            self.all(&format!("[role={role}]")).iter().find(|news| news.text().contains(text)).map(drop)
        });
    }

    /// The element that has the keyboard.
    pub(crate) fn active(&self) -> Element<'_> {
        self.element(&self.get("/element/active"))
    }

    fn element(&self, reference: &Value) -> Element<'_> {
        Element { browser: self, id: reference[ELEMENT].as_str().expect("an element").to_owned() }
    }
}

fn answer(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = answer.body_mut().read_to_string().expect("a body");
    let mut body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error} in {text}"));
    // An element may go with its page while one looks at it: then there is none.
    let gone = body["value"]["error"] == "stale element reference";
    assert!(answer.status().is_success() || gone, "{path}: {text}");
    if gone { Value::Null } else { body["value"].take() }
}

impl Element<'_> {
    fn get(&self, what: &str) -> Value {
        self.browser.get(&format!("/element/{}/{what}", self.id))
    }

    pub(crate) fn click(&self) {
        self.browser.post(&format!("/element/{}/click", self.id), &json!({}));
    }

    /// Types; `\u{e004}` is the tabulator, `\u{e007}` the enter key.
    pub(crate) fn write(&self, text: &str) {
        self.browser.post(&format!("/element/{}/value", self.id), &json!({"text": text}));
    }

    /// Types instead of what is there.
    pub(crate) fn rewrite(&self, text: &str) {
        self.browser.post(&format!("/element/{}/clear", self.id), &json!({}));
        self.write(text);
    }

    /// As it is seen.
    pub(crate) fn text(&self) -> String {
        self.get("text").as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.get(&format!("attribute/{name}")).as_str().map(str::to_owned)
    }

    pub(crate) fn style(&self, name: &str) -> String {
        self.get(&format!("css/{name}")).as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn shown(&self) -> bool {
        self.get("displayed") == true
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium with its children; the driver alone would leave them.
        drop(self.agent.delete(&self.session).call());
        self.driver.kill().expect("it runs");
        self.driver.wait().expect("waited");
    }
}
