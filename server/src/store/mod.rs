//! The database: three kinds behind one set of calls, with the same behaviour.

mod database;
pub mod error;
mod migrate;
mod pool;
mod row;
mod sql;
mod target;
mod writer;

pub use database::{Database, Usage};
pub use error::StoreError;
pub use migrate::migrate;
pub use row::Row;
pub use sql::{Condition, Operator, Select, Sort};
pub use target::{Dialect, Parts, Target};
