//! Disk, soon.
use crate::check::Check;
use core::ffi::CStr;
pub(crate) struct Disk<'a> {
    pub path: &'a CStr,
    pub kind: Kind,
}
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Plain,
    Late,
}
pub(crate) fn run(_check: &mut Check, _disk: &Disk<'_>) {}
