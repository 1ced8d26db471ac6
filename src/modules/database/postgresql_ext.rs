//! `postgresql_ext`: extensions of a database.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::postgresql::{SslMode, answers, failed, identifier, literal, login_of, shown};
use crate::modules::contract::DRIFT;
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Creates, updates and removes extensions of a PostgreSQL database.
///
/// ```yaml
/// - postgresql_ext:
///     login_db: crud
///     name: pgcrypto
///   become_user: postgres
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresqlExt {
    /// The extension.
    #[serde(alias = "ext")]
    name: String,
    /// The database.
    #[serde(alias = "db")]
    login_db: String,
    /// The schema that its objects belong to.
    #[serde(default)]
    schema: Option<String>,
    /// Its version; `latest`: the newest that is installed.
    #[serde(default)]
    version: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Create what it needs, or remove what needs it.
    #[serde(default)]
    cascade: bool,
    /// Its comment; empty: none.
    #[serde(default)]
    comment: Option<String>,
    /// The server's address; absent: the local socket.
    #[serde(default, alias = "host")]
    login_host: Option<String>,
    /// Its port.
    #[serde(default, alias = "port")]
    login_port: Option<u16>,
    /// The role to log in as; absent: as the task's user.
    #[serde(default, alias = "login")]
    login_user: Option<String>,
    /// Its password.
    #[serde(default)]
    login_password: Option<String>,
    /// The directory of the local socket.
    #[serde(default, alias = "unix_socket")]
    login_unix_socket: Option<String>,
    /// Whether the connection is encrypted.
    #[serde(default)]
    ssl_mode: Option<SslMode>,
    /// Certificates that the server is known by, a file on the host.
    #[serde(default, alias = "ssl_rootcert")]
    ca_cert: Option<String>,
    /// The client's certificate, a file on the host.
    #[serde(default)]
    ssl_cert: Option<String>,
    /// Its key, a file on the host.
    #[serde(default)]
    ssl_key: Option<String>,
    /// The role whose rights are used after the login.
    #[serde(default)]
    session_role: Option<String>,
    /// Not supported: libpq's other parameters.
    #[serde(default)]
    connect_params: Map<String, Value>,
    /// Accepted: every name and value is quoted anyway.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "nothing is trusted")]
    trust_input: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

impl HostModule for PostgresqlExt {
    type Drift = Vec<String>;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Vec<String>>> {
        refuse("postgresql_ext", &[("connect_params", !self.connect_params.is_empty())], "use the login's parameters")?;
        let name = literal(&self.name);
        let from = "pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace LEFT JOIN pg_available_extensions a ON a.name = e.extname";
        let comment = "coalesce(obj_description(e.oid, 'pg_extension'), '')";
        let latest = self.version.as_deref() == Some("latest");
        let mut same = String::new();
        if let Some(schema) = &self.schema {
            same.push_str(&format!(" AND n.nspname = {}", literal(schema)));
        }
        if let Some(text) = &self.comment {
            same.push_str(&format!(" AND {comment} = {}", literal(text)));
        }
        match &self.version {
            Some(_) if latest => same.push_str(" AND e.extversion = a.default_version"),
            Some(version) => same.push_str(&format!(" AND e.extversion = {}", literal(version))),
            None => {}
        }
        let test = match self.state {
            State::Absent => format!("NOT EXISTS (SELECT FROM pg_extension WHERE extname = {name})"),
            State::Present => format!("EXISTS (SELECT FROM {from} WHERE e.extname = {name}{same})"),
        };
        let sql = format!(
            "SELECT {test};\nSELECT json_build_object('schema', n.nspname, 'version', e.extversion, 'newest', a.default_version, \
             'comment', {comment}) FROM {from} WHERE e.extname = {name};"
        );
        let (schema, version, comment) = (self.schema.clone(), self.version.clone(), self.comment.clone());
        let (quoted, absent) = (identifier(&self.name), self.state == State::Absent);
        let cascade = if self.cascade { " CASCADE" } else { "" };
        let base = Outcome::ok().with("ext", self.name.as_str());
        Ok(Check::ask(login_of!(self).ask(&self.login_db, &sql), move |reply| {
            if reply.status != 0 && reply.status != DRIFT {
                return Ok(Verdict::Failed(failed(reply)));
            }
            let rows = answers(reply)?;
            let mut statements = Vec::new();
            if reply.status == DRIFT {
                let has = |key: &str, text: &String| rows.first().is_some_and(|row| row[key] == json!(text));
                if absent {
                    statements.push(format!("DROP EXTENSION {quoted}{cascade}"));
                } else if rows.is_empty() {
                    let mut create = format!("CREATE EXTENSION {quoted}");
                    if let Some(schema) = &schema {
                        create.push_str(&format!(" SCHEMA {}", identifier(schema)));
                    }
                    if let Some(version) = version.as_ref().filter(|_| !latest) {
                        create.push_str(&format!(" VERSION {}", literal(version)));
                    }
                    statements.push(format!("{create}{cascade}"));
                } else {
                    if let Some(schema) = schema.filter(|schema| !has("schema", schema)) {
                        statements.push(format!("ALTER EXTENSION {quoted} SET SCHEMA {}", identifier(&schema)));
                    }
                    let current = rows.first().map(|row| (&row["version"], &row["newest"]));
                    match version {
                        Some(_) if latest && current.is_some_and(|(now, newest)| now != newest) => {
                            statements.push(format!("ALTER EXTENSION {quoted} UPDATE"));
                        }
                        Some(version) if !latest && !has("version", &version) => {
                            statements.push(format!("ALTER EXTENSION {quoted} UPDATE TO {}", literal(&version)));
                        }
                        _ => {}
                    }
                }
                if let Some(text) = comment.filter(|text| !absent && !has("comment", text)) {
                    let value = if text.is_empty() { "NULL".to_owned() } else { literal(&text) };
                    statements.push(format!("COMMENT ON EXTENSION {quoted} IS {value}"));
                }
            }
            let outcome = base.with("queries", shown(&statements, None));
            Ok(if statements.is_empty() {
                Verdict::Converged(outcome)
            } else {
                Verdict::Drift { drift: statements, outcome: Outcome { changed: true, ..outcome } }
            })
        }))
    }

    fn apply(&self, statements: Vec<String>, _: &Context) -> anyhow::Result<Apply> {
        let outcome = Outcome::ok().with("ext", self.name.as_str()).with("queries", shown(&statements, None));
        Ok(login_of!(self).act(&self.login_db, &statements, outcome))
    }
}
