//! The command line: one file a verb; clap only, the work is done elsewhere.
