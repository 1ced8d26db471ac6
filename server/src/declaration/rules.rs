//! What must hold in a declaration beyond its shape; everything that does not is told at once.

use regex_lite::Regex;
use serde_saphyr::Spanned;

use super::Place;
use super::entry::{Entry, FieldEntry, TypeName};
use crate::model::{Field, Kind, Resource, STRING_LENGTH, Store, TEXT_LENGTH, Value};

/// Longest name of a table or field: what all databases keep.
const NAME_LENGTH: usize = 40;
/// Columns that the server adds, and parameters of lists, which a field would hide.
const RESERVED: [&str; 8] = ["id", "created_at", "updated_at", "row_version", "limit", "sort", "cursor", "fields"];
/// Longest index entry in bytes (`InnoDB`).
const INDEX_BYTES: usize = 3072;

struct Rules {
    errors: Vec<(Place, String)>,
}

pub(super) fn resource(entry: Entry, stem: &str) -> Result<Resource, Vec<(Place, String)>> {
    let mut rules = Rules { errors: Vec::new() };
    let start = Place { line: 1, column: 1 };
    let (at, name) = entry.name.map_or((start, stem.to_owned()), |name| (name.referenced.into(), name.value));
    if !plain(&name, false) {
        rules.wrong(
            at,
            format!("the name `{name}` must be 1 to {NAME_LENGTH} of a-z, 0-9 and _, beginning with a letter"),
        );
    }
    let table = rules.table(entry.table, at, &name);
    let at = entry.fields.referenced;
    if entry.fields.value.0.is_empty() {
        rules.wrong(at, "a resource needs at least one field");
    }
    let mut fields: Vec<Field> = Vec::new();
    for (name, field) in entry.fields.value.0 {
        rules.field_name(&name, &fields);
        fields.push(rules.field(&name.value, field));
    }
    let (description, access) = (entry.description, entry.access);
    let mut resource = Resource { name, table, description, fields, indexes: Vec::new(), access };
    for index in entry.indexes {
        let index = rules.index(&resource, index);
        resource.indexes.push(index);
    }
    if rules.errors.is_empty() { Ok(resource) } else { Err(rules.errors) }
}

impl Rules {
    fn wrong(&mut self, at: impl Into<Place>, message: impl Into<String>) {
        self.errors.push((at.into(), message.into()));
    }

    /// The table's name: its own, or the resource's (which is checked already).
    fn table(&mut self, own: Option<Spanned<String>>, at: Place, name: &str) -> String {
        let (at, table) = own.map_or((at, name.to_owned()), |own| (own.referenced.into(), own.value));
        if table != name && !plain(&table, true) {
            self.wrong(
                at,
                format!(
                    "the table `{table}` must be 1 to {NAME_LENGTH} letters, digits and _, beginning with a letter"
                ),
            );
        }
        if ["crud_", "sqlite_", "pg_"].iter().any(|prefix| table.to_ascii_lowercase().starts_with(prefix)) {
            self.wrong(at, format!("the table `{table}` begins as tables of the server or of the database do"));
        }
        table
    }

    fn field_name(&mut self, name: &Spanned<String>, before: &[Field]) {
        let (at, name) = (name.referenced, &name.value);
        if !plain(name, true) {
            self.wrong(
                at,
                format!("the field `{name}` must be 1 to {NAME_LENGTH} letters, digits and _, beginning with a letter"),
            );
        }
        if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name)) {
            self.wrong(at, format!("the name `{name}` is the server's own: take another"));
        }
        if let Some(other) = before.iter().find(|field| field.name.eq_ignore_ascii_case(name)) {
            // Not every database tells upper from lower case in a column's name.
            self.wrong(at, format!("there is a field `{}` already", other.name));
        }
    }

    fn field(&mut self, name: &str, entry: FieldEntry) -> Field {
        let kind = self.kind(name, &entry);
        let mut field = Field { required: entry.required, description: entry.description, ..Field::new(name, kind) };
        self.numbers(&mut field, entry.min, entry.max);
        self.lengths(&mut field, entry.min_length, entry.max_length);
        if let Some(pattern) = entry.pattern {
            let at = pattern.referenced;
            match Regex::new(&pattern.value) {
                Ok(regex) if matches!(field.kind, Kind::String | Kind::Text | Kind::Email) => {
                    field.pattern = Some(regex);
                }
                Ok(_) => self.wrong(at, format!("`pattern` does not belong to the type {}", field.kind.name())),
                Err(error) => self.wrong(at, format!("the pattern is no regular expression: {error}")),
            }
        }
        if let Some(unique) = entry.unique.filter(|unique| unique.value) {
            field.unique = true;
            if let Some(why) = not_indexed(&field) {
                self.wrong(unique.referenced, format!("the field `{name}` cannot be unique: {why}"));
            }
            if entry.default.is_some() {
                self.wrong(
                    unique.referenced,
                    format!("the field `{name}` is unique: only one row could have its default"),
                );
            }
        }
        if let Some(default) = entry.default {
            match field.read(&default.value) {
                Ok(Value::Null) => self.wrong(default.referenced, "a default of null says nothing: leave it out"),
                Ok(value) => field.default = Some(value),
                Err(rule) => self.wrong(default.referenced, format!("the default of `{name}` {rule}")),
            }
        }
        field
    }

    fn kind(&mut self, name: &str, entry: &FieldEntry) -> Kind {
        let kind = match entry.kind.value {
            TypeName::String => Kind::String,
            TypeName::Text => Kind::Text,
            TypeName::Integer => Kind::Integer,
            TypeName::Number => Kind::Number,
            TypeName::Boolean => Kind::Boolean,
            TypeName::Uuid => Kind::Uuid,
            TypeName::Timestamp => Kind::Timestamp,
            TypeName::Email => Kind::Email,
            TypeName::Json => Kind::Json,
            TypeName::Enum => {
                let words = entry.values.as_ref().map(|values| values.value.clone()).unwrap_or_default();
                if words.is_empty() {
                    self.wrong(entry.kind.referenced, format!("the field `{name}` is an enum: list its `values`"));
                }
                for (index, word) in words.iter().enumerate() {
                    let length = word.value.chars().count();
                    if length == 0 || length > STRING_LENGTH || word.value.contains('\0') {
                        self.wrong(word.referenced, format!("a value must have 1 to {STRING_LENGTH} characters"));
                    }
                    if words[..index].iter().any(|other| other.value == word.value) {
                        self.wrong(word.referenced, format!("the value `{}` is there twice", word.value));
                    }
                }
                return Kind::Enum(words.into_iter().map(|word| word.value).collect());
            }
        };
        if let Some(values) = &entry.values {
            self.wrong(values.referenced, format!("`values` belongs to the type enum, not to {}", kind.name()));
        }
        kind
    }

    fn numbers(&mut self, field: &mut Field, min: Option<Spanned<f64>>, max: Option<Spanned<f64>>) {
        let number = matches!(field.kind, Kind::Integer | Kind::Number);
        for (word, bound) in [("min", &min), ("max", &max)] {
            let Some(bound) = bound else { continue };
            if !number {
                let kind = field.kind.name();
                self.wrong(bound.referenced, format!("`{word}` belongs to integer and number, not to {kind}"));
            } else if !bound.value.is_finite() {
                self.wrong(bound.referenced, format!("`{word}` must be a finite number"));
            }
        }
        if let (Some(min), Some(max)) = (&min, &max)
            && min.value > max.value
        {
            self.wrong(max.referenced, "`max` is less than `min`");
        }
        field.min = min.map(|bound| bound.value);
        field.max = max.map(|bound| bound.value);
    }

    fn lengths(&mut self, field: &mut Field, min: Option<Spanned<usize>>, max: Option<Spanned<usize>>) {
        let limit = match field.kind {
            Kind::String | Kind::Email => STRING_LENGTH,
            Kind::Text | Kind::Json => TEXT_LENGTH,
            _ => 0,
        };
        for (word, bound) in [("min_length", &min), ("max_length", &max)] {
            let Some(bound) = bound else { continue };
            let kind = field.kind.name();
            if limit == 0 {
                self.wrong(
                    bound.referenced,
                    format!("`{word}` belongs to string, text, email and json, not to {kind}"),
                );
            } else if bound.value > limit {
                let hint = if limit == STRING_LENGTH { ": `text` takes more" } else { "" };
                self.wrong(bound.referenced, format!("a {kind} has at most {limit} characters{hint}"));
            }
        }
        if let (Some(min), Some(max)) = (&min, &max)
            && min.value > max.value
        {
            self.wrong(max.referenced, "`max_length` is less than `min_length`");
        }
        field.min_length = min.map(|bound| bound.value);
        field.max_length = max.map(|bound| bound.value);
    }

    fn index(&mut self, resource: &Resource, index: Spanned<Vec<Spanned<String>>>) -> Vec<String> {
        let mut bytes = 0;
        for (position, name) in index.value.iter().enumerate() {
            let at = name.referenced;
            if index.value[..position].iter().any(|other| other.value == name.value) {
                self.wrong(at, format!("`{}` is there twice", name.value));
            }
            match (resource.column(&name.value), resource.field(&name.value)) {
                (None, _) => self.wrong(at, format!("there is no field `{}`", name.value)),
                (Some(column), field) => {
                    if let Some(why) = field.and_then(not_indexed) {
                        self.wrong(at, format!("the field `{}` cannot be indexed: {why}", name.value));
                    }
                    bytes += if column.store == Store::Text { STRING_LENGTH * 4 } else { 36 };
                }
            }
        }
        if index.value.is_empty() {
            self.wrong(index.referenced, "an index needs at least one field");
        }
        if bytes > INDEX_BYTES {
            self.wrong(
                index.referenced,
                format!("the index is longer than {INDEX_BYTES} bytes: name fewer text fields"),
            );
        }
        index.value.into_iter().map(|name| name.value).collect()
    }
}

fn plain(name: &str, upper: bool) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || upper && c.is_ascii_uppercase();
    name.len() <= NAME_LENGTH
        && name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_ascii_digit() || c == '_')
}

/// Why there is no index on such a field, if so.
fn not_indexed(field: &Field) -> Option<String> {
    let kind = &field.kind;
    matches!(kind, Kind::Text | Kind::Json)
        .then(|| format!("a {} is too long for an index; `string` holds up to {STRING_LENGTH} characters", kind.name()))
}
