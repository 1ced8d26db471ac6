//! `password`: a random password that is kept in a file, so that it stays the same.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde_json::{Map, Value};
use sha2::Digest as _;

use super::super::crypt;
use super::{Found, Lookup};
use crate::text::python;

const LENGTH: usize = 20;
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub(super) fn password(lookup: &Lookup<'_>) -> Found {
    lookup.only("password", &["length", "chars", "encrypt", "ident", "seed"])?;
    lookup.texts().iter().map(|term| one(lookup, term).map(Value::from)).collect()
}

/// The path and the options behind it.
fn split(term: &str) -> (String, Map<String, Value>) {
    let mut options = Map::new();
    let mut path = term.trim();
    while let Some((head, last)) = path.rsplit_once(' ') {
        match last.split_once('=') {
            Some((name @ ("length" | "chars" | "encrypt" | "ident" | "seed"), value)) => {
                options.insert(name.into(), value.into());
                path = head.trim_end();
            }
            _ => break,
        }
    }
    (path.to_owned(), options)
}

fn one(lookup: &Lookup<'_>, term: &str) -> Result<String, String> {
    let (path, mut options) = split(term);
    for (name, value) in &lookup.options {
        options.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let text = |name: &str| options.get(name).filter(|value| !value.is_null()).map(python::str_of);
    let length = text("length").map_or(Ok(LENGTH), |n| n.parse().map_err(|_| format!("length `{n}` is no number")))?;
    let characters = characters(options.get("chars"));
    let encrypt = text("encrypt").filter(|name| !name.is_empty());
    let path = super::super::filters::expanduser(&path);
    let path = match lookup.around.search_paths().last() {
        Some(dir) if !Path::new(&path).is_absolute() => dir.join(&path),
        _ => Path::new(&path).to_owned(),
    };
    let kept = if path == Path::new("/dev/null") { None } else { std::fs::read_to_string(&path).ok() };
    let (password, salt, new) = match kept.as_deref().map(str::trim_end).filter(|kept| !kept.is_empty()) {
        Some(kept) => match kept.rsplit_once(" salt=") {
            Some((password, salt)) => (password.to_owned(), Some(salt.to_owned()), false),
            None => (kept.to_owned(), None, false),
        },
        None => (generate(&characters, length, text("seed").as_deref())?, None, true),
    };
    let fresh_salt = encrypt.is_some() && salt.is_none();
    let salt = salt.or_else(|| encrypt.as_ref().map(|_| crypt::salt(16)));
    if (new || fresh_salt) && path != Path::new("/dev/null") {
        let content = salt
            .as_ref()
            .filter(|_| encrypt.is_some())
            .map_or_else(|| password.clone(), |salt| format!("{password} salt={salt}"));
        keep(&path, &content).map_err(|error| format!("can't keep the password in `{}`: {error}", path.display()))?;
    }
    match (encrypt.as_deref(), salt) {
        (None, _) => Ok(password),
        (Some("sha512_crypt" | "sha512"), Some(salt)) => crypt::sha_crypt(&password, &salt, None, true),
        (Some("sha256_crypt" | "sha256"), Some(salt)) => crypt::sha_crypt(&password, &salt, None, false),
        (Some(other), _) => {
            Err(format!("the password hash `{other}` is not supported: sha512_crypt and sha256_crypt are"))
        }
    }
}

fn keep(path: &Path, content: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{content}")
}

/// The characters to choose from: names of Python's `string` module, or the characters themselves.
fn characters(given: Option<&Value>) -> Vec<char> {
    let names: Vec<String> = match given {
        None | Some(Value::Null) => vec!["ascii_letters".into(), "digits".into(), ".,:-_".into()],
        Some(Value::Array(items)) => items.iter().map(python::str_of).collect(),
        Some(other) => {
            let text = python::str_of(other);
            let comma = text.contains(",,").then(|| ",".to_owned());
            text.replace(",,", ",").split(',').filter(|name| !name.is_empty()).map(str::to_owned).chain(comma).collect()
        }
    };
    let mut out: Vec<char> = vec![];
    for name in names {
        let set = match name.as_str() {
            "ascii_letters" => LETTERS.to_owned(),
            "ascii_lowercase" => LETTERS[..26].to_owned(),
            "ascii_uppercase" => LETTERS[26..].to_owned(),
            "digits" => "0123456789".into(),
            "hexdigits" => "0123456789abcdefABCDEF".into(),
            "octdigits" => "01234567".into(),
            "punctuation" => PUNCTUATION.to_owned(),
            "whitespace" => " \t\n\r\u{b}\u{c}".into(),
            "printable" => format!("0123456789{LETTERS}{PUNCTUATION} \t\n\r\u{b}\u{c}"),
            literal => literal.to_owned(),
        };
        for c in set.chars() {
            if !out.contains(&c) {
                out.push(c);
            }
        }
    }
    out
}

/// Random characters; from a seed always the same.
fn generate(characters: &[char], length: usize, seed: Option<&str>) -> Result<String, String> {
    let count = u64::try_from(characters.len()).unwrap_or(u64::MAX);
    if count == 0 {
        return Err("there are no characters to choose from".into());
    }
    let random = |i: usize| -> u64 {
        let bytes: Vec<u8> = match seed {
            Some(seed) => sha2::Sha256::digest(format!("{i} {seed}"))[..8].to_vec(),
            None => {
                sha2::Sha256::digest([uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat())
                    [..8]
                    .to_vec()
            }
        };
        bytes.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte))
    };
    (0..length)
        .map(|i| usize::try_from(random(i) % count).map(|at| characters[at]).map_err(|error| error.to_string()))
        .collect()
}
