//! Who may do what: roles, keys, and what a resource asks for.

pub mod keys;
pub mod tokens;

use clap::ValueEnum;
use serde::Deserialize;

use self::keys::Keys;
use self::tokens::{Expected, Tokens};
use crate::config::Settings;
use crate::store::{Database, StoreError};

/// What somebody may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Anybody, without a key.
    #[default]
    #[value(skip)]
    Public,
    /// Reads.
    Reader,
    /// Writes, too.
    Writer,
    /// Does everything.
    Admin,
}

impl Role {
    /// Its word in a declaration and in the table of keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Public, Self::Reader, Self::Writer, Self::Admin].into_iter().find(|role| role.name() == name)
    }
}

/// Whom a resource is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// The least role that reads.
    pub read: Role,
    /// The least role that makes, changes and deletes rows.
    pub write: Role,
}

impl Default for Access {
    fn default() -> Self {
        Self { read: Role::Reader, write: Role::Writer }
    }
}

impl Access {
    /// What a request needs.
    pub fn needed(self, writes: bool) -> Role {
        if writes { self.write } else { self.read }
    }
}

/// Somebody whose key was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name that the key was given.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Checks what a client shows.
#[derive(Debug)]
pub struct Authority {
    /// Keys of this service.
    pub keys: Keys,
    tokens: Option<Tokens>,
}

impl Authority {
    /// From the settings; reads nothing yet.
    pub fn new(settings: &Settings) -> Self {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let tokens = given(&settings.jwks).map(|place| {
            let expected = Expected {
                issuer: given(&settings.jwt_issuer),
                audience: given(&settings.jwt_audience),
                role_claim: settings.jwt_role_claim.clone(),
            };
            Tokens::new(&place, expected)
        });
        Self { keys: Keys::new(), tokens }
    }

    /// Whose key or token it is. A token has two dots, a key has none.
    pub async fn check(&self, database: &Database, shown: &str) -> Result<Option<Principal>, StoreError> {
        match self.tokens.as_ref().filter(|_| shown.contains('.')) {
            Some(tokens) => tokens.check(shown).await.map_err(|error| StoreError::Unavailable(format!("{error:#}"))),
            None => self.keys.check(database, shown).await,
        }
    }
}
