//! Performs random plans.

use std::cell::RefCell;
use std::ops::AddAssign;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Performs `PROPTEST_CASES` plans, or a default number, and returns the sum of their
/// counters. A failure is shrunk to the shortest plan that still fails. The current
/// plan is written to the file named by `MODEL_TRACE`, for plans that never end.
pub(crate) fn perform_all<
    P: Clone + core::fmt::Debug,
    T: Default + AddAssign + core::fmt::Debug,
>(
    cases: u32,
    plans: &impl Strategy<Value = P>,
    mut perform: impl FnMut(&P) -> Result<T, String>,
) -> T {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let trace = std::env::var_os("MODEL_TRACE");
    let totals = RefCell::new((T::default(), &mut perform));
    let outcome = TestRunner::new(config).run(plans, |plan| {
        if let Some(trace) = &trace {
            std::fs::write(trace, format!("{plan:#?}")).expect("a file to write to");
        }
        let (totals, perform) = &mut *totals.borrow_mut();
        *totals += perform(&plan).map_err(TestCaseError::fail)?;
        Ok(())
    });
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
    let totals = totals.into_inner().0;
    println!("{totals:?}");
    totals
}
