//! The section `kubernetes` of the project file: how a service runs on a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a service runs on a cluster.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config].
    pub kubeconfig: Option<String>,
    /// The context in it [default: the current one].
    pub context: Option<String>,
    /// The namespace [default: the service's name].
    pub namespace: Option<String>,
    /// How many pods, where nothing scales them; SQLite has one.
    pub replicas: u32,
    /// How it is reached.
    pub service: KubernetesService,
    /// Reached from outside by its name.
    pub ingress: Option<Ingress>,
    /// Scaled by its load.
    pub autoscale: Option<Autoscale>,
    /// What a pod needs.
    pub resources: Resources,
    /// The volume of SQLite's file.
    pub storage: Storage,
    /// Name of a Secret with the registry's credentials, which is there.
    pub pull_secret: Option<String>,
    /// Seconds that a rollout may take.
    pub timeout: u64,
    /// Restarts of a container that a rollout tolerates.
    pub restarts: u32,
    /// Reasons that end no rollout: `Unschedulable`, where nodes come when they are needed.
    pub tolerate: Vec<String>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            replicas: 2,
            service: KubernetesService::default(),
            ingress: None,
            autoscale: None,
            resources: Resources::default(),
            storage: Storage::default(),
            pull_secret: None,
            timeout: 300,
            restarts: 1,
            tolerate: vec![],
        }
    }
}

/// How a service is reached.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesService {
    /// From within the cluster, at a port of each node, or by a load balancer.
    pub r#type: ServiceType,
    /// Its port.
    pub port: u16,
    /// The port of each node [default: one that is free].
    pub node_port: Option<u16>,
}

impl Default for KubernetesService {
    fn default() -> Self {
        Self { r#type: ServiceType::default(), port: 80, node_port: None }
    }
}

/// From where a service is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    ClusterIP,
    /// At a port of each node.
    NodePort,
    /// By a load balancer.
    LoadBalancer,
}

/// A name by which a service is reached from outside.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// The name.
    pub host: String,
    /// Who serves it [default: the cluster's own choice].
    #[serde(default)]
    pub class: Option<String>,
    /// Name of a Secret with certificate and key.
    #[serde(default)]
    pub tls_secret: Option<String>,
}

/// How a service is scaled.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscale {
    /// At least so many pods.
    pub min: u32,
    /// At most so many.
    pub max: u32,
    /// Percent of the processor time asked for that is aimed at.
    #[serde(default = "seventy")]
    pub cpu: u32,
}

fn seventy() -> u32 {
    70
}

/// What a pod needs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Processor time: `100m` is a tenth of one.
    pub cpu: String,
    /// Memory: `64Mi`.
    pub memory: String,
    /// Most of the memory that it may take [default: `memory`].
    pub memory_limit: Option<String>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: "50m".into(), memory: "128Mi".into(), memory_limit: None }
    }
}

/// A volume.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Its size.
    pub size: String,
    /// Its storage class [default: the cluster's].
    pub class: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: "1Gi".into(), class: None }
    }
}
