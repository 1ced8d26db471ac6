//! The generic API against the real binary, the same on every database.

#[path = "../common/mod.rs"]
mod common;
mod concurrent;
mod lists;
mod refusals;
mod shelf;
mod writes;

use concurrent::{one_of_many_equal_requests_makes_the_row, one_of_many_updates_wins};
use lists::{
    filters_compare_as_the_type_does, nulls_have_their_place, pages_hold_every_row_once, text_is_searched_alike,
};
use refusals::{bodies, headers_and_methods, hostile_texts, parameters, paths};
use writes::{
    bulk_is_all_or_none, creates_reads_replaces_patches_deletes, etags_prevent_lost_updates,
    every_type_keeps_its_value, keys_make_requests_idempotent, patches_reach_into_documents, unique_values_conflict,
};

on_each_database! {
    creates_reads_replaces_patches_deletes,
    every_type_keeps_its_value,
    patches_reach_into_documents,
    unique_values_conflict,
    bulk_is_all_or_none,
    etags_prevent_lost_updates,
    keys_make_requests_idempotent,
    pages_hold_every_row_once,
    nulls_have_their_place,
    filters_compare_as_the_type_does,
    text_is_searched_alike,
    bodies,
    parameters,
    paths,
    headers_and_methods,
    hostile_texts,
    one_of_many_updates_wins,
    one_of_many_equal_requests_makes_the_row,
}
