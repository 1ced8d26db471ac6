//! A server with its pages, and what a browser does there, as plain requests.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::common::databases::{Database as _, Sqlite};
use crate::common::{Answer, BOOKS, Server};

/// A server of the embedded resources and `books`, which has a field of every type.
pub(crate) struct Site {
    pub(crate) server: Server,
    _folder: tempfile::TempDir,
    _database: Option<Sqlite>,
}

impl Site {
    /// On an SQLite database of its own.
    pub(crate) fn open() -> Self {
        let database = Sqlite::start();
        let site = Self::on(&database.url(), &[]);
        Self { _database: Some(database), ..site }
    }

    pub(crate) fn on(url: &str, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("books.yml");
        std::fs::write(&file, BOOKS).expect("written");
        let file = file.display().to_string();
        let server = Server::start(&[&[("DATABASE_URL", url), ("CRUD_RESOURCES", &file)], env].concat(), &[]);
        Self { server, _folder: folder, _database: None }
    }

    /// A row by the API.
    pub(crate) fn add(&self, resource: &str, row: &Value) -> Value {
        let answer = self.server.json("POST", &format!("/api/{resource}"), row);
        assert_eq!(answer.status, 201, "{row}: {answer:?}");
        answer.json()
    }

    /// A page, which must be there.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = self.server.send("GET", path, &[("accept", "text/html")], b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// A form, as a browser sends it from a page of this server.
    pub(crate) fn send(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.send_from(path, &[("sec-fetch-site", "same-origin")], pairs)
    }

    pub(crate) fn send_from(&self, path: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> Answer {
        let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
        self.server.send("POST", path, &headers, encoded(pairs).as_bytes())
    }

    pub(crate) fn books(&self) -> Vec<Value> {
        let items = self.server.get("/api/books?limit=500").json()["items"].clone();
        items.as_array().expect("items").clone()
    }
}

pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// The page of a row.
pub(crate) fn place(resource: &str, row: &Value) -> String {
    format!("/ui/{resource}/{}", row["id"].as_str().expect("an id"))
}

/// The opening tags that have all of these texts.
pub(crate) fn tags<'p>(page: &'p str, texts: &[&str]) -> Vec<&'p str> {
    let opening = page.split('<').filter_map(|part| part.split_once('>').map(|(tag, _)| tag));
    opening.filter(|tag| texts.iter().all(|text| tag.contains(text))).collect()
}

/// The one tag that has all of these texts.
pub(crate) fn tag<'p>(page: &'p str, texts: &[&str]) -> &'p str {
    match tags(page, texts).as_slice() {
        [tag] => tag,
        tags => panic!("{} tags have {texts:?} in {page}", tags.len()),
    }
}

/// An attribute of a tag, as text.
pub(crate) fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| text(value))
}

/// HTML as text.
pub(crate) fn text(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
