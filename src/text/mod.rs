//! Text with places: every value of a YAML file knows where it stands, and every error can point at it.

mod close;
mod diagnostic;
pub mod encoding;
mod node;
pub mod python;
mod source;
mod typed;
mod yaml;
pub mod yaml_out;
#[cfg(test)]
mod yaml_table;

pub use close::did_you_mean;
pub use diagnostic::{Diagnostic, Level, render_diagnostic};
pub use node::{Entry, Kind, Node, Style};
pub use source::{Place, Source};
pub use typed::typed;
pub use yaml::{Parsed, parse, resolve};
