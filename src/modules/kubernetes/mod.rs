//! Modules of Kubernetes clusters: they work from here, over the API server that a kubeconfig names.

mod common;
mod k8s;
mod k8s_info;
mod manifests;
mod rollout;
mod rollouts;
mod templates;

use super::Descriptor;

const CORE: &[&str] = &["kubernetes.core", "community.kubernetes", "community.general"];
const OWN: &[&str] = &["crudctl"];

/// The modules of this group.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::controller::<k8s::K8s>("k8s", CORE),
    Descriptor::controller::<k8s_info::K8sInfo>("k8s_info", CORE),
    Descriptor::controller::<rollout::Rollout>("crudctl_rollout", OWN),
    Descriptor::controller::<rollouts::Rollouts>("crudctl_rollouts", OWN),
    Descriptor::controller::<manifests::Manifests>("crudctl_manifests", OWN),
];
