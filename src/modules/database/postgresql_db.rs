//! `postgresql_db`: databases of a PostgreSQL server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::postgresql::{SslMode, answers, failed, identifier, literal, login_of, shown};
use crate::host::Script;
use crate::host::script::quote;
use crate::modules::contract::{Applied, DRIFT};
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Creates, changes, renames, dumps, restores and removes databases of a PostgreSQL server.
///
/// `psql` of the host does the work; over the local socket the task has to run as a role of the server.
/// Encoding and locale of a database can't change: another value is an error.
///
/// ```yaml
/// - postgresql_db:
///     name: crud
///     owner: crud
///     encoding: UTF-8
///   become_user: postgres
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresqlDb {
    /// The database.
    #[serde(alias = "db")]
    name: String,
    /// What it should be; `dump` and `restore` act each time.
    #[serde(default)]
    state: State,
    /// Its owner.
    #[serde(default)]
    owner: Option<String>,
    /// The database that it is made from.
    #[serde(default)]
    template: Option<String>,
    /// Its encoding.
    #[serde(default)]
    encoding: Option<String>,
    /// The order of its texts.
    #[serde(default)]
    lc_collate: Option<String>,
    /// Its classes of characters.
    #[serde(default)]
    lc_ctype: Option<String>,
    /// Its locale of ICU.
    #[serde(default)]
    icu_locale: Option<String>,
    /// Who provides its locale: `icu` or `libc`.
    #[serde(default)]
    locale_provider: Option<String>,
    /// Connections at once; -1: any number.
    #[serde(default)]
    conn_limit: Option<i64>,
    /// Where its files are.
    #[serde(default)]
    tablespace: Option<String>,
    /// Its comment; empty: none.
    #[serde(default)]
    comment: Option<String>,
    /// Close connections to it before it is removed.
    #[serde(default)]
    force: bool,
    /// The file of a dump on the host (`.sql`, `.tar`, `.pgc`, `.dir`, also with `.gz`, `.bz2`, `.xz`), or the new name.
    #[serde(default)]
    target: Option<String>,
    /// Further arguments of pg_dump or psql and pg_restore.
    #[serde(default)]
    target_opts: Option<String>,
    /// Further arguments of pg_dump.
    #[serde(default)]
    dump_extra_args: Option<String>,
    /// The database that is connected to in the meantime.
    #[serde(default = "postgres")]
    maintenance_db: String,
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
    Dump,
    #[default]
    Present,
    Rename,
    Restore,
}

fn postgres() -> String {
    "postgres".to_owned()
}

/// What has to be done.
pub(super) enum Drift {
    /// These statements.
    Sql(Vec<String>),
    /// A dump or its way back, by a script of its own.
    File,
}

impl HostModule for PostgresqlDb {
    type Drift = Drift;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Drift>> {
        refuse("postgresql_db", &[("connect_params", !self.connect_params.is_empty())], "use the login's parameters")?;
        anyhow::ensure!(
            self.target.is_some() || !matches!(self.state, State::Dump | State::Restore | State::Rename),
            "state is {:?} but all of the following are missing: target",
            self.state
        );
        let base = Outcome::ok().with("db", self.name.as_str());
        if matches!(self.state, State::Dump | State::Restore) {
            return Ok(Check::Known(Verdict::Drift { drift: Drift::File, outcome: Outcome { changed: true, ..base } }));
        }
        let wanted = Wanted::of(self);
        let state = self.state;
        Ok(Check::ask(login_of!(self).ask(&self.maintenance_db, &self.question()), move |reply| {
            if reply.status != 0 && reply.status != DRIFT {
                return Ok(Verdict::Failed(failed(reply)));
            }
            let rows = answers(reply)?;
            let row = |name: &str| rows.iter().find(|row| row["name"] == name).and_then(Value::as_object);
            let found = row(&wanted.name);
            let statements = match state {
                State::Present => match wanted.present(found) {
                    Ok(statements) => statements,
                    Err(reason) => return Ok(Verdict::failed(reason)),
                },
                State::Rename => match wanted.rename(found.is_some(), row(&wanted.target).is_some()) {
                    Ok(statements) => statements,
                    Err(reason) => return Ok(Verdict::failed(reason)),
                },
                _ => wanted.absent(found),
            };
            let outcome = base.with("executed_commands", shown(&statements, None));
            if reply.status == 0 || statements.is_empty() {
                return Ok(Verdict::Converged(outcome));
            }
            Ok(Verdict::Drift { drift: Drift::Sql(statements), outcome: Outcome { changed: true, ..outcome } })
        }))
    }

    fn apply(&self, drift: Drift, _: &Context) -> anyhow::Result<Apply> {
        let outcome = Outcome::ok().with("db", self.name.as_str());
        match drift {
            Drift::Sql(statements) => {
                let outcome = outcome.with("executed_commands", shown(&statements, None));
                Ok(login_of!(self).act(&self.maintenance_db, &statements, outcome))
            }
            Drift::File => self.file(outcome),
        }
    }
}

impl PostgresqlDb {
    /// The first answer says whether all is as wanted, the others are the database and the target of a rename.
    fn question(&self) -> String {
        let name = literal(&self.name);
        let mut same = vec!["d.datname IS NOT NULL".to_owned()];
        if self.state == State::Present {
            let mut add = |column: &str, value: Option<String>| {
                if let Some(value) = value {
                    same.push(format!("{column} = {value}"));
                }
            };
            add("r.rolname", self.owner.as_deref().map(literal));
            add("d.datconnlimit", self.conn_limit.map(|limit| limit.to_string()));
            add("t.spcname", self.tablespace.as_deref().map(literal));
            add("coalesce(shobj_description(d.oid, 'pg_database'), '')", self.comment.as_deref().map(literal));
            add("d.datcollate", self.lc_collate.as_deref().map(literal));
            add("d.datctype", self.lc_ctype.as_deref().map(literal));
            add(
                "pg_encoding_to_char(d.encoding)",
                self.encoding.as_deref().map(|e| format!("pg_encoding_to_char(pg_char_to_encoding({}))", literal(e))),
            );
        }
        let from = "pg_database d JOIN pg_roles r ON r.oid = d.datdba JOIN pg_tablespace t ON t.oid = d.dattablespace";
        let test = match self.state {
            State::Absent => format!("NOT EXISTS (SELECT FROM pg_database WHERE datname = {name})"),
            State::Rename => format!(
                "NOT EXISTS (SELECT FROM pg_database WHERE datname = {name}) AND EXISTS (SELECT FROM pg_database WHERE datname = {})",
                literal(self.target.as_deref().unwrap_or_default())
            ),
            _ => format!("EXISTS (SELECT FROM {from} WHERE d.datname = {name} AND {})", same.join(" AND ")),
        };
        let row = |name: &str, also: &str| {
            format!(
                "SELECT json_build_object('name', d.datname, 'owner', r.rolname, 'encoding', pg_encoding_to_char(d.encoding), 'lc_collate', d.datcollate, \
                 'lc_ctype', d.datctype, 'conn_limit', d.datconnlimit, 'tablespace', t.spcname, \
                 'comment', coalesce(shobj_description(d.oid, 'pg_database'), ''), \
                 'wanted_encoding', pg_encoding_to_char(pg_char_to_encoding({also}))) FROM {from} WHERE d.datname = {name};\n"
            )
        };
        let encoding = literal(self.encoding.as_deref().unwrap_or("UTF8"));
        let mut sql = format!("SELECT {test};\n{}", row(&name, &encoding));
        if self.state == State::Rename {
            sql.push_str(&row(&literal(self.target.as_deref().unwrap_or_default()), &encoding));
        }
        sql
    }

    /// pg_dump into the file, or psql and pg_restore out of it.
    fn file(&self, outcome: Outcome) -> anyhow::Result<Apply> {
        let target = self.target.clone().unwrap_or_default();
        let (plain, pack) = match target.rsplit_once('.') {
            Some((stem, "gz")) => (stem, Some("gzip")),
            Some((stem, "bz2")) => (stem, Some("bzip2")),
            Some((stem, "xz")) => (stem, Some("xz")),
            _ => (target.as_str(), None),
        };
        let kind = plain.rsplit_once('.').map_or("", |(_, kind)| kind);
        let format = match kind {
            "tar" => Some("t"),
            "pgc" => Some("c"),
            "dir" => Some("d"),
            _ => None,
        };
        anyhow::ensure!(format != Some("d") || pack.is_none(), "a dump in a directory can't be packed");
        let words = |text: &Option<String>| -> String {
            let words = text.as_deref().unwrap_or_default().split_whitespace();
            words.flat_map(|word| [" ".to_owned(), quote(word)]).collect()
        };
        let (name, file) = (quote(&self.name), crate::host::script::quote_path(&target));
        let text = if self.state == State::Dump {
            let option = format.map(|f| format!(" -F{f}")).unwrap_or_default();
            let options = format!("{option}{}{}", words(&self.target_opts), words(&self.dump_extra_args));
            match (format, pack) {
                (Some("d"), _) => format!("pg_dump -w{options} -f {file} -d {name}"),
                (_, None) => format!("pg_dump -w{options} -d {name} >{file}.crud && mv -f {file}.crud {file}"),
                (_, Some(pack)) => format!(
                    "s=$( {{ {{ pg_dump -w{options} -d {name} || echo 1 >&3; }} | {pack} >{file}.crud; }} 3>&1 ); \
                     [ -z \"$s\" ] && mv -f {file}.crud {file}"
                ),
            }
        } else {
            let tool = match format {
                Some(f) => format!("pg_restore -w -F{f}{} -d {name}", words(&self.target_opts)),
                None => format!("psql -Xqw -v ON_ERROR_STOP=1{} -d {name}", words(&self.target_opts)),
            };
            match (format, pack) {
                (Some("d"), _) => format!("{tool} {file}"),
                (_, None) => format!("{tool} <{file} >/dev/null"),
                (_, Some(pack)) => format!("{pack} -dc <{file} | {tool} >/dev/null"),
            }
        };
        let mut script = login_of!(self).ask(&self.maintenance_db, "SELECT 'f'");
        // The login's variables are those of `ask`; what it asks is not needed here.
        let exports: String = script.text.split_inclusive('\n').filter(|line| line.starts_with("export ")).collect();
        let password = "[ -z \"${crud_pgpw+x}\" ] || export PGPASSWORD=\"$crud_pgpw\"\n";
        script = Script { text: format!("{exports}{password}{text}"), ..script };
        Ok(Apply::new(script, move |reply| {
            Ok(Applied::Done(if reply.status == 0 {
                Outcome { changed: true, ..outcome }.with("target", target)
            } else {
                failed(reply)
            }))
        }))
    }
}

/// The parameters that statements are made of.
struct Wanted {
    name: String,
    target: String,
    force: bool,
    owner: Option<String>,
    conn_limit: Option<i64>,
    tablespace: Option<String>,
    comment: Option<String>,
    encoding: Option<String>,
    /// Those that only a new database takes, with their current values' names.
    fixed: Vec<(&'static str, &'static str, Option<String>)>,
    template: Option<String>,
}

impl Wanted {
    fn of(task: &PostgresqlDb) -> Self {
        Self {
            name: task.name.clone(),
            target: task.target.clone().unwrap_or_default(),
            force: task.force,
            owner: task.owner.clone(),
            conn_limit: task.conn_limit,
            tablespace: task.tablespace.clone(),
            comment: task.comment.clone(),
            encoding: task.encoding.clone(),
            fixed: vec![
                ("LC_COLLATE", "lc_collate", task.lc_collate.clone()),
                ("LC_CTYPE", "lc_ctype", task.lc_ctype.clone()),
                ("ICU_LOCALE", "", task.icu_locale.clone()),
                ("LOCALE_PROVIDER", "", task.locale_provider.clone()),
            ],
            template: task.template.clone(),
        }
    }

    fn present(&self, found: Option<&Map<String, Value>>) -> Result<Vec<String>, String> {
        let name = identifier(&self.name);
        let mut statements = Vec::new();
        let Some(found) = found else {
            let mut create = format!("CREATE DATABASE {name}");
            let mut add = |word: &str, value: Option<String>| {
                if let Some(value) = value {
                    create.push_str(&format!(" {word} {value}"));
                }
            };
            add("OWNER", self.owner.as_deref().map(identifier));
            // Another encoding or locale than that of the default template needs the empty one.
            let own = self.encoding.is_some() || self.fixed.iter().any(|(_, _, value)| value.is_some());
            let template = self.template.clone().or_else(|| own.then(|| "template0".to_owned()));
            add("TEMPLATE", template.as_deref().map(identifier));
            add("ENCODING", self.encoding.as_deref().map(literal));
            for (word, _, value) in &self.fixed {
                add(word, value.as_deref().map(literal));
            }
            add("TABLESPACE", self.tablespace.as_deref().map(identifier));
            add("CONNECTION LIMIT", self.conn_limit.map(|limit| limit.to_string()));
            statements.push(create);
            if let Some(comment) = self.comment.as_deref().filter(|comment| !comment.is_empty()) {
                statements.push(format!("COMMENT ON DATABASE {name} IS {}", literal(comment)));
            }
            return Ok(statements);
        };
        let is = |key: &str, value: &Value| found.get(key) == Some(value);
        if self.encoding.is_some() && found.get("encoding") != found.get("wanted_encoding") {
            let current = found.get("encoding").and_then(Value::as_str).unwrap_or_default();
            return Err(format!("Changing database encoding is not supported. Current encoding: {current}"));
        }
        for (word, key, value) in self.fixed.iter().filter(|(_, key, _)| !key.is_empty()) {
            if let Some(value) = value
                && !is(key, &json!(value))
            {
                let current = found.get(*key).and_then(Value::as_str).unwrap_or_default();
                return Err(format!("Changing {word} is not supported. Current {word}: {current}"));
            }
        }
        if let Some(owner) = self.owner.as_ref().filter(|owner| !is("owner", &json!(owner))) {
            statements.push(format!("ALTER DATABASE {name} OWNER TO {}", identifier(owner)));
        }
        if let Some(limit) = self.conn_limit.filter(|limit| !is("conn_limit", &json!(limit))) {
            statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}"));
        }
        if let Some(space) = self.tablespace.as_ref().filter(|space| !is("tablespace", &json!(space))) {
            statements.push(format!("ALTER DATABASE {name} SET TABLESPACE {}", identifier(space)));
        }
        if let Some(comment) = self.comment.as_ref().filter(|comment| !is("comment", &json!(comment))) {
            let text = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
            statements.push(format!("COMMENT ON DATABASE {name} IS {text}"));
        }
        Ok(statements)
    }

    fn absent(&self, found: Option<&Map<String, Value>>) -> Vec<String> {
        if found.is_none() {
            return Vec::new();
        }
        let mut statements = Vec::new();
        if self.force {
            statements.push(format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {} AND pid <> pg_backend_pid()",
                literal(&self.name)
            ));
        }
        statements.push(format!("DROP DATABASE {}", identifier(&self.name)));
        statements
    }

    fn rename(&self, source: bool, target: bool) -> Result<Vec<String>, String> {
        match (source, target) {
            (true, true) => {
                Err(format!("Both the source and the target databases exist: {} and {}", self.name, self.target))
            }
            (false, false) => Err(format!("The source database {} does not exist", self.name)),
            (false, true) => Ok(Vec::new()),
            (true, false) => {
                Ok(vec![format!("ALTER DATABASE {} RENAME TO {}", identifier(&self.name), identifier(&self.target))])
            }
        }
    }
}
