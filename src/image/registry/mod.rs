//! Registries, as the OCI distribution specification 1.1 has them: what is there already is not sent, what is sent is proved.
//!
//! [`client`] sends requests: it logs in when asked to ([`auth`]), tries again what may pass ([`retry`]) and tells refusals apart
//! ([`refusal`]). [`blob`] and [`manifest`] are the two kinds of content, [`push`] sends an image, [`referrer`] what is said about it, [`copy`] carries one from registry
//! to registry. [`credentials`] are those that `docker login` keeps, credential helpers included.
//!
//! Why not the crate `oci-client` (0.18): it neither asks before it sends, nor resumes an upload, nor tries again, and these are what
//! this part is for.

pub mod auth;
pub mod blob;
pub mod client;
pub mod copy;
pub mod credentials;
pub mod manifest;
pub mod push;
pub mod referrer;
pub mod refusal;
pub mod retry;

pub use client::{Options, Registry};
pub use credentials::{Credentials, Login};
pub use push::{Pushed, push};
