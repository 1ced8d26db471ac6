//! `postgresql_user`: roles of a PostgreSQL server that log in.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::postgresql::{SslMode, answers, failed, identifier, literal, login_of, shown};
use super::scram;
use crate::modules::contract::{ASK, DRIFT};
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Creates, changes and removes users (roles) of a PostgreSQL server.
///
/// A password that the user has already is no change: it is compared with what the server keeps (SCRAM or MD5), where the
/// login may read that. It travels by standard input alone.
///
/// ```yaml
/// - postgresql_user:
///     name: crud
///     password: "{{ db_password }}"
///     role_attr_flags: NOSUPERUSER,CREATEDB
///   become_user: postgres
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct PostgresqlUser {
    /// The user.
    #[serde(alias = "user")]
    name: String,
    /// The password: plain, or as the server keeps it (`md5…`, `SCRAM-SHA-256$…`); empty: none.
    #[serde(default)]
    password: Option<String>,
    /// Whether the user is there.
    #[serde(default)]
    state: State,
    /// Attributes, separated by commas: `[NO]SUPERUSER`, `[NO]CREATEROLE`, `[NO]CREATEDB`, `[NO]INHERIT`, `[NO]LOGIN`,
    /// `[NO]REPLICATION`, `[NO]BYPASSRLS`.
    #[serde(default)]
    role_attr_flags: String,
    /// Accepted: servers keep no plain passwords any more.
    #[serde(default = "yes")]
    encrypted: bool,
    /// Until when the password is valid, as SQL has it; `infinity`: for ever.
    #[serde(default)]
    expires: Option<String>,
    /// Connections at once; -1: any number.
    #[serde(default)]
    conn_limit: Option<i64>,
    /// Don't look at the password of a user that is there already.
    #[serde(default)]
    no_password_changes: bool,
    /// Fail where the user can't be removed because something belongs to it.
    #[serde(default = "yes", alias = "fail_on_role")]
    fail_on_user: bool,
    /// The user's comment; empty: none.
    #[serde(default)]
    comment: Option<String>,
    /// Settings of the server for this user.
    #[serde(default)]
    configuration: Map<String, Value>,
    /// Take back settings that `configuration` does not name.
    #[serde(default)]
    reset_unspecified_configuration: bool,
    /// Accepted: values are always quoted.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "values are always quoted")]
    quote_configuration_values: bool,
    /// The database that is connected to.
    #[serde(default, alias = "db")]
    login_db: Option<String>,
    /// Not supported: use `postgresql_privs`.
    #[serde(default, rename = "priv")]
    privileges: Option<String>,
    /// Not supported: use `postgresql_membership`.
    #[serde(default)]
    groups: Vec<String>,
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

/// Attributes and the columns that they are.
const FLAGS: &[(&str, &str)] = &[
    ("SUPERUSER", "rolsuper"),
    ("CREATEROLE", "rolcreaterole"),
    ("CREATEUSER", "rolcreaterole"),
    ("CREATEDB", "rolcreatedb"),
    ("INHERIT", "rolinherit"),
    ("LOGIN", "rolcanlogin"),
    ("REPLICATION", "rolreplication"),
    ("BYPASSRLS", "rolbypassrls"),
];

/// Settings whose values are lists of names (`GUC_LIST_QUOTE`).
const LISTS: &[&str] = &["search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"];

/// A list as the server keeps it: names that need quotes have them.
fn list(text: &str) -> String {
    let plain = |name: &str| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let names = text.split(',').map(|name| name.trim().trim_matches('"'));
    names.map(|name| if plain(name) { name.to_owned() } else { identifier(name) }).collect::<Vec<_>>().join(", ")
}

/// The words of a value in `SET … TO`.
fn setting_value(name: &str, value: &str) -> String {
    if !LISTS.contains(&name) {
        return literal(value);
    }
    value.split(", ").map(|name| literal(name.trim_matches('"'))).collect::<Vec<_>>().join(", ")
}

impl HostModule for PostgresqlUser {
    type Drift = Vec<String>;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Vec<String>>> {
        self.validate()?;
        let wanted = Wanted::of(self)?;
        let database = self.login_db.as_deref().unwrap_or("postgres");
        let base = Outcome::ok().with("user", self.name.as_str());
        Ok(Check::ask(login_of!(self).ask(database, &self.question(&wanted)), move |reply| {
            if ![0, DRIFT, ASK].contains(&reply.status) {
                return Ok(Verdict::Failed(failed(reply)));
            }
            let rows = answers(reply)?;
            let statements = if reply.status == 0 { Vec::new() } else { wanted.statements(rows.first()) };
            let outcome = base.with("queries", shown(&statements, wanted.password.as_deref()));
            Ok(if statements.is_empty() {
                Verdict::Converged(outcome)
            } else {
                Verdict::Drift { drift: statements, outcome: Outcome { changed: true, ..outcome } }
            })
        }))
    }

    fn apply(&self, statements: Vec<String>, _: &Context) -> anyhow::Result<Apply> {
        let database = self.login_db.as_deref().unwrap_or("postgres");
        let outcome = Outcome::ok()
            .with("user", self.name.as_str())
            .with("queries", shown(&statements, self.password.as_deref()));
        let mut apply = login_of!(self).act(database, &statements, outcome.clone());
        if self.state == State::Absent && !self.fail_on_user {
            let outcome = outcome.message("Unable to remove user: something depends on it");
            let parse = apply.parse;
            apply.parse = Box::new(move |reply| {
                if reply.err().contains("cannot be dropped because some objects depend on it") {
                    return Ok(crate::modules::Applied::Done(outcome));
                }
                parse(reply)
            });
        }
        Ok(apply)
    }
}

impl PostgresqlUser {
    fn validate(&self) -> anyhow::Result<()> {
        refuse(
            "postgresql_user",
            &[("connect_params", !self.connect_params.is_empty())],
            "use the login's parameters",
        )?;
        refuse("postgresql_user", &[("priv", self.privileges.is_some())], "grant rights by SQL or `postgresql_privs`")?;
        refuse("postgresql_user", &[("groups", !self.groups.is_empty())], "use `postgresql_membership`")?;
        refuse("postgresql_user", &[("encrypted: false", !self.encrypted)], "servers keep no plain passwords any more")
    }

    /// Whether all is as wanted (`a` where only the password's verifier is left to look at), then the role.
    fn question(&self, wanted: &Wanted) -> String {
        let name = literal(&self.name);
        let found = format!("EXISTS (SELECT FROM pg_roles WHERE rolname = {name})");
        let row = |password: &str| {
            format!(
                "SELECT json_build_object('rolsuper', r.rolsuper, 'rolcreaterole', r.rolcreaterole, 'rolcreatedb', r.rolcreatedb, \
                 'rolinherit', r.rolinherit, 'rolcanlogin', r.rolcanlogin, 'rolreplication', r.rolreplication, \
                 'rolbypassrls', r.rolbypassrls, 'conn_limit', r.rolconnlimit, 'comment', coalesce(shobj_description(r.oid, 'pg_authid'), ''), \
                 'same_expiry', {}, 'config', r.rolconfig, 'password', {password}, 'readable', {}) FROM {} r WHERE r.rolname = {name};\n",
                wanted.same_expiry(),
                password != "NULL",
                if password == "NULL" {
                    "pg_roles"
                } else {
                    "(SELECT a.*, s.setconfig AS rolconfig FROM pg_authid a LEFT JOIN pg_db_role_setting s ON s.setrole = a.oid AND s.setdatabase = 0)"
                },
            )
        };
        if self.state == State::Absent {
            return format!("SELECT NOT {found};\n{}", row("NULL"));
        }
        let mut same = wanted.same();
        same.insert(0, format!("r.rolname = {name}"));
        let rest = format!("EXISTS (SELECT FROM pg_roles r WHERE {})", same.join(" AND "));
        if self.password.is_none() || self.no_password_changes {
            return format!("SELECT {rest};\n{}", row("NULL"));
        }
        format!(
            "SELECT CASE WHEN {rest} THEN 'a' ELSE 'f' END;\n\
             SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS crud_readable \\gset\n\
             \\if :crud_readable\n{}\\else\n{}\\endif\n",
            row("r.rolpassword"),
            row("NULL")
        )
    }
}

/// The parameters that statements are made of.
struct Wanted {
    name: String,
    absent: bool,
    password: Option<String>,
    /// Of a user that is there.
    keep_password: bool,
    flags: Vec<(&'static str, &'static str, bool)>,
    expires: Option<String>,
    conn_limit: Option<i64>,
    comment: Option<String>,
    configuration: Vec<(String, String)>,
    reset: bool,
}

impl Wanted {
    fn of(task: &PostgresqlUser) -> anyhow::Result<Self> {
        let mut flags = Vec::new();
        for word in task.role_attr_flags.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let upper = word.to_ascii_uppercase();
            let (bare, on) = match upper.strip_prefix("NO") {
                Some(bare) => (bare, false),
                None => (upper.as_str(), true),
            };
            let known = FLAGS.iter().find(|(name, _)| *name == bare);
            let Some((name, column)) = known else {
                let names: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
                anyhow::bail!(
                    "Invalid role_attr_flags specified: `{word}`; known are {}, each also with NO",
                    names.join(", ")
                );
            };
            flags.push((*name, *column, on));
        }
        let configuration = task
            .configuration
            .iter()
            .map(|(name, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                anyhow::ensure!(
                    name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c)) && !name.is_empty(),
                    "`{name}` is not the name of a setting"
                );
                let name = name.to_ascii_lowercase();
                let text = if LISTS.contains(&name.as_str()) { list(&text) } else { text };
                Ok((name, text))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            name: task.name.clone(),
            absent: task.state == State::Absent,
            password: task.password.clone(),
            keep_password: task.no_password_changes,
            flags,
            expires: task.expires.clone(),
            conn_limit: task.conn_limit,
            comment: task.comment.clone(),
            configuration,
            reset: task.reset_unspecified_configuration,
        })
    }

    fn same_expiry(&self) -> String {
        match &self.expires {
            None => "true".to_owned(),
            Some(expires) => {
                format!("coalesce(r.rolvaliduntil, 'infinity') = {}::timestamptz", literal(expires))
            }
        }
    }

    /// The conditions under which a role (`r`) is as wanted, without its password.
    fn same(&self) -> Vec<String> {
        let mut same = vec![self.same_expiry()];
        for (_, column, on) in &self.flags {
            same.push(format!("r.{column} = {on}"));
        }
        if let Some(limit) = self.conn_limit {
            same.push(format!("r.rolconnlimit = {limit}"));
        }
        if let Some(comment) = &self.comment {
            same.push(format!("coalesce(shobj_description(r.oid, 'pg_authid'), '') = {}", literal(comment)));
        }
        let settings: Vec<String> =
            self.configuration.iter().map(|(name, value)| literal(&format!("{name}={value}"))).collect();
        let settings = format!("ARRAY[{}]::text[]", settings.join(", "));
        if !self.configuration.is_empty() {
            same.push(format!("coalesce(r.rolconfig, '{{}}') @> {settings}"));
        }
        if self.reset {
            same.push(format!("coalesce(r.rolconfig, '{{}}') <@ {settings}"));
        }
        same
    }

    fn statements(&self, found: Option<&Value>) -> Vec<String> {
        let name = identifier(&self.name);
        if self.absent {
            return vec![format!("DROP USER {name}")];
        }
        let mut options: Vec<String> = Vec::new();
        let has = |key: &str, value: Value| found.is_some_and(|row| row[key] == value);
        if let Some(password) = self.password.as_ref().filter(|_| !(self.keep_password && found.is_some()))
            && !found.is_some_and(|row| self.has_password(row, password))
        {
            let text = if password.is_empty() { "NULL".to_owned() } else { literal(password) };
            options.push(format!("PASSWORD {text}"));
        }
        if let Some(expires) = self.expires.as_ref().filter(|_| !has("same_expiry", json!(true))) {
            options.push(format!("VALID UNTIL {}", literal(expires)));
        }
        for (flag, column, on) in &self.flags {
            if !has(column, json!(on)) {
                let flag = if *flag == "CREATEUSER" { "CREATEROLE" } else { flag };
                options.push(format!("{}{flag}", if *on { "" } else { "NO" }));
            }
        }
        if let Some(limit) = self.conn_limit.filter(|limit| !has("conn_limit", json!(limit))) {
            options.push(format!("CONNECTION LIMIT {limit}"));
        }
        let mut statements = Vec::new();
        let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(" ")) };
        if found.is_none() {
            statements.push(format!("CREATE USER {name}{with}"));
        } else if !options.is_empty() {
            statements.push(format!("ALTER USER {name}{with}"));
        }
        let new = |comment: &&String| !(has("comment", json!(comment)) || (found.is_none() && comment.is_empty()));
        if let Some(comment) = self.comment.as_ref().filter(new) {
            let text = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
            statements.push(format!("COMMENT ON ROLE {name} IS {text}"));
        }
        self.settings(found, &name, &mut statements);
        statements
    }

    fn settings(&self, found: Option<&Value>, name: &str, statements: &mut Vec<String>) {
        let current: Vec<(&str, &str)> = found
            .and_then(|row| row["config"].as_array())
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.as_str()?.split_once('='))
            .collect();
        for (setting, value) in &self.configuration {
            if !current.contains(&(setting, value)) {
                statements.push(format!(
                    "ALTER ROLE {name} SET {} TO {}",
                    setting_name(setting),
                    setting_value(setting, value)
                ));
            }
        }
        for (setting, _) in current.iter().filter(|_| self.reset) {
            if !self.configuration.iter().any(|(wanted, _)| wanted == setting) {
                statements.push(format!("ALTER ROLE {name} RESET {}", setting_name(setting)));
            }
        }
    }

    fn has_password(&self, row: &Value, password: &str) -> bool {
        if row["readable"] != json!(true) {
            return false;
        }
        match row["password"].as_str() {
            None => password.is_empty(),
            Some(kept) => !password.is_empty() && scram::verifies(kept, &self.name, password),
        }
    }
}

/// A setting's name: quoted in its parts.
fn setting_name(name: &str) -> String {
    name.split('.').map(identifier).collect::<Vec<_>>().join(".")
}
