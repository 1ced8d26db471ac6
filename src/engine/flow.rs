//! Flow modules: those that act on the run itself and never on a host.

/// Names (without a collection) of the modules that belong to the engine.
pub const NAMES: &[&str] = &[
    "add_host",
    "assert",
    "async_status",
    "debug",
    "fail",
    "gather_facts",
    "group_by",
    "import_playbook",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "pause",
    "set_fact",
    "set_stats",
    "validate_argument_spec",
];
