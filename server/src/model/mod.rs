//! What a resource is: its fields, their types and their rules.

pub mod field;
pub mod resource;
pub mod value;

pub use field::{Field, Kind};
pub use resource::{Column, Resource};
pub use value::{Store, Value};
