//! The CRUD service that crudctl rolls out.
//!
//! ```text
//! resources/*.yml ─► declaration ─► model::Resource ─► store::migrate (tables)
//! request ─► http::* (a contract) ─► records (the rules) ─► store::Database ─► SQLite | PostgreSQL | MySQL
//! ```
//!
//! `page` is the frame of every HTML page, `portal` the page of seed 003, a process of its own that asks the hardware service. `config` holds every setting, `serve` the life of the process, `log` its words.

pub mod auth;
pub mod backup;
pub mod clock;
pub mod config;
pub mod declaration;
pub mod http;
pub mod key;
pub mod log;
pub mod model;
pub mod page;
pub mod portal;
pub mod problem;
pub mod records;
pub mod serve;
pub mod store;
