//! Templates: Jinja with the values, filters, tests and lookups that playbooks use.

pub mod call;
pub mod crypt;
pub mod filters;
pub mod lookups;
pub mod regex;
