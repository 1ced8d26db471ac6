//! Templates: Jinja with the values, filters, tests and lookups that playbooks use.
