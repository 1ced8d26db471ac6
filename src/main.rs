//! The `crudctl` command.
fn main() {}
