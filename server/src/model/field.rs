//! A field: its type, its rules, and reading a JSON value by them.

use regex_lite::Regex;
use serde_json::Value as Json;
use uuid::Uuid;

use super::value::{Store, Value};
use crate::clock;

/// Longest text of a `string`, `enum` or `email` in characters, unless `max_length` says less: what all three
/// databases can index.
pub const STRING_LENGTH: usize = 255;

/// Longest text of a `text` or a `json` document in characters, unless `max_length` says otherwise.
pub const TEXT_LENGTH: usize = 1_000_000;

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One line or a few: up to 255 characters, can be indexed.
    String,
    /// Long text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A finite 64-bit floating point number.
    Number,
    /// Yes or no.
    Boolean,
    /// An identifier.
    Uuid,
    /// A moment, RFC 3339.
    Timestamp,
    /// One of a list of words.
    Enum(Vec<String>),
    /// A mail address.
    Email,
    /// Any JSON document.
    Json,
}

impl Kind {
    /// The name in a declaration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
            Self::Enum(_) => "enum",
            Self::Email => "email",
            Self::Json => "json",
        }
    }

    /// How a column of this type is kept.
    pub fn store(&self) -> Store {
        match self {
            Self::String | Self::Text | Self::Enum(_) | Self::Email => Store::Text,
            Self::Integer => Store::Int,
            Self::Number => Store::Float,
            Self::Boolean => Store::Bool,
            Self::Uuid => Store::Uuid,
            Self::Timestamp => Store::Time,
            Self::Json => Store::Json,
        }
    }
}

/// A declared field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name in JSON and in the table.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Must be there and not null.
    pub required: bool,
    /// No two rows share a value (nulls excepted).
    pub unique: bool,
    /// Taken when a new row does not say.
    pub default: Option<Value>,
    /// Smallest number.
    pub min: Option<f64>,
    /// Largest number.
    pub max: Option<f64>,
    /// Fewest characters.
    pub min_length: Option<usize>,
    /// Most characters.
    pub max_length: Option<usize>,
    /// What the text must match somewhere.
    pub pattern: Option<Regex>,
    /// For people: shown in forms and in the API reference.
    pub description: Option<String>,
}

impl Field {
    /// A field without rules.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: false,
            unique: false,
            default: None,
            min: None,
            max: None,
            min_length: None,
            max_length: None,
            pattern: None,
            description: None,
        }
    }

    /// Most characters that the field takes, by its own rule or its type's; none for types that are not text.
    pub fn longest(&self) -> Option<usize> {
        let limit = match self.kind {
            Kind::String | Kind::Email | Kind::Enum(_) => STRING_LENGTH,
            Kind::Text | Kind::Json => TEXT_LENGTH,
            _ => return None,
        };
        Some(self.max_length.unwrap_or(limit))
    }

    /// Reads and checks a JSON value. The error says what is expected, for a person.
    pub fn read(&self, json: &Json) -> Result<Value, String> {
        if json.is_null() {
            return if self.required { Err("must not be null".into()) } else { Ok(Value::Null) };
        }
        match &self.kind {
            Kind::Integer => self.read_integer(json),
            Kind::Number => self.read_number(json),
            Kind::Boolean => json.as_bool().map(Value::Bool).ok_or_else(|| "must be true or false".into()),
            Kind::Json => self.read_document(json),
            _ => {
                let text = json.as_str().ok_or("must be a string")?;
                self.read_text(text)
            }
        }
    }

    /// Reads a value that came as text: in a form, a filter or a path.
    pub fn read_plain(&self, text: &str) -> Result<Value, String> {
        let json = match self.kind {
            Kind::Integer => text.parse::<i64>().map(Json::from).map_err(|_| "must be a whole number of 64 bits")?,
            Kind::Number => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.map(Json::from).ok_or("must be a finite number")?
            }
            Kind::Boolean => match text {
                "true" | "on" | "1" => true.into(),
                "false" | "off" | "0" => false.into(),
                _ => return Err("must be true or false".into()),
            },
            Kind::Json => serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))?,
            _ => text.into(),
        };
        self.read(&json)
    }

    fn read_integer(&self, json: &Json) -> Result<Value, String> {
        let number = json.as_i64().or_else(|| whole(json)).ok_or("must be a whole number of 64 bits")?;
        #[expect(clippy::cast_precision_loss, reason = "the bounds are declared as numbers that a double holds")]
        self.bounds(number as f64)?;
        Ok(Value::Int(number))
    }

    fn read_number(&self, json: &Json) -> Result<Value, String> {
        let number = json.as_f64().filter(|number| number.is_finite()).ok_or("must be a finite number")?;
        self.bounds(number)?;
        // -0 and 0 are one value in a database's index; keep one spelling.
        Ok(Value::Float(if number == 0.0 { 0.0 } else { number }))
    }

    fn bounds(&self, number: f64) -> Result<(), String> {
        match (self.min, self.max) {
            (Some(min), _) if number < min => Err(format!("must be at least {min}")),
            (_, Some(max)) if number > max => Err(format!("must be at most {max}")),
            _ => Ok(()),
        }
    }

    fn read_document(&self, json: &Json) -> Result<Value, String> {
        let text = json.to_string();
        // PostgreSQL has no place for U+0000 in any text, so no database gets one.
        if text.contains("\\u0000") {
            return Err("must not contain the character U+0000".into());
        }
        self.length(&text)?;
        Ok(Value::Json(json.clone()))
    }

    fn read_text(&self, text: &str) -> Result<Value, String> {
        match &self.kind {
            Kind::Uuid => Uuid::try_parse(text).map(Value::Uuid).map_err(|_| "must be a UUID".into()),
            Kind::Timestamp => clock::parse(text)
                .map(Value::Time)
                .ok_or_else(|| "must be an RFC 3339 timestamp, for example 2025-05-20T22:22:46Z".into()),
            Kind::Enum(words) if !words.iter().any(|word| word == text) => {
                Err(format!("must be one of: {}", words.join(", ")))
            }
            kind => {
                if text.contains('\0') {
                    return Err("must not contain the character U+0000".into());
                }
                self.length(text)?;
                if *kind == Kind::Email && !mail_address(text) {
                    return Err("must be a mail address, for example name@example.org".into());
                }
                match &self.pattern {
                    Some(pattern) if !pattern.is_match(text) => Err(format!("must match the pattern {pattern}")),
                    _ => Ok(Value::Text(text.to_owned())),
                }
            }
        }
    }

    fn length(&self, text: &str) -> Result<(), String> {
        let length = text.chars().count();
        match (self.min_length, self.longest()) {
            (Some(min), _) if length < min => Err(format!("must have at least {min} characters")),
            (_, Some(max)) if length > max => Err(format!("must have at most {max} characters")),
            _ => Ok(()),
        }
    }
}

/// `3.0` is the whole number 3 to JSON, which knows one kind of number; beyond 2^53 a double is no exact integer.
fn whole(json: &Json) -> Option<i64> {
    let number = json.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within 2^53")]
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// One `@`, something on each side, no spaces or control characters, a domain of labels: what can be said without
/// sending a mail.
fn mail_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    !local.is_empty()
        && local.chars().count() <= 64
        && !local.chars().any(|c| c == '@' || c.is_whitespace() || c.is_control())
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_are_exact() {
        let field = Field::new("n", Kind::Integer);
        assert_eq!(field.read(&json!(i64::MAX)), Ok(Value::Int(i64::MAX)));
        assert_eq!(field.read(&json!(3.0)), Ok(Value::Int(3)));
        for bad in [json!(3.5), json!(u64::MAX), json!(1e300), json!("3"), json!(true), json!([])] {
            assert!(field.read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mail_addresses() {
        let field = Field::new("email", Kind::Email);
        for good in ["foo+1@bar.com", "a@localhost", "ü@exämple.org"] {
            assert!(field.read(&json!(good)).is_ok(), "{good}");
        }
        for bad in ["", "foo", "@bar", "foo@", "a b@c.de", "a@b@c.de", "a@b..c", "a@-b.c", "a\0@b.c"] {
            assert!(field.read(&json!(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rules_hold() {
        let mut field = Field::new("s", Kind::String);
        field.min_length = Some(2);
        field.max_length = Some(3);
        field.pattern = Some(Regex::new("^[a-zß]+$").expect("valid"));
        assert!(field.read(&json!("aß")).is_ok());
        for bad in ["a", "aaaa", "AA"] {
            assert!(field.read(&json!(bad)).is_err(), "{bad}");
        }
        assert!(Field::new("s", Kind::String).read(&json!("a\u{0}b")).is_err());
        assert!(Field::new("j", Kind::Json).read(&json!({"a": "\u{0}"})).is_err());
    }
}
