//! Hashes, encodings, identifiers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;
use sha2::Digest as _;

use super::super::call::{Answer, Call, Filter};
use super::super::crypt;
use crate::text::encoding;

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

fn b64encode(call: &Call) -> Answer {
    call.only(&["encoding", "urlsafe"])?;
    let bytes = encoding::encode(&call.string(), &call.text(0, "encoding").unwrap_or_else(|| "utf-8".into()))?;
    Ok(if call.flag(1, "urlsafe") { URL_SAFE.encode(bytes) } else { STANDARD.encode(bytes) }.into())
}

fn b64decode(call: &Call) -> Answer {
    call.only(&["encoding", "urlsafe"])?;
    let text: String = call.string().chars().filter(|c| !c.is_whitespace()).collect();
    let engine = if call.flag(1, "urlsafe") { URL_SAFE } else { STANDARD };
    let bytes = engine.decode(text).map_err(|error| format!("invalid base64: {error}"))?;
    encoding::decode(&bytes, &call.text(0, "encoding").unwrap_or_else(|| "utf-8".into())).map(Value::from)
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
            return Err(format!(
                "unsupported hash type `{other}`: md5, sha1, sha224, sha256, sha384 and sha512 are supported"
            ));
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
    let namespace = uuid::Uuid::parse_str(&namespace)
        .map_err(|error| format!("Invalid value '{namespace}' for 'namespace': {error}"))?;
    Ok(uuid::Uuid::new_v5(&namespace, call.string().as_bytes()).to_string().into())
}

fn password_hash(call: &Call) -> Answer {
    call.only(&["hashtype", "salt", "salt_size", "rounds", "ident"])?;
    let kind = call.text(0, "hashtype").unwrap_or_else(|| "sha512".into());
    let long = match kind.as_str() {
        "sha512" | "sha512_crypt" => true,
        "sha256" | "sha256_crypt" => false,
        "bcrypt" | "blowfish" | "md5" | "md5_crypt" | "pbkdf2_sha256" | "pbkdf2_sha512" => {
            return Err(format!("the password hash `{kind}` is not supported: sha512 and sha256 are"));
        }
        _ => return Err(format!("{kind} is not in the list of supported passlib algorithms")),
    };
    let size = call.integer(2, "salt_size").map_err(|_| "salt_size must be an integer")?.unwrap_or(16);
    let salt = match call.text(1, "salt") {
        Some(salt) => salt,
        None => crypt::salt(usize::try_from(size).unwrap_or(16)),
    };
    let rounds = match call.integer(3, "rounds")? {
        None => None,
        Some(rounds) => match u32::try_from(rounds).ok().filter(|rounds| (1_000..1_000_000_000).contains(rounds)) {
            None => {
                return Err(format!("Could not hash the secret. rounds must be from 1000 to 999999999, not {rounds}"));
            }
            found => found,
        },
    };
    crypt::sha_crypt(&call.string(), &salt, rounds, long).map(Value::from)
}
