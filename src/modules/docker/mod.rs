//! Modules of container engines, over the engine's own API.

mod answers;
mod container;
mod container_exec;
mod container_info;
mod container_spec;
mod container_values;
mod docker_image;
mod endpoint;
pub mod engine;
mod host_info;
mod image;
mod image_export;
mod image_info;
mod image_pull;
mod image_push;
mod image_remove;
mod image_tag;
mod inspect;
mod login;
mod network;
mod port_owner;
mod probe;
mod prune;
mod push;
mod release;
pub mod releases;
mod volume;

use super::Descriptor;

const OWN: &[&str] = &["crudctl"];
const DOCKER: &[&str] = &["community.docker", "community.general"];

/// The modules of this group.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::controller::<container::DockerContainer>("docker_container", DOCKER),
    Descriptor::controller::<container_exec::DockerContainerExec>("docker_container_exec", DOCKER),
    Descriptor::controller::<container_info::DockerContainerInfo>("docker_container_info", DOCKER),
    Descriptor::controller::<docker_image::DockerImage>("docker_image", DOCKER),
    Descriptor::controller::<image_export::DockerImageExport>("docker_image_export", DOCKER),
    Descriptor::controller::<image_info::DockerImageInfo>("docker_image_info", DOCKER),
    Descriptor::controller::<image_pull::DockerImagePull>("docker_image_pull", DOCKER),
    Descriptor::controller::<image_push::DockerImagePush>("docker_image_push", DOCKER),
    Descriptor::controller::<image_remove::DockerImageRemove>("docker_image_remove", DOCKER),
    Descriptor::controller::<image_tag::DockerImageTag>("docker_image_tag", DOCKER),
    Descriptor::controller::<host_info::DockerHostInfo>("docker_host_info", DOCKER),
    Descriptor::controller::<prune::DockerPrune>("docker_prune", DOCKER),
    Descriptor::controller::<network::DockerNetwork>("docker_network", DOCKER),
    Descriptor::controller::<volume::DockerVolume>("docker_volume", DOCKER),
    Descriptor::controller::<login::DockerLogin>("docker_login", DOCKER),
    Descriptor::controller::<image::BundledImage>("crudctl_image", OWN),
    Descriptor::controller::<push::Push>("crudctl_push", OWN),
    Descriptor::controller::<release::Release>("crudctl_release", OWN),
    Descriptor::controller::<inspect::Releases>("crudctl_releases", OWN),
];
