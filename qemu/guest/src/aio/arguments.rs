//! Arguments that select a part of the checks, or another action.

use core::ffi::CStr;

use linux_aio::rt::Process;

use super::disk::{self, Disk, Kind};
use super::processes;
use crate::check::Check;

/// Returns the exit status, if there was such an argument:
/// - `disk=PATH`, `late=PATH`: runs the checks of a disk, as described in `disk`;
/// - `exec-child:…`: the argument with which this program executes itself.
pub(crate) fn obeyed(check: &mut Check, process: Process) -> Option<i32> {
    let argument = process.args().nth(1)?;
    if let Some(letters) = argument.to_bytes().strip_prefix(processes::EXEC_CHILD) {
        return Some(processes::exec_child(letters));
    }
    for (prefix, kind) in [("disk=", Kind::Plain), ("late=", Kind::Late)] {
        if let Some(path) = after(argument, prefix) {
            disk::run(check, &Disk { path, kind });
            return Some(check.verdict());
        }
    }
    None
}

/// Returns the part of the argument after a prefix.
fn after<'a>(argument: &'a CStr, prefix: &str) -> Option<&'a CStr> {
    let rest = argument
        .to_bytes_with_nul()
        .strip_prefix(prefix.as_bytes())?;
    CStr::from_bytes_with_nul(rest).ok()
}
