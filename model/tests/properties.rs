//! Random scenarios for the queue, on the kernel model and on the real kernel.
#![cfg(feature = "properties")]

mod support;

use std::path::Path;

use model::stateful::{Harness, Real, perform, plan};
use support::perform_all;

#[test]
fn scenarios_on_the_model() {
    let totals = perform_all(4000, &plan(100, 1), |plan| {
        perform(plan, &mut Harness::Model)
    });
    assert!(totals.operations > 5 * totals.scenarios);
    assert!(totals.forks > 0 && totals.ends > 0 && totals.cancelled > 0);
}

#[test]
fn scenarios_on_the_real_kernel() {
    let real = Real::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("files");
    let mut harness = Harness::Real(real);
    let totals = perform_all(400, &plan(100, 8), |plan| perform(plan, &mut harness));
    assert!(totals.operations > 5 * totals.scenarios);
    assert!(totals.forks > 0 && totals.ends > 0 && totals.cancelled > 0);
}
