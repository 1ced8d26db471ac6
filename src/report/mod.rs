//! What users see of a run: each reporter consumes events, and nothing else.
