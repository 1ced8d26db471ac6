//! Where this machine's user has the engine: `DOCKER_HOST`, else the chosen context, as Docker's own client decides.
//!
//! A context is `contexts/meta/ID/meta.json` in Docker's folder of configuration, its certificates are in `contexts/tls/ID/docker/`; ID is the
//! SHA-256 of the context's name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;

use crate::image::registry::credentials::folder;
use crate::modules::contract::{Access, ByteStream};

/// The address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Another machine's, by what this command's stdin and stdout reach.
    Command(Vec<String>),
    /// A port.
    Tcp { host: String, port: u16, tls: Option<Tls> },
}

/// The folder with `ca.pem`, `cert.pem` and `key.pem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls(PathBuf);

impl Endpoint {
    /// What the environment and Docker's configuration name; none: the engine's usual place.
    ///
    /// # Errors
    /// The context is not there, or what is named is not supported.
    pub(super) fn chosen() -> anyhow::Result<Option<Self>> {
        Self::choose(&folder()?, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn choose(folder: &Path, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        if let Some(address) = variable("DOCKER_HOST") {
            let certificates = || variable("DOCKER_CERT_PATH").map_or_else(|| folder.to_owned(), PathBuf::from);
            let tls = variable("DOCKER_TLS_VERIFY").map(|_| Tls(certificates()));
            ensure!(
                tls.is_some() || variable("DOCKER_TLS").is_none(),
                "DOCKER_TLS without DOCKER_TLS_VERIFY isn't supported: an engine that isn't verified is root for whoever answers"
            );
            return Self::read(&address, tls).context("DOCKER_HOST").map(Some);
        }
        let configured = || -> anyhow::Result<Option<String>> {
            let path = folder.join("config.json");
            let text = match std::fs::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            };
            let config: Value =
                serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?;
            Ok(config["currentContext"].as_str().map(str::to_owned))
        };
        let name = match variable("DOCKER_CONTEXT") {
            Some(name) => Some(name),
            None => configured()?,
        };
        match name.as_deref() {
            None | Some("" | "default") => Ok(None),
            Some(name) => {
                Self::of_context(folder, name).with_context(|| format!("the docker context `{name}`")).map(Some)
            }
        }
    }

    fn of_context(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let id = crate::image::Digest::of(name.as_bytes());
        let path = folder.join("contexts/meta").join(id.hex()).join("meta.json");
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let meta: Value = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        let endpoint = &meta["Endpoints"]["docker"];
        let address = endpoint["Host"].as_str().context("it names no engine")?;
        ensure!(endpoint["SkipTLSVerify"] != Value::Bool(true), "`SkipTLSVerify` isn't supported");
        let tls = folder.join("contexts/tls").join(id.hex()).join("docker");
        Self::read(address, tls.is_dir().then_some(Tls(tls)))
    }

    /// `unix://PATH`, `ssh://[USER@]HOST[:PORT]` or `tcp://HOST[:PORT]`.
    fn read(address: &str, tls: Option<Tls>) -> anyhow::Result<Self> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("tcp", address));
        match scheme {
            "unix" => Ok(Self::Unix(rest.into())),
            "ssh" => Self::ssh(address),
            "tcp" | "http" | "https" => {
                let url = url::Url::parse(&format!("tcp://{rest}")).with_context(|| format!("`{address}`"))?;
                let host = url.host_str().filter(|host| !host.is_empty()).context("it names no host")?.to_owned();
                let port = url.port().unwrap_or(if tls.is_some() { 2376 } else { 2375 });
                Ok(Self::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port, tls })
            }
            _ => bail!("`{address}` isn't supported: unix://, ssh:// and tcp:// are"),
        }
    }

    /// As Docker's client does it: `docker system dial-stdio` there.
    fn ssh(address: &str) -> anyhow::Result<Self> {
        let url = url::Url::parse(address).with_context(|| format!("`{address}`"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).context("it names no host")?;
        ensure!(url.password().is_none(), "a password in an address isn't supported: use a key");
        let path = url.path().trim_matches('/');
        let mut argv = vec!["ssh".to_owned(), "-o".into(), "ConnectTimeout=30".into(), "-T".into()];
        if !url.username().is_empty() {
            argv.extend(["-l".into(), url.username().to_owned()]);
        }
        if let Some(port) = url.port() {
            argv.extend(["-p".into(), port.to_string()]);
        }
        argv.extend(["--".into(), host.trim_matches(['[', ']']).to_owned(), "docker".into()]);
        if !path.is_empty() {
            argv.extend(["--host".into(), crate::host::quote(&format!("unix:///{path}"))]);
        }
        argv.extend(["system".into(), "dial-stdio".into()]);
        Ok(Self::Command(argv))
    }

    /// A connection to the engine.
    ///
    /// # Errors
    /// There is none to be had.
    pub(super) async fn connect(&self, host: &dyn Access) -> anyhow::Result<Box<dyn ByteStream>> {
        match self {
            Self::Unix(path) => {
                let failed = || format!("cannot connect to {}", path.display());
                Ok(Box::new(tokio::net::UnixStream::connect(path).await.with_context(failed)?))
            }
            Self::Command(argv) => host.open(argv.clone()).await,
            Self::Tcp { host, port, tls } => {
                let failed = || format!("cannot connect to {host}:{port}");
                let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await.with_context(failed)?;
                stream.set_nodelay(true)?;
                let Some(tls) = tls else { return Ok(Box::new(stream)) };
                let name = ServerName::try_from(host.clone()).context("the engine's address")?;
                let connector = tokio_rustls::TlsConnector::from(Arc::new(tls.config()?));
                Ok(Box::new(connector.connect(name, stream).await.with_context(failed)?))
            }
        }
    }
}

impl Tls {
    fn config(&self) -> anyhow::Result<rustls::ClientConfig> {
        let file = |name: &str| self.0.join(name);
        let failed = |name: &str| format!("cannot read {}", self.0.join(name).display());
        let chain = |name: &str| -> anyhow::Result<Vec<CertificateDer<'static>>> {
            CertificateDer::pem_file_iter(file(name)).and_then(Iterator::collect).with_context(|| failed(name))
        };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in chain("ca.pem")? {
            roots.add(certificate).with_context(|| failed("ca.pem"))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        if !file("cert.pem").exists() {
            return Ok(config.with_no_client_auth());
        }
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).with_context(|| failed("key.pem"))?;
        config.with_client_auth_cert(chain("cert.pem")?, key).context("the certificate for the engine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(folder: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Option<Endpoint>> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Endpoint::choose(folder, find)
    }

    #[test]
    fn addresses() {
        let folder = Path::new("/nowhere");
        let of = |address: &str| choose(folder, &[("DOCKER_HOST", address)]).unwrap().unwrap();
        assert_eq!(of("unix:///run/x.sock"), Endpoint::Unix("/run/x.sock".into()));
        assert_eq!(of("tcp://[::1]"), Endpoint::Tcp { host: "::1".into(), port: 2375, tls: None });
        let Endpoint::Command(argv) = of("ssh://ann@build.example.org:2222/run/x.sock") else { panic!("not ssh") };
        let text = argv.join(" ");
        assert!(
            text.ends_with("-l ann -p 2222 -- build.example.org docker --host unix:///run/x.sock system dial-stdio"),
            "{text}"
        );
        let tls = [("DOCKER_HOST", "tcp://h"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")];
        let expected = Endpoint::Tcp { host: "h".into(), port: 2376, tls: Some(Tls("/c".into())) };
        assert_eq!(choose(folder, &tls).unwrap(), Some(expected));
        for bad in ["npipe:////./pipe/x", "ssh://ann:secret@h", "tcp://"] {
            assert!(choose(folder, &[("DOCKER_HOST", bad)]).is_err(), "{bad}");
        }
        // An option for ssh is no host.
        assert!(
            Endpoint::read("ssh://-oProxyCommand=x/", None).is_err()
                || matches!(of("ssh://-ox/"), Endpoint::Command(argv) if argv.contains(&"--".to_owned()))
        );
    }

    #[test]
    fn the_variable_stands_above_the_context() {
        let folder = tempfile::tempdir().unwrap();
        let id = crate::image::Digest::of(b"far");
        let meta = folder.path().join("contexts/meta").join(id.hex());
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(meta.join("meta.json"), r#"{"Name": "far", "Endpoints": {"docker": {"Host": "unix:///far"}}}"#)
            .unwrap();
        let far = Some(Endpoint::Unix("/far".into()));
        assert_eq!(choose(folder.path(), &[]).unwrap(), None);
        assert_eq!(choose(folder.path(), &[("DOCKER_CONTEXT", "far")]).unwrap(), far);
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext": "far"}"#).unwrap();
        assert_eq!(choose(folder.path(), &[]).unwrap(), far);
        assert_eq!(choose(folder.path(), &[("DOCKER_CONTEXT", "default")]).unwrap(), None);
        let near = Some(Endpoint::Unix("/near".into()));
        assert_eq!(choose(folder.path(), &[("DOCKER_HOST", "unix:///near"), ("DOCKER_CONTEXT", "far")]).unwrap(), near);
        assert!(choose(folder.path(), &[("DOCKER_CONTEXT", "other")]).is_err());
    }
}
