//! The network as the host sees it: HTTP, ports, and the host itself.

use super::Descriptor;

pub(super) mod crudctl_port;
mod get_url;
pub(super) mod http;
mod ping;
mod place;
mod setup;
pub(super) mod sockets;
mod tls;
mod uri;
mod uri_body;
mod wait_for;
mod wait_for_connection;

const BUILTIN: &[&str] = &["ansible.builtin"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<ping::Ping>("ping", BUILTIN),
    Descriptor::host::<setup::Setup>("setup", BUILTIN),
    Descriptor::controller::<wait_for::WaitFor>("wait_for", BUILTIN),
    Descriptor {
        prepare: wait_for_connection::prepare,
        ..Descriptor::controller::<wait_for_connection::WaitForConnection>("wait_for_connection", BUILTIN)
    },
    Descriptor::host::<crudctl_port::Port>("crudctl_port", &["crudctl"]),
    Descriptor::controller::<uri::Uri>("uri", BUILTIN),
    Descriptor::controller::<get_url::GetUrl>("get_url", BUILTIN),
];
