//! A value with its place: what YAML text becomes, and what rendered arguments are before they are typed.

use super::Place;

/// How a string was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A `|` or `>` block.
    Block,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean, `yes`/`no`/`on`/`off` included.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string that is a template where it holds `{{` or `{%`.
    Str(String, Style),
    /// A string that is never a template: `!unsafe`, or a value that came out of rendering.
    Data(String),
    /// A `!vault` scalar: the encrypted text, decrypted when it is used.
    Vault(String),
    /// The value of `omit`: the entry that holds it is left out.
    Omit,
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping, in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// One entry of a mapping: key, value.
pub type Entry = (Node, Node);

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub place: Place,
}

impl Node {
    /// Mappings joined, deeply; else the newer one.
    #[must_use]
    pub fn merged(&self, newer: &Self) -> Self {
        let (Kind::Map(old), Kind::Map(new)) = (&self.kind, &newer.kind) else { return newer.clone() };
        let mut all = old.clone();
        for (key, value) in new {
            match all.iter_mut().find(|(k, _)| k.key_text() == key.key_text()) {
                Some((_, known)) => *known = known.merged(value),
                None => all.push((key.clone(), value.clone())),
            }
        }
        Self::new(Kind::Map(all), newer.place.clone())
    }

    /// A node of this kind at this place.
    pub fn new(kind: Kind, place: Place) -> Self {
        Self { kind, place }
    }

    /// A string of data (never a template).
    pub fn data(text: impl Into<String>, place: &Place) -> Self {
        Self::new(Kind::Data(text.into()), place.clone())
    }

    /// The string that this node is, if it is one (template text included, vault text not).
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text, _) | Kind::Data(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean that this node is, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Kind::Bool(value) = self.kind { Some(value) } else { None }
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        if let Kind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// The items of a sequence; none for anything else.
    pub fn items(&self) -> &[Node] {
        if let Kind::Seq(items) = &self.kind { items } else { &[] }
    }

    /// The value under a string key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The name of its type as Ansible's users know it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "boolean",
            Kind::Int(_) => "integer",
            Kind::Float(_) => "float",
            Kind::Str(..) | Kind::Data(_) | Kind::Vault(_) => "string",
            Kind::Omit => "omit",
            Kind::Seq(_) => "list",
            Kind::Map(_) => "mapping",
        }
    }

    /// Whether this string, or any string within, is a template.
    pub fn is_template(&self) -> bool {
        match &self.kind {
            Kind::Str(text, _) => text.contains("{{") || text.contains("{%") || text.contains("{#"),
            Kind::Vault(_) => true,
            Kind::Seq(items) => items.iter().any(Node::is_template),
            Kind::Map(entries) => entries.iter().any(|(k, v)| k.is_template() || v.is_template()),
            _ => false,
        }
    }

    /// This value as JSON: strings as they are, non-string keys as their text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match &self.kind {
            Kind::Null | Kind::Omit => J::Null,
            Kind::Bool(b) => J::Bool(*b),
            Kind::Int(i) => J::from(*i),
            Kind::Float(f) => J::from(*f),
            Kind::Str(s, _) | Kind::Data(s) | Kind::Vault(s) => J::String(s.clone()),
            Kind::Seq(items) => J::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => J::Object(entries.iter().map(|(k, v)| (k.key_text(), v.to_json())).collect()),
        }
    }

    /// JSON as a node of data: no string in it is a template.
    pub fn from_json(value: &serde_json::Value, place: &Place) -> Self {
        use serde_json::Value as J;
        let kind = match value {
            J::Null => Kind::Null,
            J::Bool(b) => Kind::Bool(*b),
            J::Number(n) => n.as_i64().map_or_else(|| Kind::Float(n.as_f64().unwrap_or(f64::NAN)), Kind::Int),
            J::String(s) => Kind::Data(s.clone()),
            J::Array(items) => Kind::Seq(items.iter().map(|v| Self::from_json(v, place)).collect()),
            J::Object(map) => {
                Kind::Map(map.iter().map(|(k, v)| (Self::data(k.clone(), place), Self::from_json(v, place))).collect())
            }
        };
        Self::new(kind, place.clone())
    }

    /// The text of a key: `true` for booleans and so on.
    pub fn key_text(&self) -> String {
        match &self.kind {
            Kind::Null => "null".into(),
            Kind::Bool(b) => b.to_string(),
            Kind::Int(i) => i.to_string(),
            Kind::Float(f) => f.to_string(),
            Kind::Str(s, _) | Kind::Data(s) | Kind::Vault(s) => s.clone(),
            _ => self.to_json().to_string(),
        }
    }
}
