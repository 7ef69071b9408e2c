//! Random scenarios for the reactor, on the kernel model.
#![cfg(feature = "properties")]

mod support;

use model::stateful::reactor::{perform, plan};
use support::perform_all;

/// Silences the panic messages of futures polled after their completion: these panics
/// are expected and frequent.
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
    silence();
    let totals = perform_all(3000, &plan(80, false), perform);
    assert!(totals.resolved > totals.operations / 4);
    assert!(totals.leaked > 0 && totals.owners > 3000 && totals.forks > 0 && totals.waited > 0);
}

#[test]
fn user_code_may_call_back_and_panic_wherever_it_runs() {
    silence();
    let totals = perform_all(3000, &plan(80, true), perform);
    assert!(totals.resolved > totals.operations / 4);
    assert!(totals.injected > totals.operations / 4);
}
