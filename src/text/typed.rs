//! Typing: a serde `Deserializer` over [`Node`], with the leniency that Ansible's modules have towards their arguments.
//!
//! A string becomes a boolean, number or list where one is wanted; a lone value becomes a list of one; a number becomes a string.
//! What is still a template (or vaulted) passes as whatever is wanted: typing unrendered arguments is the static check of them.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::{Diagnostic, Kind, Node, Place, did_you_mean};

/// Types a node. Errors point at the value (or key) that is wrong.
///
/// # Errors
/// What doesn't fit, as a diagnostic.
pub fn typed<T: DeserializeOwned>(node: &Node) -> Result<T, Diagnostic> {
    T::deserialize(Typer { node }).map_err(|Error(diagnostic)| {
        let mut diagnostic = *diagnostic;
        diagnostic.place.get_or_insert_with(|| node.place.clone());
        diagnostic
    })
}

#[derive(Debug)]
struct Error(Box<Diagnostic>);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(msg: T) -> Self {
        Self(Box::new(Diagnostic::plain(msg.to_string())))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut diagnostic = Diagnostic::plain(format!("unknown parameter `{field}`"));
        diagnostic = match did_you_mean(field, expected.iter().copied()) {
            Some(close) => diagnostic.hint(format!("did you mean `{close}`?")),
            None => {
                let mut all: Vec<&str> = expected.to_vec();
                all.sort_unstable();
                diagnostic.note(format!("supported are {}", all.join(", ")))
            }
        };
        Self(Box::new(diagnostic))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let mut diagnostic = Diagnostic::plain(format!("`{variant}` is none of the choices: {}", expected.join(", ")));
        if let Some(close) = did_you_mean(variant, expected.iter().copied()) {
            diagnostic = diagnostic.hint(format!("did you mean `{close}`?"));
        }
        Self(Box::new(diagnostic))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(Box::new(Diagnostic::plain(format!("missing required arguments: {field}"))))
    }
}

fn at(mut error: Error, place: &Place) -> Error {
    error.0.place.get_or_insert_with(|| place.clone());
    error
}

struct Typer<'a> {
    node: &'a Node,
}

impl Typer<'_> {
    fn wrong<T>(&self, wanted: &str) -> Result<T, Error> {
        let shown = match &self.node.kind {
            Kind::Str(text, _) | Kind::Data(text) => {
                let short: String = text.chars().take(60).collect();
                format!("the string `{short}`")
            }
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) => format!("`{}`", self.node.key_text()),
            _ => format!("a {}", self.node.type_name()),
        };
        Err(Error(Box::new(Diagnostic::error(format!("{wanted} is wanted, this is {shown}"), &self.node.place))))
    }

    fn is_open(&self) -> bool {
        match &self.node.kind {
            Kind::Str(text, _) => text.contains("{{") || text.contains("{%"),
            Kind::Vault(_) => true,
            _ => false,
        }
    }

    fn boolean(&self) -> Result<bool, Error> {
        if self.is_open() {
            return Ok(false);
        }
        match &self.node.kind {
            Kind::Bool(flag) => Ok(*flag),
            Kind::Int(1) => Ok(true),
            Kind::Int(0) => Ok(false),
            Kind::Float(n) if (*n - 1.0).abs() < f64::EPSILON => Ok(true),
            Kind::Float(n) if n.abs() < f64::EPSILON => Ok(false),
            Kind::Str(text, _) | Kind::Data(text) => match text.trim().to_ascii_lowercase().as_str() {
                "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Ok(true),
                "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Ok(false),
                _ => self.wrong("a boolean"),
            },
            _ => self.wrong("a boolean"),
        }
    }

    fn integer(&self) -> Result<i64, Error> {
        if self.is_open() {
            return Ok(0);
        }
        match &self.node.kind {
            Kind::Int(n) => Ok(*n),
            Kind::Bool(flag) => Ok(i64::from(*flag)),
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
            Kind::Float(n) if n.fract() == 0.0 && n.abs() < 9e15 => Ok(*n as i64),
            Kind::Str(text, _) | Kind::Data(text) => text.trim().parse().or_else(|_| self.wrong("an integer")),
            _ => self.wrong("an integer"),
        }
    }

    fn float(&self) -> Result<f64, Error> {
        if self.is_open() {
            return Ok(0.0);
        }
        match &self.node.kind {
            #[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
            Kind::Int(n) => Ok(*n as f64),
            Kind::Float(n) => Ok(*n),
            Kind::Str(text, _) | Kind::Data(text) => text.trim().parse().or_else(|_| self.wrong("a number")),
            _ => self.wrong("a number"),
        }
    }

    fn text(&self) -> Result<String, Error> {
        match &self.node.kind {
            Kind::Str(text, _) | Kind::Data(text) | Kind::Vault(text) => Ok(text.clone()),
            Kind::Bool(true) => Ok("True".into()),
            Kind::Bool(false) => Ok("False".into()),
            Kind::Int(n) => Ok(n.to_string()),
            Kind::Float(n) => Ok(if n.fract() == 0.0 && n.abs() < 1e16 { format!("{n:.1}") } else { n.to_string() }),
            Kind::Null | Kind::Omit => Ok(String::new()),
            Kind::Seq(_) | Kind::Map(_) => self.wrong("a string"),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                let n = self.integer()?;
                match <$type>::try_from(n) {
                    Ok(n) => visitor.$visit(n).map_err(|e| at(e, &self.node.place)),
                    Err(_) => self.wrong(concat!("an integer of the range of ", stringify!($type))),
                }
            }
        )*
    };
}

impl<'de> de::Deserializer<'de> for Typer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = &self.node.place;
        match &self.node.kind {
            Kind::Null | Kind::Omit => visitor.visit_unit(),
            Kind::Bool(flag) => visitor.visit_bool(*flag),
            Kind::Int(n) => visitor.visit_i64(*n),
            Kind::Float(n) => visitor.visit_f64(*n),
            Kind::Str(text, _) | Kind::Data(text) | Kind::Vault(text) => visitor.visit_str(text),
            Kind::Seq(items) => visitor.visit_seq(Items { items: items.iter() }),
            Kind::Map(entries) => visitor.visit_map(Entries::new(entries, None)),
        }
        .map_err(|e: Error| at(e, place))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let flag = self.boolean()?;
        visitor.visit_bool(flag).map_err(|e| at(e, &self.node.place))
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let n = self.float()?;
        visitor.visit_f64(n).map_err(|e| at(e, &self.node.place))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.text()?;
        visitor.visit_string(text).map_err(|e| at(e, &self.node.place))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.kind {
            Kind::Null | Kind::Omit => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = &self.node.place;
        match &self.node.kind {
            Kind::Seq(items) => visitor.visit_seq(Items { items: items.iter() }),
            Kind::Null | Kind::Omit => visitor.visit_seq(Items { items: [].iter() }),
            Kind::Str(..) | Kind::Vault(_) if self.is_open() => visitor.visit_seq(Items { items: [].iter() }),
            Kind::Str(text, _) | Kind::Data(text) => {
                let parts: Vec<Node> =
                    text.split(',').map(str::trim).filter(|p| !p.is_empty()).map(|p| Node::data(p, place)).collect();
                visitor.visit_seq(Items { items: parts.iter() })
            }
            _ => visitor.visit_seq(Items { items: std::slice::from_ref(self.node).iter() }),
        }
        .map_err(|e: Error| at(e, place))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Map(entries) => visitor.visit_map(Entries::new(entries, None)).map_err(|e| at(e, &self.node.place)),
            Kind::Null | Kind::Omit => visitor.visit_map(Entries::new(&[], None)),
            _ if self.is_open() => visitor.visit_map(Entries::new(&[], None)),
            _ => self.wrong("a mapping"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Map(entries) => {
                visitor.visit_map(Entries::new(entries, Some(fields))).map_err(|e| at(e, &self.node.place))
            }
            Kind::Null | Kind::Omit => visitor.visit_map(Entries::new(&[], Some(fields))),
            _ if self.is_open() => visitor.visit_map(Entries::new(&[], Some(fields))),
            _ => self.wrong("a mapping"),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let place = &self.node.place;
        if self.is_open() {
            let first = variants.first().copied().unwrap_or_default();
            let first: StrDeserializer<'_, Error> = first.into_deserializer();
            return visitor.visit_enum(first);
        }
        // YAML's booleans stand for choices that are called so (`state: no`, `enabled: "yes"`).
        let text = match &self.node.kind {
            Kind::Bool(flag) => {
                let names: &[&str] = if *flag { &["yes", "true", "on"] } else { &["no", "false", "off"] };
                names.iter().find(|n| variants.contains(n)).map_or_else(|| flag.to_string(), |n| (*n).to_owned())
            }
            _ => self.text()?,
        };
        let text: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        visitor.visit_enum(text).map_err(|e| at(e, place))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.node.key_text()).map_err(|e| at(e, &self.node.place))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        for node in self.items.by_ref() {
            if !matches!(node.kind, Kind::Omit) {
                return seed.deserialize(Typer { node }).map(Some).map_err(|e| at(e, &node.place));
            }
        }
        Ok(None)
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Node, Node)>,
    value: Option<&'a Node>,
    /// Of a struct: null values stand for absent ones.
    fields: Option<&'static [&'static str]>,
}

impl<'a> Entries<'a> {
    fn new(entries: &'a [(Node, Node)], fields: Option<&'static [&'static str]>) -> Self {
        Self { entries: entries.iter(), value: None, fields }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, value) in self.entries.by_ref() {
            let known = |fields: &[&str]| key.as_str().is_some_and(|k| fields.contains(&k));
            let absent = match self.fields {
                Some(fields) => known(fields) && matches!(value.kind, Kind::Omit | Kind::Null),
                None => matches!(value.kind, Kind::Omit),
            };
            if absent {
                continue;
            }
            self.value = Some(value);
            return seed.deserialize(Typer { node: key }).map(Some).map_err(|e| at(e, &key.place));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(node) = self.value.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        seed.deserialize(Typer { node }).map_err(|e| at(e, &node.place))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::text::{Source, parse};

    #[derive(Deserialize, Debug, Default)]
    #[serde(deny_unknown_fields)]
    struct Params {
        path: String,
        #[serde(default)]
        state: State,
        #[serde(default)]
        force: bool,
        mode: Option<String>,
        #[serde(default)]
        names: Vec<String>,
        size: Option<u16>,
    }

    #[derive(Deserialize, Debug, Default, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum State {
        #[default]
        Present,
        Absent,
    }

    fn params(text: &str) -> Result<Params, Diagnostic> {
        let source = Source::new("t.yml", text);
        typed(&parse(&source).expect("yaml").first(&source))
    }

    #[test]
    fn arguments_are_taken_as_ansible_takes_them() {
        let p = params("path: 5\nforce: 'yes'\nmode: 420\nnames: a, b\nsize: '12'\nstate: absent\n").expect("typed");
        assert_eq!((p.path.as_str(), p.force, p.mode.as_deref(), p.size), ("5", true, Some("420"), Some(12)));
        assert_eq!(p.names, ["a", "b"]);
        assert_eq!(p.state, State::Absent);
        assert_eq!(params("path: x\nnames: one\nmode: null\n").expect("typed").names, ["one"]);
    }

    #[test]
    fn templates_pass_as_anything() {
        params("path: '{{ a }}'\nforce: '{{ b }}'\nsize: '{{ c }}'\nstate: '{{ d }}'\nnames: '{{ e }}'\n")
            .expect("typed");
    }

    #[test]
    fn errors_point_at_what_is_wrong() {
        let error = params("path: x\nforec: yes\n").expect_err("unknown");
        assert_eq!(error.place.expect("a place").to_string(), "t.yml:2:1");
        assert_eq!(error.hint.as_deref(), Some("did you mean `force`?"));
        let error = params("path: x\nforce: maybe\n").expect_err("no boolean");
        assert_eq!(error.place.expect("a place").to_string(), "t.yml:2:8");
        let error = params("force: true\n").expect_err("missing");
        assert_eq!(error.message, "missing required arguments: path");
        let error = params("path: x\nstate: gone\n").expect_err("no variant");
        assert_eq!(error.message, "`gone` is none of the choices: present, absent");
    }
}
