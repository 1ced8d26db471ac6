//! `package`: packages by whatever manager the host has.

use schemars::JsonSchema;
use serde::Deserialize;

use super::apt_shell::APT;
use crate::host::ShellFunction;
use crate::host::script::quote_all;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded};

/// Installs and removes packages by the host's own package manager.
///
/// apt, apk and dnf (or yum) are known; the first that the host has is used. Names of packages differ between distributions and
/// are not translated.
///
/// ```yaml
/// - package:
///     name: [rsync, ntp]
///     state: present
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    /// Packages, with a version where the manager takes one.
    #[serde(alias = "pkg")]
    name: Vec<String>,
    /// What the packages should be.
    state: State,
    /// The package manager; `auto` looks for one.
    #[serde(default, rename = "use")]
    manager: Manager,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[serde(alias = "removed")]
    Absent,
    Latest,
    #[serde(alias = "installed")]
    Present,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Manager {
    #[default]
    Auto,
    #[serde(alias = "ansible.builtin.apt")]
    Apt,
    Apk,
    #[serde(alias = "yum", alias = "dnf5")]
    Dnf,
}

static PACKAGE: ShellFunction = ShellFunction {
    name: "crud_package",
    text: r#"crud_package() {
pk_m=$1; pk_s=$2
if [ "$pk_m" = auto ]; then for pk_m in apt-get apk dnf yum none; do command -v $pk_m >/dev/null 2>&1 && break; done; fi
shift 2
case $pk_m in
apt*) crud_apt "$pk_s" "$@";;
apk) pk_t=
for pk_p; do
case $pk_s in
absent) ! apk info -e "$pk_p" >/dev/null 2>&1 || pk_t="$pk_t $pk_p";;
latest) if ! apk info -e "$pk_p" >/dev/null 2>&1 || apk version -l '<' "$pk_p" 2>/dev/null | grep -q '<'; then pk_t="$pk_t $pk_p"; fi;;
*) apk info -e "$pk_p" >/dev/null 2>&1 || pk_t="$pk_t $pk_p";;
esac; done
[ -n "$pk_t" ] || return 0
case $pk_s in absent) crud_do apk del $pk_t;; latest) crud_do apk add -u $pk_t;; *) crud_do apk add $pk_t;; esac;;
dnf|yum) pk_t=; command -v dnf >/dev/null 2>&1 && pk_m=dnf || pk_m=yum
for pk_p; do
if rpm -q --whatprovides "$pk_p" >/dev/null 2>&1; then
case $pk_s in absent) pk_t="$pk_t $pk_p";; latest) $pk_m -q check-update "$pk_p" >/dev/null 2>&1; [ $? -ne 100 ] || pk_t="$pk_t $pk_p";; esac
else [ "$pk_s" = absent ] || pk_t="$pk_t $pk_p"; fi
done
[ -n "$pk_t" ] || return 0
if [ "$pk_s" = absent ]; then crud_do $pk_m -y remove $pk_t
else crud_do $pk_m -y install $pk_t; [ "$pk_s" != latest ] || crud_do $pk_m -y upgrade $pk_t; fi;;
*) crud_fail 'the host has none of the package managers that are known here: apt, apk, dnf, yum';;
esac; }"#,
    needs: &[&APT, &GUARD],
};

impl Guarded for Package {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let state = match self.state {
            State::Absent => "absent",
            State::Latest => "latest",
            State::Present => "present",
        };
        let manager = match self.manager {
            Manager::Auto => "auto",
            Manager::Apt => "apt",
            Manager::Apk => "apk",
            Manager::Dnf => "dnf",
        };
        for name in &self.name {
            anyhow::ensure!(
                !name.is_empty() && !name.starts_with('-') && !name.contains(char::is_whitespace),
                "`{name}` is not the name of a package"
            );
        }
        Ok(Call::new(format!("crud_package {manager} {state} {}", quote_all(&self.name)), &PACKAGE))
    }
}
