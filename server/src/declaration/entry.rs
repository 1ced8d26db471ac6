//! The shape of a declaration, as serde reads it.

use std::fmt;
use std::marker::PhantomData;

use crate::auth::Access;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _, Spanned};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: Option<Spanned<String>>,
    pub(super) table: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) fields: Spanned<Named<FieldEntry>>,
    #[serde(default)]
    pub(super) access: Access,
    #[serde(default)]
    pub(super) indexes: Vec<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldEntry {
    #[serde(rename = "type")]
    pub(super) kind: Spanned<TypeName>,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) unique: Option<Spanned<bool>>,
    pub(super) default: Option<Spanned<serde_json::Value>>,
    pub(super) min: Option<Spanned<f64>>,
    pub(super) max: Option<Spanned<f64>>,
    pub(super) min_length: Option<Spanned<usize>>,
    pub(super) max_length: Option<Spanned<usize>>,
    pub(super) pattern: Option<Spanned<String>>,
    pub(super) values: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) description: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TypeName {
    String,
    Text,
    Integer,
    Number,
    Boolean,
    Uuid,
    Timestamp,
    Enum,
    Email,
    Json,
}

/// A mapping in the order of the text, its keys with their places.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(Spanned<String>, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Named(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

/// What the YAML crate says of an error, without its place.
pub(super) fn message(error: &serde_saphyr::Error) -> String {
    DefaultMessageFormatter.format_message(error.without_snippet()).into_owned()
}
