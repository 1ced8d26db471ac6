//! Text with places: every value of a YAML file knows where it stands, and every error can point at it.

mod diagnostic;
mod node;
mod source;
mod typed;

pub use diagnostic::{Diagnostic, Level};
pub use node::{Entry, Kind, Node, Style};
pub use source::{Place, Source};
pub use typed::typed;
