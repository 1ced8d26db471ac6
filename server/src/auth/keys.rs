//! API keys: made here, shown once, kept as hashes in a table of the database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Principal, Role};
use crate::clock;
use crate::model::{Field, Kind, Resource, Value};
use crate::store::{Condition, Database, Row, Select, Sort, StoreError};

const NAME: &str = "crud_keys";
/// For how long an answer of the database is trusted: a revoked key lives on for this time.
const TRUST: Duration = Duration::from_secs(10);
/// Most answers that are kept.
const KEPT: usize = 10_000;

/// The table of the keys.
pub fn table() -> Resource {
    let field = |name: &str, kind| Field { required: true, ..Field::new(name, kind) };
    let roles = [Role::Reader, Role::Writer, Role::Admin].map(|role| role.name().to_owned());
    Resource {
        name: NAME.into(),
        table: NAME.into(),
        description: None,
        access: super::Access { read: Role::Admin, write: Role::Admin },
        fields: vec![
            Field { unique: true, min_length: Some(1), ..field("name", Kind::String) },
            field("role", Kind::Enum(roles.to_vec())),
            Field { unique: true, ..field("digest", Kind::String) },
        ],
        indexes: Vec::new(),
    }
}

/// Makes a key and answers it: it is shown this once, and only its hash is kept.
pub async fn create(database: &Database, table: &Resource, name: &str, role: Role) -> Result<String, StoreError> {
    // 244 random bits: a fast hash is enough for what nobody can guess.
    let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let key = format!("crud_{}", URL_SAFE_NO_PAD.encode(random));
    let now = Value::Time(clock::now());
    let texts = [name, role.name(), &digest(&key)].map(|text| Value::Text(text.to_owned()));
    let row: Row = [vec![Value::Uuid(Uuid::now_v7())], texts.to_vec(), vec![now.clone(), now, Value::Int(1)]].concat();
    database.insert(&[(table, &[row])]).await?;
    Ok(key)
}

/// The name, role and time of every key.
pub async fn list(database: &Database, table: &Resource) -> Result<Vec<[String; 3]>, StoreError> {
    let sort = vec![Sort { column: "name".into(), descending: false }];
    let rows = database.select(table, &Select { sort, ..Select::default() }).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [_, Value::Text(name), Value::Text(role), _, Value::Time(at), ..] => {
                Some([name.clone(), role.clone(), clock::rfc3339(*at)])
            }
            _ => None,
        })
        .collect())
}

/// Forgets a key; whether there was one of this name.
pub async fn revoke(database: &Database, table: &Resource, name: &str) -> Result<bool, StoreError> {
    Ok(database.delete(table, &[Condition::equal("name", Value::Text(name.to_owned()))]).await? > 0)
}

fn digest(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(key))
}

/// Checks keys, and remembers for a short time what the database said.
#[derive(Debug)]
pub struct Keys {
    table: Resource,
    known: Mutex<HashMap<String, (Option<Principal>, Instant)>>,
}

impl Keys {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self { table: table(), known: Mutex::default() }
    }

    /// The table that they are in.
    pub fn table(&self) -> &Resource {
        &self.table
    }

    /// Whose key it is.
    pub async fn check(&self, database: &Database, key: &str) -> Result<Option<Principal>, StoreError> {
        let digest = digest(key);
        if let Some((principal, at)) = self.lock().get(&digest)
            && at.elapsed() < TRUST
        {
            return Ok(principal.clone());
        }
        let conditions = vec![Condition::equal("digest", Value::Text(digest.clone()))];
        let rows = database.select(&self.table, &Select { conditions, limit: Some(1), ..Select::default() }).await?;
        let principal = match rows.first().map(Vec::as_slice) {
            Some([_, Value::Text(name), Value::Text(role), ..]) => {
                Role::named(role).map(|role| Principal { name: name.clone(), role })
            }
            _ => None,
        };
        let mut known = self.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(digest, (principal.clone(), Instant::now()));
        Ok(principal)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Option<Principal>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}
