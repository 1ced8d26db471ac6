//! The bundled CRUD server.
fn main() {}
