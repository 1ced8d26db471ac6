//! Services, users, and other settings of the host's operating system.

use super::Descriptor;

mod authorized_key;
mod cron;
mod crudctl_lock;
mod getent;
mod group;
mod hostname;
mod htpasswd;
mod iptables;
mod known_hosts;
mod modprobe;
mod mount;
mod reboot;
mod service;
mod service_facts;
mod sysctl;
mod systemd;
mod sysvinit;
mod timezone;
mod user;
mod user_shell;

const BUILTIN: &[&str] = &["ansible.builtin"];
const POSIX: &[&str] = &["ansible.posix"];
const OWN: &[&str] = &["crudctl"];
const GENERAL: &[&str] = &["community.general"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<service::Service>("service", BUILTIN),
    Descriptor::host::<systemd::Systemd>("systemd_service", BUILTIN),
    Descriptor::host::<systemd::Systemd>("systemd", BUILTIN),
    Descriptor::host::<sysvinit::Sysvinit>("sysvinit", BUILTIN),
    Descriptor::host::<user::User>("user", BUILTIN),
    Descriptor::host::<group::Group>("group", BUILTIN),
    Descriptor::host::<authorized_key::AuthorizedKey>("authorized_key", POSIX),
    Descriptor::host::<crudctl_lock::Lock>("crudctl_lock", OWN),
    Descriptor::host::<hostname::Hostname>("hostname", BUILTIN),
    Descriptor::host::<cron::Cron>("cron", BUILTIN),
    Descriptor::host::<getent::Getent>("getent", BUILTIN),
    Descriptor::host::<service_facts::ServiceFacts>("service_facts", BUILTIN),
    Descriptor::host::<known_hosts::KnownHosts>("known_hosts", BUILTIN),
    Descriptor::host::<iptables::Iptables>("iptables", BUILTIN),
    Descriptor::controller::<reboot::Reboot>("reboot", BUILTIN),
    Descriptor::host::<sysctl::Sysctl>("sysctl", POSIX),
    Descriptor::host::<mount::Mount>("mount", POSIX),
    Descriptor::host::<timezone::Timezone>("timezone", GENERAL),
    Descriptor::host::<modprobe::Modprobe>("modprobe", GENERAL),
    Descriptor::host::<htpasswd::Htpasswd>("htpasswd", GENERAL),
];
