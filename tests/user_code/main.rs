//! Tests user code that the safe layers call: wakers, destructors, `IoBuf::region`,
//! `OwnsFd`, `Into<Op>` and `Lock`. At each of these points the user code calls back
//! into the layer, or panics. Afterwards every other task is woken, every payload has
//! been dropped once, every slot can be used and no result is lost.
//!
//! The lock of the reactors records when it is held, which verifies that no user code
//! runs then.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod ends;
mod fixture;
mod hooks;
mod layers;
mod panics;
mod reactor;
#[path = "../support/mod.rs"]
mod support;
