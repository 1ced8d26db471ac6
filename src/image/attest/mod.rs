//! What is said about an image beside it, in the registry: what it is made of ([`sbom`]), and how ([`provenance`]).

pub mod provenance;
pub mod sbom;

use bytes::Bytes;

/// Media type of a CycloneDX bill of materials.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// Media type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Something that is said.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What kind of thing: the type of the artifact, and of its blob.
    pub media_type: &'static str,
    /// Its text.
    pub text: Bytes,
    /// Annotations of its descriptor and manifest, by name.
    pub annotations: Vec<(&'static str, String)>,
}
