//! Hashes, encodings, identifiers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;
use sha2::Digest as _;

use super::super::call::{Answer, Call, Filter};

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("b64encode", b64encode),
    ("b64decode", b64decode),
    ("hash", hash),
    ("md5", |call| digest(&call.string(), "md5")),
    ("sha1", |call| digest(&call.string(), "sha1")),
    ("checksum", |call| digest(&call.string(), "sha1")),
    ("to_uuid", to_uuid),
    ("password_hash", password_hash),
];

fn encoding(call: &Call) -> Result<(), String> {
    match call.text(0, "encoding") {
        None => Ok(()),
        Some(name) if matches!(name.to_lowercase().as_str(), "utf-8" | "utf8" | "ascii" | "us-ascii") => Ok(()),
        Some(name) => Err(format!("the encoding `{name}` is not supported; utf-8 is")),
    }
}

fn b64encode(call: &Call) -> Answer {
    encoding(call)?;
    let text = call.string();
    Ok(if call.flag(usize::MAX, "urlsafe") { URL_SAFE.encode(text) } else { STANDARD.encode(text) }.into())
}

fn b64decode(call: &Call) -> Answer {
    encoding(call)?;
    let text: String = call.string().chars().filter(|c| !c.is_whitespace()).collect();
    let engine = if call.flag(usize::MAX, "urlsafe") { URL_SAFE } else { STANDARD };
    let bytes = engine.decode(text).map_err(|error| format!("invalid base64: {error}"))?;
    String::from_utf8(bytes).map(Value::from).map_err(|_| "the decoded bytes are no UTF-8 text".into())
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    crate::host::script::hex(bytes.as_ref())
}

fn digest(text: &str, kind: &str) -> Answer {
    Ok(match kind {
        "md5" => hex(md5::Md5::digest(text)),
        "sha1" => hex(sha1::Sha1::digest(text)),
        "sha224" => hex(sha2::Sha224::digest(text)),
        "sha256" => hex(sha2::Sha256::digest(text)),
        "sha384" => hex(sha2::Sha384::digest(text)),
        "sha512" => hex(sha2::Sha512::digest(text)),
        other => {
            return Err(format!("the hash `{other}` is not supported: md5, sha1, sha224, sha256, sha384, sha512 are"));
        }
    }
    .into())
}

fn hash(call: &Call) -> Answer {
    digest(&call.string(), call.text(0, "hashtype").as_deref().unwrap_or("sha1"))
}

fn to_uuid(call: &Call) -> Answer {
    // Ansible's own namespace.
    let namespace = call.text(0, "namespace").unwrap_or_else(|| "361E6D51-FAEC-444A-9079-341386DA8E2E".into());
    let namespace = uuid::Uuid::parse_str(&namespace).map_err(|error| format!("the namespace is no UUID: {error}"))?;
    Ok(uuid::Uuid::new_v5(&namespace, call.string().as_bytes()).to_string().into())
}

fn password_hash(call: &Call) -> Answer {
    call.only(&["hashtype", "salt", "salt_size", "rounds", "ident"])?;
    let kind = call.text(0, "hashtype").unwrap_or_else(|| "sha512".into());
    let rounds = call.integer(3, "rounds")?;
    let size = call.integer(2, "salt_size")?.unwrap_or(16);
    let salt = match call.text(1, "salt") {
        Some(salt) => salt,
        None => super::super::crypt::salt(usize::try_from(size).unwrap_or(16)),
    };
    let rounds = rounds
        .map(|rounds| u32::try_from(rounds).map_err(|_| "rounds must be a positive number".to_owned()))
        .transpose()?;
    match kind.as_str() {
        "sha512" | "sha512_crypt" => {
            super::super::crypt::sha_crypt(&call.string(), &salt, rounds, true).map(Value::from)
        }
        "sha256" | "sha256_crypt" => {
            super::super::crypt::sha_crypt(&call.string(), &salt, rounds, false).map(Value::from)
        }
        other => Err(format!("the password hash `{other}` is not supported: sha512 and sha256 are")),
    }
}
