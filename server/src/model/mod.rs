//! What a resource is: its fields, their types and their rules.

pub mod field;
pub mod resource;
pub mod value;

pub use field::{Field, Kind, STRING_LENGTH, TEXT_LENGTH};
pub use resource::{Column, Resource, index_name};
pub use value::{Store, Value};
