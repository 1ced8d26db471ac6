//! Images of a service, made and delivered without a container engine on this machine.
//!
//! The way of the bundled server: [`build`] compiles it to one static binary, [`oci`] puts that into an image whose bytes depend on nothing but
//! the commit, and [`deliver`] ships it to a host's engine, leaving out the layers which that engine has. [`archive`] writes the
//! same image as an OCI layout or as a tar that `docker load` reads.

pub mod archive;
pub mod attest;
pub mod base;
pub mod build;
pub mod deliver;
pub mod digest;
pub mod dockerfile;
pub mod engine;
pub mod layer;
pub mod oci;
pub mod reference;
pub mod registry;
pub mod service;
pub mod tag;

pub use deliver::{Delivery, deliver, present};
pub use digest::Digest;
pub use dockerfile::{DockerfileBuild, Logins};
pub use engine::Engine;
pub use layer::{Layer, LayerBuilder};
pub use oci::{Healthcheck, Image, ImageSpec};
pub use reference::Reference;
pub use service::{BuiltImage, ServiceImage};
pub use tag::Revision;
