//! Services, users, and other settings of the host's operating system.

use super::Descriptor;

mod authorized_key;
mod cron;
mod group;
mod hostname;
mod service;
mod systemd;
mod sysvinit;
mod user;
mod user_shell;

const BUILTIN: &[&str] = &["ansible.builtin"];
const POSIX: &[&str] = &["ansible.posix"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<service::Service>("service", BUILTIN),
    Descriptor::host::<systemd::Systemd>("systemd_service", BUILTIN),
    Descriptor::host::<systemd::Systemd>("systemd", BUILTIN),
    Descriptor::host::<sysvinit::Sysvinit>("sysvinit", BUILTIN),
    Descriptor::host::<user::User>("user", BUILTIN),
    Descriptor::host::<group::Group>("group", BUILTIN),
    Descriptor::host::<authorized_key::AuthorizedKey>("authorized_key", POSIX),
    Descriptor::host::<hostname::Hostname>("hostname", BUILTIN),
    Descriptor::host::<cron::Cron>("cron", BUILTIN),
];
