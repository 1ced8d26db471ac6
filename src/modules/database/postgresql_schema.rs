//! `postgresql_schema`: schemas of a database.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::postgresql::{SslMode, answers, failed, identifier, literal, login_of, shown};
use crate::modules::contract::DRIFT;
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Creates schemas of a PostgreSQL database, gives them an owner, and removes them.
///
/// ```yaml
/// - postgresql_schema:
///     login_db: crud
///     name: archive
///     owner: crud
///   become_user: postgres
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresqlSchema {
    /// The schema.
    #[serde(alias = "schema")]
    name: String,
    /// The database.
    #[serde(default = "postgres", alias = "db", alias = "database")]
    login_db: String,
    /// Its owner.
    #[serde(default)]
    owner: Option<String>,
    /// Its comment; empty: none.
    #[serde(default)]
    comment: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Remove what it holds too.
    #[serde(default)]
    cascade_drop: bool,
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

fn postgres() -> String {
    "postgres".to_owned()
}

impl HostModule for PostgresqlSchema {
    type Drift = Vec<String>;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Vec<String>>> {
        refuse(
            "postgresql_schema",
            &[("connect_params", !self.connect_params.is_empty())],
            "use the login's parameters",
        )?;
        let name = literal(&self.name);
        let from = "pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner";
        let comment = "coalesce(obj_description(n.oid, 'pg_namespace'), '')";
        let mut same = String::new();
        if let Some(owner) = &self.owner {
            same.push_str(&format!(" AND r.rolname = {}", literal(owner)));
        }
        if let Some(text) = &self.comment {
            same.push_str(&format!(" AND {comment} = {}", literal(text)));
        }
        let test = match self.state {
            State::Absent => format!("NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = {name})"),
            State::Present => format!("EXISTS (SELECT FROM {from} WHERE n.nspname = {name}{same})"),
        };
        let sql = format!(
            "SELECT {test};\nSELECT json_build_object('owner', r.rolname, 'comment', {comment}) FROM {from} WHERE n.nspname = {name};"
        );
        let (owner, comment, quoted) = (self.owner.clone(), self.comment.clone(), identifier(&self.name));
        let (absent, cascade) = (self.state == State::Absent, self.cascade_drop);
        let base = Outcome::ok().with("schema", self.name.as_str());
        Ok(Check::ask(login_of!(self).ask(&self.login_db, &sql), move |reply| {
            if reply.status != 0 && reply.status != DRIFT {
                return Ok(Verdict::Failed(failed(reply)));
            }
            let rows = answers(reply)?;
            let mut statements = Vec::new();
            if reply.status == DRIFT {
                let has = |key: &str, text: &String| rows.first().is_some_and(|row| row[key] == json!(text));
                if absent {
                    statements.push(format!("DROP SCHEMA {quoted}{}", if cascade { " CASCADE" } else { "" }));
                } else if rows.is_empty() {
                    let owner = owner.map(|owner| format!(" AUTHORIZATION {}", identifier(&owner))).unwrap_or_default();
                    statements.push(format!("CREATE SCHEMA {quoted}{owner}"));
                } else if let Some(owner) = owner.filter(|owner| !has("owner", owner)) {
                    statements.push(format!("ALTER SCHEMA {quoted} OWNER TO {}", identifier(&owner)));
                }
                if let Some(text) = comment.filter(|text| !absent && !has("comment", text)) {
                    let value = if text.is_empty() { "NULL".to_owned() } else { literal(&text) };
                    statements.push(format!("COMMENT ON SCHEMA {quoted} IS {value}"));
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
        let outcome = Outcome::ok().with("schema", self.name.as_str()).with("queries", shown(&statements, None));
        Ok(login_of!(self).act(&self.login_db, &statements, outcome))
    }
}
