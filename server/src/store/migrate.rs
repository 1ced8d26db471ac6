//! Brings the tables to what the resources declare: additions only, under a lock, so that any number of replicas may
//! start at once. What would lose data is refused, with what to do.

use anyhow::{Context as _, anyhow, bail};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};
use sqlx::{ConnectOptions as _, TypeInfo as _, ValueRef as _};

use super::target::{Dialect, Target};
use crate::log;
use crate::model::{Resource, Store, Value, index_name};

/// Creates missing tables, columns and indexes.
pub async fn migrate(target: &Target, resources: impl Iterator<Item = &Resource>) -> anyhow::Result<()> {
    let mut session = Session::connect(target).await?;
    session.lock().await?;
    let mut done = Ok(());
    for resource in resources {
        done = session.table(resource).await.with_context(|| format!("table `{}`", resource.table));
        if done.is_err() {
            break;
        }
    }
    session.unlock(done.is_ok()).await?;
    done
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

struct Session {
    connection: Connection,
    maria: bool,
}

impl Session {
    async fn connect(target: &Target) -> anyhow::Result<Self> {
        let connection = match target {
            Target::Sqlite(options, path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
                }
                Connection::Sqlite(options.connect().await?)
            }
            Target::Postgres(options) => Connection::Postgres(options.connect().await?),
            Target::Mysql(options) => Connection::Mysql(options.connect().await?),
        };
        let mut session = Self { connection, maria: false };
        if matches!(target, Target::Mysql(_)) {
            let version = session.texts("SELECT version()").await?;
            session.maria = version.first().is_some_and(|version| version.contains("MariaDB"));
        }
        Ok(session)
    }

    fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::Mysql(_) => Dialect::Mysql,
        }
    }

    async fn execute(&mut self, sql: &str) -> anyhow::Result<()> {
        let sql = AssertSqlSafe(sql);
        match &mut self.connection {
            Connection::Sqlite(connection) => connection.execute(sql).await.map(drop)?,
            Connection::Postgres(connection) => connection.execute(sql).await.map(drop)?,
            Connection::Mysql(connection) => connection.execute(sql).await.map(drop)?,
        }
        Ok(())
    }

    /// The first column of each row, as text.
    async fn texts(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        macro_rules! fetch {
            ($connection:expr) => {{
                let rows = $connection.fetch_all(AssertSqlSafe(sql)).await?;
                rows.iter()
                    .map(|row| {
                        let value = row.try_get_raw(0)?;
                        let kind = value.type_info().name().to_owned();
                        row.try_get::<String, _>(0)
                            .or_else(|_| {
                                row.try_get::<Vec<u8>, _>(0).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                            })
                            .with_context(|| format!("a catalogue column of type {kind}"))
                    })
                    .collect()
            }};
        }
        match &mut self.connection {
            Connection::Sqlite(connection) => fetch!(connection),
            Connection::Postgres(connection) => fetch!(connection),
            Connection::Mysql(connection) => fetch!(connection),
        }
    }

    async fn lock(&mut self) -> anyhow::Result<()> {
        match self.dialect() {
            Dialect::Sqlite => self.execute("BEGIN IMMEDIATE").await,
            // Any constant does: it is this program's key. The lock ends with the transaction.
            Dialect::Postgres => self.execute("BEGIN; SELECT pg_advisory_xact_lock(7239482610)").await,
            Dialect::Mysql => {
                let got = self.texts("SELECT cast(get_lock('crud-server', 60) AS char)").await?;
                if got.first().map(String::as_str) == Some("1") {
                    return Ok(());
                }
                bail!("another replica holds the migration lock for more than a minute")
            }
        }
    }

    async fn unlock(mut self, commit: bool) -> anyhow::Result<()> {
        match (self.dialect(), commit) {
            (Dialect::Mysql, _) => self.execute("DO release_lock('crud-server')").await?,
            (_, true) => self.execute("COMMIT").await?,
            (_, false) => self.execute("ROLLBACK").await?,
        }
        match self.connection {
            Connection::Sqlite(connection) => connection.close().await?,
            Connection::Postgres(connection) => connection.close().await?,
            Connection::Mysql(connection) => connection.close().await?,
        }
        Ok(())
    }

    async fn table(&mut self, resource: &Resource) -> anyhow::Result<()> {
        let there = self.existing(&resource.table).await?;
        if there.is_empty() {
            self.create(resource).await?;
        } else {
            self.extend(resource, &there).await?;
        }
        self.indexes(resource).await
    }

    /// `name type` of each column, in the database's words.
    async fn existing(&mut self, table: &str) -> anyhow::Result<Vec<(String, String)>> {
        let sql = match self.dialect() {
            Dialect::Sqlite => format!("SELECT name || ' ' || lower(type) FROM pragma_table_info('{table}')"),
            Dialect::Postgres => format!(
                "SELECT column_name || ' ' || data_type FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = '{table}'"
            ),
            Dialect::Mysql => format!(
                "SELECT concat(column_name, ' ', data_type) FROM information_schema.columns \
                 WHERE table_schema = database() AND table_name = '{table}'"
            ),
        };
        let rows = self.texts(&sql).await?;
        Ok(rows.iter().filter_map(|row| row.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_lowercase())).collect())
    }

    async fn create(&mut self, resource: &Resource) -> anyhow::Result<()> {
        let columns = resource.columns();
        let columns = columns.iter().map(|column| {
            let rule = match column.name {
                "id" => " NOT NULL PRIMARY KEY",
                "created_at" | "updated_at" | "row_version" => " NOT NULL",
                // Whether a field is required is a rule of the declaration, checked before every write: as a rule of
                // the table it could not be changed later without rewriting the table in SQLite.
                _ => "",
            };
            Ok(format!("{} {}{rule}", self.quoted(column.name), self.column_type(resource, column.name)?))
        });
        let columns = columns.collect::<anyhow::Result<Vec<_>>>()?.join(", ");
        let end = if self.dialect() == Dialect::Mysql { " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" } else { "" };
        let sql = format!("CREATE TABLE {} ({columns}){end}", self.quoted(&resource.table));
        self.execute(&sql).await?;
        log::info("created a table", &[("table", resource.table.clone())]);
        Ok(())
    }

    async fn extend(&mut self, resource: &Resource, there: &[(String, String)]) -> anyhow::Result<()> {
        let table = self.quoted(&resource.table);
        for column in resource.columns() {
            let wanted = self.column_type(resource, column.name)?;
            if let Some((_, found)) = there.iter().find(|(name, _)| name == column.name) {
                if family(found) != family(&wanted.to_lowercase()) {
                    bail!(
                        "column `{}` is `{found}` and the declaration wants `{wanted}`: changing a type can lose data, so \
                         it is not done here; convert the column by hand, or declare a new field and move the values",
                        column.name
                    );
                }
                continue;
            }
            let any = !self.texts(&format!("SELECT 'x' FROM {table} LIMIT 1")).await?.is_empty();
            let field = resource.field(column.name);
            let fill = match field {
                Some(field) => field.default.as_ref().map(|value| self.literal(value)).transpose()?,
                None if column.name == "row_version" => Some("1".to_owned()),
                None if !any => None,
                None => bail!("column `{}` is missing in a table that has rows: add and fill it by hand", column.name),
            };
            if any && fill.is_none() && field.is_some_and(|field| field.required) {
                bail!(
                    "the new field `{}` is required and the table has rows: give it a `default`, or make it optional",
                    column.name
                );
            }
            let name = self.quoted(column.name);
            self.execute(&format!("ALTER TABLE {table} ADD COLUMN {name} {wanted}")).await?;
            if let Some(fill) = fill.filter(|_| any) {
                self.execute(&format!("UPDATE {table} SET {name} = {fill}")).await?;
            }
            log::info("added a column", &[("table", resource.table.clone()), ("column", column.name.to_owned())]);
        }
        self.required(resource, &table).await
    }

    /// A field that became required while rows lack it would make answers break their own contract.
    async fn required(&mut self, resource: &Resource, table: &str) -> anyhow::Result<()> {
        for field in resource.fields.iter().filter(|field| field.required) {
            let name = self.quoted(&field.name);
            let missing = self.texts(&format!("SELECT 'x' FROM {table} WHERE {name} IS NULL LIMIT 1")).await?;
            if !missing.is_empty() {
                bail!(
                    "field `{}` is required, but there are rows without it: fill them, or make it optional",
                    field.name
                );
            }
        }
        Ok(())
    }

    async fn indexes(&mut self, resource: &Resource) -> anyhow::Result<()> {
        let mut wanted: Vec<(String, bool, Vec<&str>)> = Vec::new();
        for field in resource.fields.iter().filter(|field| field.unique) {
            wanted.push((resource.unique_index(&field.name), true, vec![&field.name]));
        }
        for index in &resource.indexes {
            let columns: Vec<&str> = index.iter().map(String::as_str).collect();
            let name = index_name(&format!("{}_{}_idx", resource.table, columns.join("_")));
            wanted.push((name, false, columns));
        }
        // The order of lists without `sort`.
        wanted.push((format!("{}_created_at_id_idx", resource.table), false, vec!["created_at", "id"]));
        let table = &resource.table;
        let sql = match self.dialect() {
            Dialect::Sqlite => format!("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}'"),
            Dialect::Postgres => format!(
                "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename = '{table}'"
            ),
            Dialect::Mysql => format!(
                "SELECT DISTINCT index_name FROM information_schema.statistics \
                 WHERE table_schema = database() AND table_name = '{table}'"
            ),
        };
        let there = self.texts(&sql).await?;
        for (name, unique, columns) in wanted {
            if there.contains(&name) {
                continue;
            }
            let columns = columns.iter().map(|column| self.quoted(column)).collect::<Vec<_>>().join(", ");
            let kind = if unique { "UNIQUE INDEX" } else { "INDEX" };
            let sql = format!("CREATE {kind} {} ON {} ({columns})", self.quoted(&name), self.quoted(table));
            self.execute(&sql).await.with_context(|| {
                let hint = if unique { ": are there rows that share a value?" } else { "" };
                format!("cannot create the index `{name}`{hint}")
            })?;
        }
        Ok(())
    }

    fn quoted(&self, name: &str) -> String {
        let quote = if self.dialect() == Dialect::Mysql { '`' } else { '"' };
        format!("{quote}{name}{quote}")
    }

    fn literal(&self, value: &Value) -> anyhow::Result<String> {
        let text = |text: &str| {
            let text = text.replace('\'', "''");
            let text = if self.dialect() == Dialect::Mysql { text.replace('\\', "\\\\") } else { text };
            format!("'{text}'")
        };
        Ok(match value {
            Value::Null => "NULL".into(),
            Value::Bool(flag) => if *flag { "TRUE" } else { "FALSE" }.into(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => format!("{number:e}"),
            Value::Text(value) => text(value),
            Value::Uuid(id) => text(&id.to_string()),
            Value::Json(document) => text(&document.to_string()),
            Value::Time(at) => {
                let written = crate::clock::rfc3339(*at);
                text(if self.dialect() == Dialect::Mysql { written.trim_end_matches('Z') } else { &written })
            }
        })
    }

    fn column_type(&self, resource: &Resource, name: &str) -> anyhow::Result<String> {
        let column = resource.column(name).ok_or_else(|| anyhow!("no column `{name}`"))?;
        let longest = resource.field(name).and_then(crate::model::Field::longest);
        Ok(match self.dialect() {
            Dialect::Sqlite => match column.store {
                Store::Int => "INTEGER",
                Store::Float => "REAL",
                Store::Bool => "BOOLEAN",
                Store::Text | Store::Uuid | Store::Time | Store::Json => "TEXT",
            }
            .into(),
            Dialect::Postgres => match column.store {
                // Bytewise order, as in the other databases.
                Store::Text => "text COLLATE \"C\"",
                Store::Json => "text",
                Store::Int => "bigint",
                Store::Float => "double precision",
                Store::Bool => "boolean",
                Store::Uuid => "uuid",
                Store::Time => "timestamptz",
            }
            .into(),
            Dialect::Mysql => {
                let collation = if self.maria { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
                match (column.store, longest) {
                    // What InnoDB can index in four bytes a character.
                    (Store::Text, Some(length)) if length <= 768 => {
                        format!("varchar({length}) CHARACTER SET utf8mb4 COLLATE {collation}")
                    }
                    (Store::Text | Store::Json, _) => format!("longtext CHARACTER SET utf8mb4 COLLATE {collation}"),
                    (Store::Int, _) => "bigint".into(),
                    (Store::Float, _) => "double".into(),
                    (Store::Bool, _) => "tinyint(1)".into(),
                    (Store::Uuid, _) => "char(36) CHARACTER SET ascii COLLATE ascii_bin".into(),
                    (Store::Time, _) => "datetime(6)".into(),
                }
            }
        })
    }
}

/// Types that hold the same values: `varchar(20)` and `text` are one family.
fn family(name: &str) -> &str {
    let word = name.split([' ', '(']).next().unwrap_or_default();
    match word {
        "text" | "varchar" | "character" | "longtext" | "mediumtext" => "text",
        "bigint" | "integer" | "int" => "integer",
        "double" | "real" => "double",
        "boolean" | "tinyint" => "boolean",
        "timestamptz" | "timestamp" => "timestamp",
        other => other,
    }
}
