//! Random scenarios for scopes, on the kernel model.
#![cfg(feature = "properties")]

mod support;

use model::stateful::scope::{perform, plan};
use support::perform_all;

#[test]
fn a_scope_ends_when_its_operations_have() {
    let totals = perform_all(3000, &plan(40, false), perform);
    assert!(totals.waited > totals.scopes && totals.panics > 0 && totals.forks > 0);
    assert!(totals.destroyed > 0 && totals.unknown > 0);
}

#[test]
fn user_code_may_call_back_and_panic_in_a_scope() {
    let totals = perform_all(3000, &plan(40, true), perform);
    assert!(totals.injected > totals.scopes);
}
