//! A resource: a table with its fields, and the columns that the server adds.

use super::field::{Field, Kind};
use super::value::Store;

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

    /// A field that reads text for any column, the server's own included.
    pub fn reader(&self, column: &str) -> Option<Field> {
        match column {
            "id" => Some(Field::new(column, Kind::Uuid)),
            "created_at" | "updated_at" => Some(Field::new(column, Kind::Timestamp)),
            _ => self.field(column).cloned(),
        }
    }
}
