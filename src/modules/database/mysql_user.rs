//! `mysql_user`: users of a MySQL or MariaDB server and their rights.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha1::Digest as _;

use super::mysql::{failed, identifier, literal, my_login};
use crate::host::script::hex;
use crate::modules::contract::{ASK, DRIFT};
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Creates, changes and removes users of a MySQL or MariaDB server, with their rights.
///
/// A password that the user has already is no change: it is compared with the hash that the server keeps
/// (`mysql_native_password`), or tried by a login.
///
/// ```yaml
/// - mysql_user:
///     name: crud
///     host: "%"
///     password: "{{ db_password }}"
///     priv: "crud.*:ALL"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct MysqlUser {
    /// The user.
    #[serde(alias = "user")]
    name: String,
    /// From where the user may log in.
    #[serde(default = "localhost")]
    host: String,
    /// Not supported: act on the user of each host by itself.
    #[serde(default)]
    host_all: bool,
    /// The password.
    #[serde(default)]
    password: Option<String>,
    /// The password is the hash that the server keeps.
    #[serde(default)]
    encrypted: bool,
    /// Rights: `db.table:RIGHT,RIGHT/db.table:…`, or a mapping of `db.table` to rights.
    #[serde(default, rename = "priv")]
    privileges: Option<Value>,
    /// Keep other rights.
    #[serde(default)]
    append_privs: bool,
    /// Take these rights away.
    #[serde(default)]
    subtract_privs: bool,
    /// Whether the user is there.
    #[serde(default)]
    state: State,
    /// Whether the password of a user that is there is set.
    #[serde(default)]
    update_password: Update,
    /// How the user is authenticated.
    #[serde(default)]
    plugin: Option<String>,
    /// The hash for that plug-in.
    #[serde(default)]
    plugin_hash_string: Option<String>,
    /// The text for that plug-in.
    #[serde(default)]
    plugin_auth_string: Option<String>,
    /// Not supported.
    #[serde(default)]
    salt: Option<String>,
    /// Not supported.
    #[serde(default)]
    resource_limits: Map<String, Value>,
    /// Not supported.
    #[serde(default)]
    tls_requires: Map<String, Value>,
    /// Not supported.
    #[serde(default)]
    attributes: Map<String, Value>,
    /// Not supported.
    #[serde(default)]
    locked: Option<bool>,
    /// Not supported.
    #[serde(default)]
    password_expire: Option<String>,
    /// Not supported.
    #[serde(default)]
    password_expire_interval: Option<i64>,
    /// Not supported.
    #[serde(default)]
    session_vars: Map<String, Value>,
    /// Accepted: names of columns are as they are written.
    #[serde(default)]
    #[expect(dead_code, reason = "they always are")]
    column_case_sensitive: Option<bool>,
    /// Write the changes to the server's binary log.
    #[serde(default = "yes")]
    sql_log_bin: bool,
    /// The server's address; absent: the local socket.
    #[serde(default)]
    login_host: Option<String>,
    /// Its port.
    #[serde(default)]
    login_port: Option<u16>,
    /// The user to log in as; absent: as the option file or the task's user says.
    #[serde(default)]
    login_user: Option<String>,
    /// Its password.
    #[serde(default)]
    login_password: Option<String>,
    /// The local socket.
    #[serde(default)]
    login_unix_socket: Option<String>,
    /// The client's option file on the host.
    #[serde(default)]
    config_file: Option<String>,
    /// Seconds until a connection is given up.
    #[serde(default = "super::mysql::connect_timeout")]
    connect_timeout: u32,
    /// Certificates that the server is known by, a file on the host.
    #[serde(default, alias = "ssl_ca")]
    ca_cert: Option<String>,
    /// The client's certificate, a file on the host.
    #[serde(default, alias = "ssl_cert")]
    client_cert: Option<String>,
    /// Its key, a file on the host.
    #[serde(default, alias = "ssl_key")]
    client_key: Option<String>,
    /// Check that the server's certificate names the host.
    #[serde(default)]
    check_hostname: Option<bool>,
    /// Try `root` without a password first.
    #[serde(default)]
    check_implicit_admin: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Update {
    #[default]
    Always,
    OnCreate,
    OnNewUsername,
}

fn localhost() -> String {
    "localhost".to_owned()
}

/// Rights by what they are about (`` `db`.* ``).
type Rights = BTreeMap<String, BTreeSet<String>>;

/// What the user has: `CREATE USER` as the server shows it, whether a login with the password works, and the rights.
struct Found {
    create: String,
    login: bool,
    rights: Rights,
}

impl HostModule for MysqlUser {
    type Drift = Vec<String>;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Vec<String>>> {
        self.validate()?;
        let account = format!("{}@{}", literal(&self.name), literal(&self.host));
        let sql = format!(
            "SELECT IF(COUNT(*) = 0, 'f', 'a') FROM mysql.user WHERE User = {} AND Host = {}",
            literal(&self.name),
            literal(&self.host)
        );
        let absent = self.state == State::Absent;
        let wanted = self.rights()?;
        // A login as the user settles what hashes can't: over the same way to the server.
        let tries = self.password.is_some() && !self.encrypted && !absent;
        let then = format!(
            "o=$(printf '%s\\n' \"$crud_sql\" | crud_mysql) || exit 1\n\
             if [ \"$o\" = f ]; then exit {}; fi\n{}             printf '%s\\n' {} | crud_mysql || exit 1\n\
             {}exit {ASK}",
            if absent { 0 } else { DRIFT },
            if absent { format!("exit {DRIFT}\n") } else { String::new() },
            crate::host::quote(&format!("SHOW CREATE USER {account}; SHOW GRANTS FOR {account};")),
            if tries {
                "if (u=$crud_name; crud_mypw=$crud_pw; implicit=; crud_mysql -e 'SELECT 1') >/dev/null 2>&1; then echo '@@login'; fi\n"
            } else {
                ""
            },
        );
        let mut script = my_login!(self).script(&sql, &then);
        if tries {
            script.secrets.push(("crud_pw".into(), self.password.clone().unwrap_or_default()));
            script.secrets.push(("crud_name".into(), self.name.clone()));
        }
        let task = Task {
            account,
            wanted,
            password: self.password.clone(),
            encrypted: self.encrypted,
            update: self.update_password == Update::Always,
            plugin: self.plugin.clone(),
            hash: self.plugin_hash_string.clone(),
            auth: self.plugin_auth_string.clone(),
            append: self.append_privs,
            subtract: self.subtract_privs,
            log: self.sql_log_bin,
        };
        let base = Outcome::ok().with("user", self.name.as_str());
        Ok(Check::ask(script, move |reply| {
            let statements = match reply.status {
                0 => Vec::new(),
                DRIFT if absent => task.with_log(vec![format!("DROP USER {}", task.account)]),
                DRIFT => task.create(),
                ASK => task.change(&Found::of(&reply.out())),
                _ => return Ok(Verdict::Failed(failed(reply))),
            };
            if statements.is_empty() {
                return Ok(Verdict::Converged(base.message("User unchanged").with("password_changed", false)));
            }
            let password = statements.iter().any(|statement| statement.contains("IDENTIFIED"));
            let outcome = Outcome { changed: true, ..base.with("password_changed", password) };
            Ok(Verdict::Drift { drift: statements, outcome })
        }))
    }

    fn apply(&self, statements: Vec<String>, _: &Context) -> anyhow::Result<Apply> {
        let word = match (self.state, statements.iter().any(|statement| statement.starts_with("CREATE"))) {
            (State::Absent, _) => "User deleted",
            (State::Present, true) => "User added",
            (State::Present, false) => "User changed",
        };
        let password = statements.iter().any(|statement| statement.contains("IDENTIFIED"));
        let outcome = Outcome::ok().with("user", self.name.as_str()).with("password_changed", password).message(word);
        Ok(my_login!(self).act(&statements, outcome))
    }
}

impl MysqlUser {
    fn validate(&self) -> anyhow::Result<()> {
        refuse(
            "mysql_user",
            &[
                ("host_all", self.host_all),
                ("salt", self.salt.is_some()),
                ("resource_limits", !self.resource_limits.is_empty()),
                ("tls_requires", !self.tls_requires.is_empty()),
                ("attributes", !self.attributes.is_empty()),
                ("locked", self.locked.is_some()),
                ("password_expire", self.password_expire.is_some()),
                ("password_expire_interval", self.password_expire_interval.is_some()),
                ("session_vars", !self.session_vars.is_empty()),
                ("update_password: on_new_username", self.update_password == Update::OnNewUsername),
            ],
            "set it by SQL",
        )?;
        anyhow::ensure!(
            self.plugin.is_none() || self.password.is_none(),
            "parameters are mutually exclusive: plugin|password"
        );
        anyhow::ensure!(
            !(self.append_privs && self.subtract_privs),
            "parameters are mutually exclusive: append_privs|subtract_privs"
        );
        Ok(())
    }

    fn rights(&self) -> anyhow::Result<Option<Rights>> {
        let mut rights = Rights::new();
        let mut add = |object: &str, list: &str| -> anyhow::Result<()> {
            let set = split_rights(list).into_iter().map(|right| normal(&right)).collect::<BTreeSet<_>>();
            for right in &set {
                let plain = |c: char| c.is_ascii_alphanumeric() || " _,()`".contains(c);
                anyhow::ensure!(right.chars().all(plain), "`{right}` is not a right");
            }
            rights.entry(object_name(object)?).or_default().extend(set);
            Ok(())
        };
        match &self.privileges {
            None => return Ok(None),
            Some(Value::Object(map)) => {
                for (object, list) in map {
                    add(object, list.as_str().unwrap_or_default())?;
                }
            }
            Some(Value::String(text)) => {
                for part in text.split('/').map(str::trim).filter(|part| !part.is_empty()) {
                    let (object, list) = part.rsplit_once(':').ok_or_else(|| {
                        anyhow::anyhow!("invalid privileges string: `{part}` has to be `db.table:RIGHT,RIGHT`")
                    })?;
                    add(object, list)?;
                }
            }
            Some(_) => anyhow::bail!("`priv` is a text or a mapping"),
        }
        Ok(Some(rights))
    }
}

/// `RIGHT, RIGHT (column, column)` at its outer commas.
fn split_rights(list: &str) -> Vec<String> {
    let (mut out, mut current, mut depth) = (Vec::new(), String::new(), 0_u32);
    for c in list.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    out.push(current);
    out.into_iter().map(|right| right.trim().to_owned()).filter(|right| !right.is_empty()).collect()
}

/// A right in the form in which the server shows it.
fn normal(right: &str) -> String {
    let (word, columns) = right.split_once('(').map_or((right, ""), |(word, columns)| (word, columns));
    let word = word.trim().to_ascii_uppercase();
    let word = match word.as_str() {
        "ALL" => "ALL PRIVILEGES",
        "GRANT" => "GRANT OPTION",
        other => other,
    };
    if columns.is_empty() {
        return word.to_owned();
    }
    let columns: Vec<String> = columns
        .trim_end_matches(')')
        .split(',')
        .map(|column| format!("`{}`", column.trim().trim_matches('`')))
        .collect();
    format!("{word} ({})", columns.join(", "))
}

/// `db.table` quoted: `*` stays.
fn object_name(object: &str) -> anyhow::Result<String> {
    let (kind, rest) = match object.trim().split_once(' ') {
        Some((kind @ ("FUNCTION" | "PROCEDURE"), rest)) => (format!("{kind} "), rest.trim()),
        _ => (String::new(), object.trim()),
    };
    let (db, table) = rest.split_once('.').ok_or_else(|| anyhow::anyhow!("`{object}` has to be `db.table`"))?;
    let part = |text: &str| if text == "*" { "*".to_owned() } else { identifier(text.trim_matches('`')) };
    Ok(format!("{kind}{}.{}", part(db), part(table)))
}

impl Found {
    fn of(out: &str) -> Self {
        let mut found = Self { create: String::new(), login: false, rights: Rights::new() };
        for line in out.lines() {
            if line == "@@login" {
                found.login = true;
            } else if line.starts_with("CREATE USER") {
                line.clone_into(&mut found.create);
            } else if let Some(rest) = line.strip_prefix("GRANT ")
                && let Some((rights, rest)) = rest.split_once(" ON ")
                && let Some((object, rest)) = rest.split_once(" TO ")
            {
                let mut set: BTreeSet<String> =
                    split_rights(rights).iter().map(|right| normal(right)).filter(|right| right != "USAGE").collect();
                if rest.contains("WITH GRANT OPTION") {
                    set.insert("GRANT OPTION".into());
                }
                if !set.is_empty() && !set.contains("PROXY") {
                    found.rights.entry(object.to_owned()).or_default().extend(set);
                }
            }
        }
        found
    }
}

/// The parameters that statements are made of.
#[expect(clippy::struct_excessive_bools, reason = "they are the parameters")]
struct Task {
    account: String,
    wanted: Option<Rights>,
    password: Option<String>,
    encrypted: bool,
    update: bool,
    plugin: Option<String>,
    hash: Option<String>,
    auth: Option<String>,
    append: bool,
    subtract: bool,
    log: bool,
}

impl Task {
    fn with_log(&self, mut statements: Vec<String>) -> Vec<String> {
        if !self.log && !statements.is_empty() {
            statements.insert(0, "SET SESSION sql_log_bin = 0".into());
        }
        statements
    }

    /// ` IDENTIFIED …`, where the task says how.
    fn identified(&self) -> String {
        if let Some(plugin) = &self.plugin {
            let how = match (&self.hash, &self.auth) {
                (Some(hash), _) => format!(" AS {}", literal(hash)),
                (None, Some(auth)) => format!(" BY {}", literal(auth)),
                (None, None) => String::new(),
            };
            return format!(" IDENTIFIED WITH {}{how}", identifier(plugin));
        }
        match &self.password {
            Some(hash) if self.encrypted => format!(" IDENTIFIED BY PASSWORD {}", literal(hash)),
            Some(password) => format!(" IDENTIFIED BY {}", literal(password)),
            None => String::new(),
        }
    }

    fn create(&self) -> Vec<String> {
        let mut statements = vec![format!("CREATE USER {}{}", self.account, self.identified())];
        if !self.subtract {
            for (object, rights) in self.wanted.iter().flatten() {
                statements.extend(self.grant(object, rights));
            }
        }
        self.with_log(statements)
    }

    fn grant(&self, object: &str, rights: &BTreeSet<String>) -> Option<String> {
        let plain: Vec<&str> = rights.iter().map(String::as_str).filter(|right| *right != "GRANT OPTION").collect();
        let option = if rights.contains("GRANT OPTION") { " WITH GRANT OPTION" } else { "" };
        if plain.is_empty() && option.is_empty() {
            return None;
        }
        let plain = if plain.is_empty() { "USAGE".to_owned() } else { plain.join(", ") };
        Some(format!("GRANT {plain} ON {object} TO {}{option}", self.account))
    }

    fn change(&self, found: &Found) -> Vec<String> {
        let mut statements = Vec::new();
        if self.update && !self.has_password(found) {
            statements.push(format!("ALTER USER {}{}", self.account, self.identified()));
        }
        for (object, wanted) in self.wanted.iter().flatten() {
            let now = found.rights.get(object).cloned().unwrap_or_default();
            if self.subtract {
                let gone: Vec<&str> = wanted.intersection(&now).map(String::as_str).collect();
                if !gone.is_empty() {
                    statements.push(format!("REVOKE {} ON {object} FROM {}", gone.join(", "), self.account));
                }
                continue;
            }
            if covers(&now, wanted) && (self.append || covers(wanted, &now)) {
                continue;
            }
            let extra: Vec<&str> = now.difference(wanted).map(String::as_str).collect();
            if !self.append && !extra.is_empty() {
                statements.push(format!("REVOKE {} ON {object} FROM {}", extra.join(", "), self.account));
            }
            statements.extend(self.grant(object, wanted));
        }
        if let Some(wanted) = self.wanted.as_ref().filter(|_| !self.append && !self.subtract) {
            for (object, rights) in found.rights.iter().filter(|(object, _)| !wanted.contains_key(*object)) {
                let all: Vec<&str> = rights.iter().map(String::as_str).collect();
                statements.push(format!("REVOKE {} ON {object} FROM {}", all.join(", "), self.account));
            }
        }
        self.with_log(statements)
    }

    fn has_password(&self, found: &Found) -> bool {
        let shows = |text: &str| found.create.contains(text);
        if let Some(plugin) = &self.plugin {
            let named = shows(&format!("'{plugin}'")) || shows(&format!(" {plugin}")) || shows(&format!("`{plugin}`"));
            return named && self.hash.as_ref().or(self.auth.as_ref()).is_none_or(|text| shows(text));
        }
        match &self.password {
            None => true,
            Some(hash) if self.encrypted => shows(hash),
            Some(password) => shows(&native(password)) || found.login,
        }
    }
}

/// Whether rights include others: ALL is all of them but the right to grant.
fn covers(now: &BTreeSet<String>, wanted: &BTreeSet<String>) -> bool {
    // MySQL 8 shows ALL on everything as the list of all rights.
    let all = now.contains("ALL PRIVILEGES") || (now.len() > 25 && now.contains("SUPER"));
    wanted.iter().all(|right| {
        now.contains(right) || (all && (right == "ALL PRIVILEGES" || (wanted.len() > 25 && right != "GRANT OPTION")))
    })
}

/// The hash of `mysql_native_password`.
fn native(password: &str) -> String {
    let once = sha1::Sha1::digest(password);
    format!("*{}", hex(&sha1::Sha1::digest(once)).to_ascii_uppercase())
}
