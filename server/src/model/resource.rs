//! A resource: a table with its fields, and the columns that the server adds.

use sha2::{Digest as _, Sha256};

use super::field::{Field, Kind};
use super::value::Store;
use crate::auth::Access;

/// A column of a resource's table.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// How it is kept.
    pub store: Store,
}

/// A declared resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The name in paths: `/api/{name}`; also the table's unless `table` says otherwise.
    pub name: String,
    /// The table.
    pub table: String,
    /// For people: shown on pages and in the API reference.
    pub description: Option<String>,
    /// Its fields, in the order in which they are shown.
    pub fields: Vec<Field>,
    /// Indexes beyond those of unique fields: lists of field names.
    pub indexes: Vec<Vec<String>>,
    /// Whom it is for, while authentication is on.
    pub access: Access,
}

/// Columns before and after the fields, which the server keeps itself.
pub const ID: Column<'static> = Column { name: "id", store: Store::Uuid };
/// When the row was made.
pub const CREATED: Column<'static> = Column { name: "created_at", store: Store::Time };
/// When the row was changed last.
pub const UPDATED: Column<'static> = Column { name: "updated_at", store: Store::Time };
/// Counts the changes of the row; the ETag.
pub const VERSION: Column<'static> = Column { name: "row_version", store: Store::Int };

impl Resource {
    /// All columns in the order in which rows hold their values: id, fields, created, updated, version.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let mut columns = vec![ID];
        columns.extend(self.fields.iter().map(|field| Column { name: &field.name, store: field.kind.store() }));
        columns.extend([CREATED, UPDATED, VERSION]);
        columns
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<Column<'_>> {
        self.columns().into_iter().find(|column| column.name == name)
    }

    /// A field with the type of any column that clients see, and without its rules: what filters and cursors say is
    /// compared, not stored.
    pub fn reader(&self, column: &str) -> Option<Field> {
        let kind = match column {
            "id" => Kind::Uuid,
            "created_at" | "updated_at" => Kind::Timestamp,
            _ => match &self.field(column)?.kind {
                Kind::String | Kind::Email | Kind::Enum(_) => Kind::Text,
                kind => kind.clone(),
            },
        };
        Some(Field::new(column, kind))
    }

    /// The name of the index that keeps a field unique.
    pub fn unique_index(&self, field: &str) -> String {
        index_name(&format!("{}_{field}_key", self.table))
    }
}

/// A name as long as PostgreSQL keeps one (63 bytes); a longer one ends in its hash, so that no two become one.
pub fn index_name(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let hash = Sha256::digest(name.as_bytes());
    format!("{}_{:02x}{:02x}{:02x}{:02x}", &name[..54], hash[0], hash[1], hash[2], hash[3])
}
