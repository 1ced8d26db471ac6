//! `user`: accounts.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::user_shell::USER;
use crate::modules::Context;
use crate::modules::guarded::{Call, Guarded, flag, refuse, variables, yes};

/// Creates, changes and removes accounts.
///
/// Passwords are hashes, as in `/etc/shadow` (the filter `password_hash` makes them); they never stand in an argument list.
/// shadow's tools (`useradd`, `usermod`, `chage`) do the work.
///
/// ```yaml
/// - user:
///     name: deploy
///     groups: [docker]
///     append: true
///     shell: /bin/bash
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct User {
    /// The account.
    #[serde(alias = "user")]
    name: String,
    /// Its number.
    #[serde(default)]
    uid: Option<u32>,
    /// The number may belong to another account too; needs `uid`.
    #[serde(default)]
    non_unique: bool,
    /// Its full name.
    #[serde(default)]
    comment: Option<String>,
    /// Its primary group.
    #[serde(default)]
    group: Option<String>,
    /// Its other groups; an empty list takes it out of all.
    #[serde(default)]
    groups: Option<Vec<String>>,
    /// Keep other groups that it is in.
    #[serde(default)]
    append: bool,
    /// Its shell.
    #[serde(default)]
    shell: Option<String>,
    /// Its home directory.
    #[serde(default)]
    home: Option<String>,
    /// What its home directory is made from.
    #[serde(default)]
    skeleton: Option<String>,
    /// The hash of its password.
    #[serde(default)]
    password: Option<String>,
    /// Whether the password of an existing account is set.
    #[serde(default)]
    update_password: Update,
    /// Lock (or unlock) the password.
    #[serde(default)]
    password_lock: Option<bool>,
    /// Days before which the password can't be changed.
    #[serde(default)]
    password_expire_min: Option<i32>,
    /// Days after which the password has to be changed.
    #[serde(default)]
    password_expire_max: Option<i32>,
    /// Days of warning before that.
    #[serde(default)]
    password_expire_warn: Option<i32>,
    /// Days after that until the account is disabled.
    #[serde(default)]
    password_expire_account_disable: Option<i32>,
    /// When the account expires, in seconds since 1970; a negative number: never.
    #[serde(default)]
    expires: Option<f64>,
    /// Whether it exists.
    #[serde(default)]
    state: State,
    /// Make the home directory where it is missing.
    #[serde(default = "yes", alias = "createhome")]
    create_home: bool,
    /// Move the home directory's content to `home`.
    #[serde(default)]
    move_home: bool,
    /// A system account (when it is created).
    #[serde(default)]
    system: bool,
    /// Remove it even where it is logged in, with files that others own.
    #[serde(default)]
    force: bool,
    /// Remove its home directory and mail too.
    #[serde(default)]
    remove: bool,
    /// Its SELinux user.
    #[serde(default)]
    seuser: Option<String>,
    /// Make an SSH key where it has none.
    #[serde(default)]
    generate_ssh_key: bool,
    /// Bits of that key; ssh-keygen's default where it is 0.
    #[serde(default)]
    ssh_key_bits: u32,
    /// Its kind.
    #[serde(default = "rsa")]
    ssh_key_type: String,
    /// Its file, in the home directory where it is relative; `.ssh/id_TYPE`.
    #[serde(default)]
    ssh_key_file: Option<String>,
    /// Its comment; `ansible-generated on HOST`.
    #[serde(default)]
    ssh_key_comment: Option<String>,
    /// Its passphrase.
    #[serde(default)]
    ssh_key_passphrase: Option<String>,
    /// The umask with which the home directory is made.
    #[serde(default)]
    umask: Option<String>,
    /// The smallest number to choose.
    #[serde(default)]
    uid_min: Option<u32>,
    /// The largest number to choose.
    #[serde(default)]
    uid_max: Option<u32>,
    /// Look at `/etc/passwd` and `/etc/group` alone.
    #[serde(default)]
    local: bool,
    /// Not supported: for macOS.
    #[serde(default)]
    hidden: Option<bool>,
    /// Not supported: for BSD.
    #[serde(default)]
    login_class: Option<String>,
    /// Not supported: for SunOS.
    #[serde(default)]
    authorization: Option<String>,
    /// Not supported: for SunOS.
    #[serde(default)]
    profile: Option<String>,
    /// Not supported: for SunOS.
    #[serde(default)]
    role: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Update {
    #[default]
    Always,
    OnCreate,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

fn rsa() -> String {
    "rsa".to_owned()
}

/// Names of accounts and groups become words of commands and fields of `/etc/passwd`.
fn ensure_field(what: &str, text: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!text.contains([':', '\n']), "`{what}` can't hold a colon or a line break");
    Ok(())
}

impl Guarded for User {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        self.validate()?;
        if self.state == State::Absent {
            let line = variables(&[
                ("n", Some(&self.name)),
                ("force", flag(self.force)),
                ("remove", flag(self.remove)),
                ("local", flag(self.local)),
            ]);
            let values = self.values();
            return Ok(Call::new(format!("{line}crud_user absent"), &USER).values(values));
        }
        let expires = self.expires.map(expiry_date).transpose()?;
        let number = |n: Option<i32>| n.map(|n| n.to_string());
        let unsigned = |n: Option<u32>| n.map(|n| n.to_string());
        let (uid, min, max) = (unsigned(self.uid), unsigned(self.uid_min), unsigned(self.uid_max));
        let (pmin, pmax) = (number(self.password_expire_min), number(self.password_expire_max));
        let (pwarn, pdis) = (number(self.password_expire_warn), number(self.password_expire_account_disable));
        let groups = self.groups.as_ref().map(|groups| groups.join(","));
        let lock = self.password_lock.map(|lock| if lock { "1" } else { "0" });
        let bits = (self.ssh_key_bits > 0).then(|| self.ssh_key_bits.to_string());
        let key_file = self.ssh_key_file.clone().unwrap_or_else(|| format!(".ssh/id_{}", self.ssh_key_type));
        let key = |text: &'_ str| self.generate_ssh_key.then(|| text.to_owned());
        let (key_file, key_type) = (key(&key_file), key(&self.ssh_key_type));
        let line = variables(&[
            ("n", Some(&self.name)),
            ("uid", uid.as_deref()),
            ("nu", flag(self.non_unique)),
            ("gecos", self.comment.as_deref()),
            ("grp", self.group.as_deref()),
            ("groups", groups.as_deref()),
            ("append", flag(self.append)),
            ("shl", self.shell.as_deref()),
            ("hd", self.home.as_deref()),
            ("skel", self.skeleton.as_deref()),
            ("exp", expires.as_deref()),
            ("nohome", flag(!self.create_home)),
            ("mv", flag(self.move_home)),
            ("sys", flag(self.system)),
            ("local", flag(self.local)),
            ("sel", self.seuser.as_deref()),
            ("um", self.umask.as_deref()),
            ("min", min.as_deref()),
            ("max", max.as_deref()),
            ("pmin", pmin.as_deref()),
            ("pmax", pmax.as_deref()),
            ("pwarn", pwarn.as_deref()),
            ("pdis", pdis.as_deref()),
            ("plock", lock),
            ("pnew", flag(self.update_password == Update::OnCreate)),
            ("kf", key_file.as_deref()),
            ("kt", key_type.as_deref()),
            ("kb", bits.as_deref().filter(|_| self.generate_ssh_key)),
            ("kc", self.ssh_key_comment.as_deref().filter(|_| self.generate_ssh_key)),
        ]);
        let mut call = Call::new(format!("{line}crud_user"), &USER);
        if let Some(password) = &self.password {
            call = call.secret("crud_pw", password);
        }
        if let Some(passphrase) = self.ssh_key_passphrase.as_ref().filter(|_| self.generate_ssh_key) {
            call = call.secret("crud_kp", passphrase);
        }
        let doubt = self.password.as_deref().is_some_and(|password| !is_hash(password)).then_some(
            "The input password appears not to have been hashed. The 'password' argument must be encrypted for this \
             module to work properly.",
        );
        let call = call.finish(result).values(self.values());
        Ok(call.map(move |outcome| outcome.warnings.extend(doubt.map(str::to_owned))))
    }
}

/// Whether a password is what `/etc/shadow` takes: crypt(5)'s forms, or one of the texts that no password has.
fn is_hash(password: &str) -> bool {
    if matches!(password, "" | "*" | "!" | "*************") {
        return true;
    }
    let fields: Vec<&str> = password.split('$').collect();
    let [_, kind, .., hash] = fields[..] else { return false };
    let plain = hash.chars().all(|c| c.is_ascii_alphanumeric() || "./=".contains(c));
    let length = match kind {
        "1" => Some(22),
        "5" => Some(43),
        "6" => Some(86),
        _ => None,
    };
    plain && length.is_none_or(|length| hash.len() == length)
}

/// The result: the key's lines are said in parts.
fn result(said: &crate::modules::guarded::Said) -> crate::modules::Outcome {
    let mut outcome = said.outcome();
    if let Some(state) = outcome.values.shift_remove("account") {
        // A line of `passwd`.
        let state = state.as_str().unwrap_or_default().to_owned();
        let field: Vec<&str> = state.split(':').collect();
        if let [_, _, uid, gid, gecos, home, shell] = field[..] {
            outcome = outcome.with("comment", gecos).with("home", home).with("shell", shell);
            for (name, id) in [("uid", uid), ("group", gid)] {
                outcome.values.insert(name.into(), id.parse::<i64>().map_or_else(|_| json!(id), |id| json!(id)));
            }
        }
    }
    outcome
}

impl User {
    fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.name.is_empty() && !self.name.starts_with('-'), "`name` is not the name of an account");
        ensure_field("name", &self.name)?;
        for (what, text) in [("comment", &self.comment), ("home", &self.home), ("shell", &self.shell)] {
            ensure_field(what, text.as_deref().unwrap_or_default())?;
        }
        ensure_field("password", self.password.as_deref().unwrap_or_default())?;
        for group in self.groups.iter().flatten() {
            anyhow::ensure!(
                !group.contains(|c: char| c.is_whitespace() || c == ':') && !group.starts_with('-'),
                "`{group}` is not the name of a group"
            );
        }
        anyhow::ensure!(!self.non_unique || self.uid.is_some(), "non_unique needs `uid`");
        anyhow::ensure!(
            !self.move_home || self.home.is_some() || self.state == State::Absent,
            "`move_home` needs `home`"
        );
        anyhow::ensure!(
            self.umask.as_ref().is_none_or(|umask| umask.chars().all(|c| c.is_digit(8)) && !umask.is_empty()),
            "`umask` is an octal number"
        );
        anyhow::ensure!(
            self.ssh_key_type.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "`ssh_key_type` is one of rsa, ecdsa, ed25519"
        );
        refuse(
            "user",
            &[
                ("hidden", self.hidden.is_some()),
                ("login_class", self.login_class.is_some()),
                ("authorization", self.authorization.is_some()),
                ("profile", self.profile.is_some()),
                ("role", self.role.is_some()),
            ],
            "it is for other systems than Linux",
        )
    }

    fn values(&self) -> Map<String, Value> {
        let mut values = Map::new();
        let mut add = |name: &str, value: Value| values.insert(name.to_owned(), value);
        add("name", json!(self.name));
        add("state", json!(if self.state == State::Absent { "absent" } else { "present" }));
        if self.state == State::Absent {
            add("force", json!(self.force));
            add("remove", json!(self.remove));
            return values;
        }
        add("append", json!(self.append));
        add("move_home", json!(self.move_home));
        if self.password.is_some() {
            add("password", json!("NOT_LOGGING_PASSWORD"));
        }
        if let Some(groups) = &self.groups {
            add("groups", json!(groups.join(",")));
        }
        values
    }
}

/// The date of an expiry as `/etc/shadow`'s tools take it; empty for none.
fn expiry_date(seconds: f64) -> anyhow::Result<String> {
    if seconds < 0.0 {
        return Ok(String::new());
    }
    #[expect(clippy::cast_possible_truncation, reason = "out of range is an error of the next line")]
    let at = jiff::Timestamp::from_second(seconds as i64)
        .map_err(|_| anyhow::anyhow!("`expires`: {seconds} is no time in seconds since 1970"))?;
    Ok(at.strftime("%Y-%m-%d").to_string())
}
