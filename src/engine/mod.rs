//! What runs a playbook: steps, batches, handlers, events.
