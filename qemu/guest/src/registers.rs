//! Registers: what is live around a stub must be the same after it.
pub(crate) fn run(_: &mut crate::check::Check) {}
