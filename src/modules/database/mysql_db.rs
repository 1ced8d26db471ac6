//! `mysql_db`: databases of a MySQL or MariaDB server.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mysql::{failed, identifier, literal, my_login};
use crate::host::script::{quote, quote_path};
use crate::modules::contract::{Applied, DRIFT};
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Creates, removes, dumps and imports databases of a MySQL or MariaDB server.
///
/// The client of the host does the work. Encoding and collation are those of a new database; an existing one keeps its own.
///
/// ```yaml
/// - mysql_db:
///     name: crud
///     encoding: utf8mb4
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct MysqlDb {
    /// The databases; `all` for a dump or an import of all.
    #[serde(alias = "db")]
    name: Vec<String>,
    /// What they should be; `dump` and `import` act each time.
    #[serde(default)]
    state: State,
    /// The encoding of a new database.
    #[serde(default)]
    encoding: Option<String>,
    /// The collation of a new database.
    #[serde(default)]
    collation: Option<String>,
    /// The file of a dump on the host, also with `.gz`, `.bz2`, `.xz`, `.zst`.
    #[serde(default)]
    target: Option<String>,
    /// Dump in one transaction.
    #[serde(default)]
    single_transaction: bool,
    /// Dump row by row.
    #[serde(default = "yes")]
    quick: bool,
    /// Tables (`db.table`) that a dump leaves out.
    #[serde(default)]
    ignore_tables: Vec<String>,
    /// Dump binary columns in hexadecimal.
    #[serde(default)]
    hex_blob: bool,
    /// Go on after errors.
    #[serde(default)]
    force: bool,
    /// Write the position of the replication into a dump (1, or 2 as a comment).
    #[serde(default)]
    master_data: u8,
    /// Dump without locking tables.
    #[serde(default)]
    skip_lock_tables: bool,
    /// Further arguments of the dump.
    #[serde(default)]
    dump_extra_args: Option<String>,
    /// Accepted: packing runs in a pipe whose failure is noticed.
    #[serde(default)]
    #[expect(dead_code, reason = "it is always so")]
    use_shell: bool,
    /// Accepted: a failing dump in a pipe is always noticed.
    #[serde(default)]
    #[expect(dead_code, reason = "it is always so")]
    pipefail: bool,
    /// Accepted: passwords never stand in an argument list.
    #[serde(default)]
    #[expect(dead_code, reason = "they never do")]
    unsafe_login_password: bool,
    /// Not supported: only `config_file` is added to the client's own option files.
    #[serde(default)]
    restrict_config_file: bool,
    /// Not supported.
    #[serde(default)]
    config_overrides_defaults: bool,
    /// The directory in which an import runs.
    #[serde(default)]
    chdir: Option<String>,
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
    Dump,
    Import,
    #[default]
    Present,
}

impl HostModule for MysqlDb {
    /// The databases that have to be made or removed.
    type Drift = Vec<String>;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Vec<String>>> {
        refuse(
            "mysql_db",
            &[
                ("restrict_config_file", self.restrict_config_file),
                ("config_overrides_defaults", self.config_overrides_defaults),
            ],
            "the client's own order of option files is kept",
        )?;
        let files = matches!(self.state, State::Dump | State::Import);
        anyhow::ensure!(!files || self.target.is_some(), "with state={:?} target is required", self.state);
        let all = self.name.iter().any(|name| name == "all");
        anyhow::ensure!(
            !all || (files && self.name.len() == 1),
            "name=all is not supported when state is present or absent"
        );
        let base = Outcome::ok().with("db", self.name.join(" ")).with("db_list", self.name.clone());
        if files {
            return Ok(Check::Known(Verdict::Drift { drift: Vec::new(), outcome: Outcome { changed: true, ..base } }));
        }
        let names: Vec<String> = self.name.iter().map(|name| literal(name)).collect();
        let from = format!("FROM information_schema.schemata WHERE schema_name IN ({})", names.join(", "));
        let wanted = if self.state == State::Present { self.name.len() } else { 0 };
        let sql = format!("SELECT IF(COUNT(*) = {wanted}, 't', 'f') {from}; SELECT schema_name {from};");
        let (state, all) = (self.state, self.name.clone());
        Ok(Check::ask(my_login!(self).ask(&sql), move |reply| {
            if reply.status != 0 && reply.status != DRIFT {
                return Ok(Verdict::Failed(failed(reply)));
            }
            let out = reply.out();
            let found: Vec<&str> = out.lines().skip(1).collect();
            let drift: Vec<String> =
                all.into_iter().filter(|name| found.contains(&name.as_str()) != (state == State::Present)).collect();
            if reply.status == 0 || drift.is_empty() {
                return Ok(Verdict::Converged(base));
            }
            Ok(Verdict::Drift { drift, outcome: Outcome { changed: true, ..base } })
        }))
    }

    fn apply(&self, drift: Vec<String>, _: &Context) -> anyhow::Result<Apply> {
        let outcome = Outcome::ok().with("db", self.name.join(" ")).with("db_list", self.name.clone());
        if matches!(self.state, State::Dump | State::Import) {
            return Ok(self.file(outcome));
        }
        let mut statements: Vec<String> = Vec::new();
        if !self.sql_log_bin {
            statements.push("SET SESSION sql_log_bin = 0".into());
        }
        for name in drift {
            let name = identifier(&name);
            if self.state == State::Absent {
                statements.push(format!("DROP DATABASE {name}"));
                continue;
            }
            let mut create = format!("CREATE DATABASE {name}");
            if let Some(encoding) = &self.encoding {
                create.push_str(&format!(" CHARACTER SET {}", literal(encoding)));
            }
            if let Some(collation) = &self.collation {
                create.push_str(&format!(" COLLATE {}", literal(collation)));
            }
            statements.push(create);
        }
        let outcome = outcome.with("executed_commands", statements.clone());
        Ok(my_login!(self).act(&statements, outcome))
    }
}

impl MysqlDb {
    fn file(&self, outcome: Outcome) -> Apply {
        let target = self.target.clone().unwrap_or_default();
        let pack = match target.rsplit_once('.') {
            Some((_, "gz")) => Some("gzip"),
            Some((_, "bz2")) => Some("bzip2"),
            Some((_, "xz")) => Some("xz"),
            Some((_, "zst")) => Some("zstd"),
            _ => None,
        };
        let file = quote_path(&target);
        let all = self.name.iter().any(|name| name == "all");
        let mut options = String::new();
        let mut add = |wanted: bool, option: &str| {
            if wanted {
                options.push_str(&format!(" {option}"));
            }
        };
        let text = if self.state == State::Dump {
            add(self.force, "--force");
            add(self.single_transaction, "--single-transaction=true");
            add(self.quick, "--quick");
            add(self.hex_blob, "--hex-blob");
            add(self.skip_lock_tables, "--skip-lock-tables");
            add(self.master_data > 0, &format!("--master-data={}", self.master_data));
            for table in &self.ignore_tables {
                add(true, &quote(&format!("--ignore-table={table}")));
            }
            for word in self.dump_extra_args.as_deref().unwrap_or_default().split_whitespace() {
                add(true, &quote(word));
            }
            let names: Vec<String> = self.name.iter().map(|name| quote(name)).collect();
            let what = match (all, names.as_slice()) {
                (true, _) => "--all-databases".to_owned(),
                (false, [one]) => format!("-- {one}"),
                (false, many) => format!("--databases -- {}", many.join(" ")),
            };
            let dump = format!("crud_my_tool dump{options} {what}");
            match pack {
                None => format!("{dump} >{file}.crud && mv -f {file}.crud {file}"),
                Some(pack) => format!(
                    "s=$( {{ {{ {dump} || echo 1 >&3; }} | {pack} >{file}.crud; }} 3>&1 ); [ -z \"$s\" ] && mv -f {file}.crud {file}"
                ),
            }
        } else {
            add(self.force, "--force");
            let name = if all { String::new() } else { quote(self.name.first().map_or("", String::as_str)) };
            let change =
                self.chdir.as_ref().map(|dir| format!("cd {} || exit 1\n", quote_path(dir))).unwrap_or_default();
            match pack {
                None => format!("{change}crud_mysql{options} {name} <{file} >/dev/null"),
                Some(pack) => format!("{change}{pack} -dc <{file} | crud_mysql{options} {name} >/dev/null"),
            }
        };
        Apply::new(my_login!(self).script("", &text), move |reply| {
            Ok(Applied::Done(if reply.status == 0 { Outcome { changed: true, ..outcome } } else { failed(reply) }))
        })
    }
}
