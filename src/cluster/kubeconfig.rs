//! Which cluster, as whom: kubeconfigs, merged, or the pod's own account.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::errors::said;

/// How long the server may leave a request without a byte. It gives up the slowest itself after that: a webhook has ten seconds, or what
/// its `timeoutSeconds` says, 30 at most.
const SILENCE: Duration = Duration::from_secs(35);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Which cluster, as whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The kubeconfig; none: `KUBECONFIG` (several are merged), `~/.kube/config`, or the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; none: the current one.
    pub context: Option<String>,
    /// The task's environment, which stands above the process's.
    pub environment: Arc<BTreeMap<String, String>>,
}

impl Place {
    /// A client, and the context's namespace. Files are read and plugins are run anew.
    ///
    /// # Errors
    /// There is no configuration, or it is wrong.
    pub(super) async fn client(&self) -> anyhow::Result<(Client, String)> {
        let mut config = self.config().await?;
        config.read_timeout = Some(SILENCE);
        config.connect_timeout = Some(CONNECT);
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(said).context("the kubeconfig can't be used")?;
        Ok((client, namespace))
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let named = |name: &str| self.environment.get(name).cloned().or_else(|| std::env::var(name).ok());
        let files: Vec<PathBuf> = match (&self.kubeconfig, named("KUBECONFIG").filter(|v| !v.is_empty())) {
            (Some(path), _) => vec![path.clone()],
            (None, Some(list)) => std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect(),
            (None, None) => named("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect(),
        };
        let mut merged: Option<Kubeconfig> = None;
        for file in files.iter().filter(|f| self.kubeconfig.is_some() || f.exists()) {
            let read = Kubeconfig::read_from(file).with_context(|| format!("can't read {}", file.display()))?;
            merged = Some(match merged {
                None => read,
                Some(before) => before.merge(read).with_context(|| format!("can't merge {}", file.display()))?,
            });
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match merged {
            Some(kubeconfig) => Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?),
            None => Config::incluster().map_err(|_| {
                let tried: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
                anyhow::anyhow!(
                    "there is no kubeconfig: looked for {} (hint: set KUBECONFIG, or `kubeconfig`)",
                    tried.join(", ")
                )
            }),
        }
    }
}
