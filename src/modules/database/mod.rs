//! Databases, by their own clients on the host.

use super::Descriptor;

mod mysql;
mod mysql_db;
mod mysql_user;
mod postgresql;
mod postgresql_db;
mod postgresql_ext;
mod postgresql_schema;
mod postgresql_user;
mod scram;

const POSTGRESQL: &[&str] = &["community.postgresql", "community.general"];
const MYSQL: &[&str] = &["community.mysql", "community.general"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<postgresql_db::PostgresqlDb>("postgresql_db", POSTGRESQL),
    Descriptor::host::<postgresql_user::PostgresqlUser>("postgresql_user", POSTGRESQL),
    Descriptor::host::<postgresql_schema::PostgresqlSchema>("postgresql_schema", POSTGRESQL),
    Descriptor::host::<postgresql_ext::PostgresqlExt>("postgresql_ext", POSTGRESQL),
    Descriptor::host::<mysql_db::MysqlDb>("mysql_db", MYSQL),
    Descriptor::host::<mysql_user::MysqlUser>("mysql_user", MYSQL),
];
