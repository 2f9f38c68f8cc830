//! The lock file taken away or replaced while a writer holds it, and what that can still cost.
//!
//! JF-2, JF-11: a writer looks at the lock path when the lock is granted, and once more, with the
//! state file, right before its rename. `SEED=n` repeats the interleaving n alone, `TORTURE=n`
//! tries n times as many.

mod crash_support;

use std::collections::BTreeSet;

use crash_support::{places_where_an_intruder_costs_a_value, race_with_an_intruder, seeds};
use tidemark_storage::Site;

/// JF-11: wherever a writer is held up while the lock file is replaced and another one writes,
/// nothing is lost; but for one place, between its last look and the rename that follows.
#[test]
fn a_lock_file_replaced_under_its_holder_costs_something_at_one_place_only() {
    let places = places_where_an_intruder_costs_a_value(|engine| engine);
    assert_eq!(places, BTreeSet::from([Site::JsonRename]));
}

/// JF-11: two writers, and an intruder who replaces the lock file again and again.
#[test]
fn writers_lose_nothing_to_an_intruder_unless_one_overtakes_the_other_before_its_rename() {
    let found = race_with_an_intruder(|engine| engine, seeds(300));
    assert!(found.is_none(), "{found:?}");
}
