//! Random scenarios for the reactor, on the kernel model.
#![cfg(feature = "properties")]

use std::cell::Cell;

use model::play::reactor::{Totals, perform, plan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// So many scenarios, or what PROPTEST_CASES says. A fault is shrunk.
fn perform_all(cases: u32, steps: usize, wild: bool) -> Totals {
    silence();
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let totals = Cell::new(Totals::default());
    let outcome = TestRunner::new(config).run(&plan(steps, wild), |plan| {
        let mut sum = totals.get();
        sum += perform(&plan).map_err(TestCaseError::fail)?;
        totals.set(sum);
        Ok(())
    });
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
    println!("{:?}", totals.get());
    totals.get()
}

/// The panics of futures that are polled after their end are wanted, and many.
fn silence() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let message = info.payload().downcast_ref::<&str>();
            if !message.is_some_and(|m| m.starts_with("a future of a reactor")) {
                hook(info);
            }
        }));
    });
}

#[test]
fn futures_get_their_slots_in_order_and_their_results() {
    let totals = perform_all(3000, 80, false);
    assert!(totals.resolved > totals.operations / 4);
    assert!(totals.leaked > 0 && totals.owners > 3000 && totals.forks > 0 && totals.waited > 0);
}

#[test]
fn user_code_may_call_back_and_panic_wherever_it_runs() {
    let totals = perform_all(3000, 80, true);
    assert!(totals.resolved > totals.operations / 4);
    assert!(totals.injected > totals.operations / 4);
}
