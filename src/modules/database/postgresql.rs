//! PostgreSQL through `psql` on the host: the login, SQL as text, and questions with an answer.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::script::quote;
use crate::host::{Reply, Script, ShellFunction};
use crate::modules::contract::Applied;
use crate::modules::{Apply, Outcome};

/// How to log in: `psql`'s own ways. Without a host it is the local socket, where the task's user has to be the role
/// (`become_user: postgres`).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) socket: Option<String>,
    pub(super) ssl: Ssl,
    /// `SET ROLE` before anything else.
    pub(super) role: Option<String>,
}

/// How the connection is secured.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Ssl {
    pub(super) mode: Option<SslMode>,
    pub(super) root: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

/// Whether the connection is encrypted, and the server known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SslMode {
    Allow,
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// `crud_psql DATABASE`: SQL from standard input, answers without frills. The login is in libpq's variables.
static PSQL: ShellFunction = ShellFunction {
    name: "crud_psql",
    text: r#"crud_psql() { command -v psql >/dev/null 2>&1 || { echo 'the host has no psql: the package `postgresql-client` has it' >&2; return 1; }
[ -z "${crud_pgpw+x}" ] || export PGPASSWORD="$crud_pgpw"
PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-15} PGOPTIONS="${PGOPTIONS:+$PGOPTIONS }-c client_min_messages=error" PGCLIENTENCODING=UTF8 LC_ALL=C psql -XAtqw -v ON_ERROR_STOP=1 -d "$1" 2>"${pg_e:=$(mktemp)}"
pg_s=$?; sed 's/^psql:<stdin>:[0-9]*: //' "$pg_e" >&2
[ $pg_s -eq 0 ] || case $(cat "$pg_e") in *'Peer authentication failed'*|*'role "root" does not exist'*) echo 'hint: over the local socket the task has to run as the role: `become_user: postgres`' >&2;; esac
rm -f "$pg_e"; pg_e=; return $pg_s; }"#,
    needs: &[],
};

impl Login {
    /// A script that feeds `sql` to the database.
    fn script(&self, database: &str, sql: &str, then: &str) -> Script {
        let mut text = String::new();
        let mut export = |name: &str, value: &str| text.push_str(&format!("export {name}={}\n", quote(value)));
        if let Some(host) = self.socket.as_ref().or(self.host.as_ref()).filter(|host| !host.is_empty()) {
            export("PGHOST", host);
        }
        if let Some(port) = self.port.filter(|port| *port != 5432) {
            export("PGPORT", &port.to_string());
        }
        if let Some(user) = &self.user {
            export("PGUSER", user);
        }
        if let Some(mode) = self.ssl.mode.filter(|mode| *mode != SslMode::Prefer) {
            let word = match mode {
                SslMode::Allow => "allow",
                SslMode::Disable => "disable",
                SslMode::Prefer => "prefer",
                SslMode::Require => "require",
                SslMode::VerifyCa => "verify-ca",
                SslMode::VerifyFull => "verify-full",
            };
            export("PGSSLMODE", word);
        }
        for (name, value) in
            [("PGSSLROOTCERT", &self.ssl.root), ("PGSSLCERT", &self.ssl.cert), ("PGSSLKEY", &self.ssl.key)]
        {
            if let Some(value) = value {
                export(name, value);
            }
        }
        let role = self.role.as_ref().map(|role| format!("SET ROLE {};\n", identifier(role))).unwrap_or_default();
        text.push_str(&format!(
            "pg_o=$(printf '%s\\n' \"$crud_sql\" | crud_psql {}) || exit 1\n{then}",
            quote(database)
        ));
        let mut script = Script::new(text).function(&PSQL);
        // SQL may hold passwords: it is no argument of a process, and no part of a log.
        script.secrets.push(("crud_sql".into(), format!("{role}{sql}")));
        if let Some(password) = &self.password {
            script.secrets.push(("crud_pgpw".into(), password.clone()));
        }
        script
    }

    /// A question whose first answer decides: `t` is converged, `a` is for the parser, anything else a drift.
    pub(super) fn ask(&self, database: &str, sql: &str) -> Script {
        self.script(database, sql, "printf '%s\\n' \"$pg_o\"\ncase $pg_o in t*) exit 0;; a*) exit 11;; esac\nexit 10")
    }

    /// SQL that changes something.
    pub(super) fn act(&self, database: &str, statements: &[String], outcome: Outcome) -> Apply {
        let sql = format!("{};\n", statements.join(";\n"));
        Apply::new(self.script(database, &sql, "printf '%s\\n' \"$pg_o\""), move |reply| {
            Ok(Applied::Done(if reply.status == 0 { Outcome { changed: true, ..outcome } } else { failed(reply) }))
        })
    }
}

/// The failure that a reply is.
pub(super) fn failed(reply: &Reply) -> Outcome {
    let all = reply.err();
    // `LINE 1: …` repeats the statement, which may hold a password, with a caret in the next line.
    let mut repeated = false;
    let lines: Vec<&str> = all
        .lines()
        .filter(|line| {
            let hide = line.starts_with("LINE ") || (repeated && line.trim() == "^");
            repeated = line.starts_with("LINE ");
            !hide
        })
        .collect();
    let reason = lines.join("\n").trim().to_owned();
    Outcome::failed(if reason.is_empty() { format!("psql ended with status {}", reply.status) } else { reason })
}

/// The answers to a question: the first line, and the others as JSON.
pub(super) fn answers(reply: &Reply) -> anyhow::Result<Vec<Value>> {
    reply.out().lines().skip(1).filter(|line| !line.is_empty()).map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// A name in SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A text in SQL, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let text = text.replace('\0', "").replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// SQL in a result: passwords are not shown.
pub(super) fn shown(statements: &[String], secret: Option<&str>) -> Vec<Value> {
    let hide = |text: &String| match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(&literal(secret), "'********'"),
        None => text.clone(),
    };
    statements.iter().map(|statement| Value::from(hide(statement))).collect()
}

/// The parameters for the login and their [`Login`], in each module's struct.
macro_rules! login_of {
    ($self:ident) => {
        $crate::modules::database::postgresql::Login {
            host: $self.login_host.clone(),
            port: $self.login_port,
            user: $self.login_user.clone(),
            password: $self.login_password.clone(),
            socket: $self.login_unix_socket.clone(),
            ssl: $crate::modules::database::postgresql::Ssl {
                mode: $self.ssl_mode,
                root: $self.ca_cert.clone(),
                cert: $self.ssl_cert.clone(),
                key: $self.ssl_key.clone(),
            },
            role: $self.session_role.clone(),
        }
    };
}
pub(super) use login_of;
