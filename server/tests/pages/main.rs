//! The pages over plain HTTP: what they hold, what they take, whom they let in. `tests/browser` uses them as a person does.

mod access;
#[path = "../common/mod.rs"]
mod common;
mod forms;
mod lists;
mod markup;
mod reference;
mod site;

use lists::{pages_hold_every_row_once_in_both_directions, searches_find_what_fields_have};

on_each_database! {
    pages_hold_every_row_once_in_both_directions,
    searches_find_what_fields_have,
}
