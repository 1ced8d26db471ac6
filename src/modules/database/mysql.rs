//! MySQL and MariaDB through their client on the host.

use crate::host::script::quote;
use crate::host::{Reply, Script, ShellFunction};
use crate::modules::contract::Applied;
use crate::modules::{Apply, Outcome};

/// How to log in; what is absent is left to the client's option files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) socket: Option<String>,
    pub(super) config: Option<String>,
    pub(super) timeout: u32,
    pub(super) ca: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) check_hostname: Option<bool>,
    pub(super) implicit_admin: bool,
}

/// The default of `connect_timeout`.
pub(super) fn connect_timeout() -> u32 {
    30
}

/// `crud_mysql ARG…`: the client without frills; `crud_my_tool dump ARG…`: another tool with the same login.
static MYSQL: ShellFunction = ShellFunction {
    name: "crud_mysql",
    text: r#"crud_my_run() { if [ -n "${crud_mypw+x}" ]; then MYSQL_PWD=$crud_mypw "$@"; else "$@"; fi; }
crud_my_tool() {
my_t=$1; shift; my_b=$(command -v "mariadb$my_t" || command -v "mysql$my_t") || { echo "the host has no mysql$my_t: the package \`default-mysql-client\` or \`mariadb-client\` has it" >&2; return 1; }
if [ -n "$implicit" ] && LC_ALL=C "$my_b" ${sock:+-S "$sock"} -u root -e 'SELECT 1' >/dev/null 2>&1; then LC_ALL=C "$my_b" ${sock:+-S "$sock"} -u root "$@"; return; fi
crud_my_run env LC_ALL=C "$my_b" ${cfg:+--defaults-extra-file="$cfg"} ${h:+-h "$h"} ${p:+-P "$p"} ${u:+-u "$u"} ${sock:+-S "$sock"} ${ca:+--ssl-ca="$ca"} ${crt:+--ssl-cert="$crt"} ${ckey:+--ssl-key="$ckey"} $vrf "$@"; }
crud_mysql() { crud_my_tool '' --connect-timeout="${tmo:-30}" -N -B -r "$@"; }"#,
    needs: &[],
};

impl Login {
    /// A script with this login's variables; its SQL is in `$crud_sql`.
    pub(super) fn script(&self, sql: &str, then: &str) -> Script {
        let port = self.port.filter(|port| *port != 3306).map(|port| port.to_string());
        let timeout = (self.timeout != connect_timeout()).then(|| self.timeout.to_string());
        let verify = self.check_hostname.map(|on| if on { "--ssl-verify-server-cert" } else { "" });
        let mut text = String::new();
        for (name, value) in [
            // By its name `localhost` is the local socket, for the client too.
            ("h", self.host.as_deref().filter(|host| !host.is_empty())),
            ("p", port.as_deref()),
            ("u", self.user.as_deref()),
            ("sock", self.socket.as_deref()),
            ("cfg", self.config.as_deref()),
            ("tmo", timeout.as_deref()),
            ("ca", self.ca.as_deref()),
            ("crt", self.cert.as_deref()),
            ("ckey", self.key.as_deref()),
            ("vrf", verify.filter(|word| !word.is_empty())),
            ("implicit", self.implicit_admin.then_some("1")),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("{name}={}\n", quote(value)));
            }
        }
        text.push_str(then);
        let mut script = Script::new(text).function(&MYSQL);
        script.secrets.push(("crud_sql".into(), sql.to_owned()));
        if let Some(password) = &self.password {
            script.secrets.push(("crud_mypw".into(), password.clone()));
        }
        script
    }

    /// A question whose answer decides: `t` is converged, anything else a drift.
    pub(super) fn ask(&self, sql: &str) -> Script {
        self.script(
            sql,
            "o=$(printf '%s\\n' \"$crud_sql\" | crud_mysql) || exit 1\nprintf '%s\\n' \"$o\"\ncase $o in t*) exit 0;; esac\nexit 10",
        )
    }

    /// SQL that changes something.
    pub(super) fn act(&self, statements: &[String], outcome: Outcome) -> Apply {
        let sql = format!("{};\n", statements.join(";\n"));
        Apply::new(self.script(&sql, "printf '%s\\n' \"$crud_sql\" | crud_mysql"), move |reply| {
            Ok(Applied::Done(if reply.status == 0 { Outcome { changed: true, ..outcome } } else { failed(reply) }))
        })
    }
}

/// The failure that a reply is.
pub(super) fn failed(reply: &Reply) -> Outcome {
    let all = reply.err();
    // The client repeats the statement before its error: it may hold a password.
    let errors: Vec<&str> = all.lines().filter(|line| line.starts_with("ERROR")).collect();
    let reason = if errors.is_empty() { all.trim().to_owned() } else { errors.join("\n") };
    Outcome::failed(if reason.is_empty() { format!("the client ended with status {}", reply.status) } else { reason })
}

/// A name in SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\0', "").replace('`', "``"))
}

/// A text in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\\', "\\\\").replace('\'', "''"))
}

/// The [`Login`] of a module's parameters.
macro_rules! my_login {
    ($self:ident) => {
        $crate::modules::database::mysql::Login {
            host: $self.login_host.clone(),
            port: $self.login_port,
            user: $self.login_user.clone(),
            password: $self.login_password.clone(),
            socket: $self.login_unix_socket.clone(),
            config: $self.config_file.clone(),
            timeout: $self.connect_timeout,
            ca: $self.ca_cert.clone(),
            cert: $self.client_cert.clone(),
            key: $self.client_key.clone(),
            check_hostname: $self.check_hostname,
            implicit_admin: $self.check_implicit_admin,
        }
    };
}
pub(super) use my_login;
