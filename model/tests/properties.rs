//! Random plays: on the model of the kernel, and on the real one.
#![cfg(feature = "properties")]

use std::cell::RefCell;
use std::path::Path;

use model::play::{Real, Totals, World, perform, plan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// So many plays, or what PROPTEST_CASES says. A fault is shrunk to the
/// shortest play that still shows it.
fn perform_all(cases: u32, steps: usize, rare: u32, world: World) -> Totals {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let totals = RefCell::new((Totals::default(), world));
    let outcome = TestRunner::new(config).run(&plan(steps, rare), |plan| {
        let (totals, world) = &mut *totals.borrow_mut();
        *totals += perform(&plan, world).map_err(TestCaseError::fail)?;
        Ok(())
    });
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
    let totals = totals.into_inner().0;
    println!("{totals:?}");
    totals
}

#[test]
fn plays_on_the_model() {
    let totals = perform_all(4000, 100, 1, World::Model);
    assert!(totals.operations > 5 * totals.plays);
    assert!(totals.forks > 0 && totals.ends > 0 && totals.cancelled > 0);
}

#[test]
fn plays_on_the_real_kernel() {
    let real = Real::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("files");
    let totals = perform_all(400, 100, 8, World::Real(real));
    assert!(totals.operations > 5 * totals.plays);
    assert!(totals.forks > 0 && totals.ends > 0 && totals.cancelled > 0);
}
