//! Who has a port that a container was to publish.

use bollard::Docker;
use bollard::query_parameters::ListContainersOptions;
use regex::Regex;

use crate::modules::Access;
use crate::modules::net::crudctl_port;

/// The port that an engine's message calls taken.
fn taken(message: &str) -> Option<u16> {
    let port = r":(\d+)(?: failed: port is already allocated|: bind: address already in use)";
    let found = Regex::new(port).ok()?.captures(message)?;
    found[1].parse().ok()
}

/// The engine's message about a start that failed, with the port's owner where it was for a port that is taken.
pub(super) async fn explain(docker: &Docker, host: &dyn Access, message: String) -> String {
    let Some(port) = taken(&message) else { return message };
    let containers = docker.list_containers(None::<ListContainersOptions>).await.unwrap_or_default();
    let container = containers
        .into_iter()
        .find(|c| c.ports.iter().flatten().any(|p| p.public_port == Some(port)))
        .and_then(|c| c.names?.into_iter().next());
    let owner = match container {
        Some(name) => format!("the container `{}`", name.trim_start_matches('/')),
        None => match crudctl_port::owner(host, port).await {
            Some(owner) => owner,
            None => return message,
        },
    };
    format!("{message}: port {port} is taken by {owner}")
}

#[cfg(test)]
mod tests {
    use super::taken;

    #[test]
    fn the_port_is_read_from_the_engines_words() {
        let cases = [
            (
                "driver failed programming external connectivity on endpoint b: Bind for 0.0.0.0:5000 failed: port is already allocated",
                Some(5000),
            ),
            (
                "failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: listen tcp4 0.0.0.0:80: bind: address already in use",
                Some(80),
            ),
            ("listen tcp [::]:443: bind: address already in use", Some(443)),
            ("no such image: a:5000", None),
        ];
        for (message, port) in cases {
            assert_eq!(taken(message), port, "{message}");
        }
    }
}
