//! Modules of container engines, over the engine's own API.

pub mod engine;
mod image;
mod inspect;
mod probe;
mod release;
pub mod releases;

use super::Descriptor;

const OWN: &[&str] = &["crudctl"];

/// The modules of this group.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::controller::<image::BundledImage>("crudctl_image", OWN),
    Descriptor::controller::<release::Release>("crudctl_release", OWN),
    Descriptor::controller::<inspect::Releases>("crudctl_releases", OWN),
];
