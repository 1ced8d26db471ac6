//! crudctl: from source to a running CRUD service.

pub mod image;
