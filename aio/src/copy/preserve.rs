//! Metadata of the source that the copy keeps (`--preserve`).

use core::ffi::CStr;

use linux_aio::Errno;

use super::Options;
use crate::os::{self, File, Memory, Stat};
use crate::path::Shown;
use crate::print::{Text, notice};

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Preserve {
    pub(super) mode: bool,
    pub(super) ownership: bool,
    pub(super) timestamps: bool,
    pub(super) attributes: bool,
}

impl Preserve {
    /// Parses a list in cp's format; `None` for an unknown word.
    pub(super) fn parse(list: &[u8]) -> Option<Preserve> {
        let mut preserve = Preserve::default();
        for word in list.split(|&byte| byte == b',') {
            let all = word == b"all";
            let known = [
                (&mut preserve.mode, &b"mode"[..]),
                (&mut preserve.ownership, b"ownership"),
                (&mut preserve.timestamps, b"timestamps"),
                (&mut preserve.attributes, b"xattr"),
            ];
            let mut found = all;
            for (set, name) in known {
                if all || word == name {
                    *set = true;
                    found = true;
                }
            }
            if !found {
                return None;
            }
        }
        Some(preserve)
    }

    /// Sets the selected metadata of the target. A failure is reported, and does not
    /// fail the copy.
    pub(super) fn apply(self, options: &Options, source: &File, stat: &Stat, target: &File) {
        let warn = |what: &'static str, result: Result<(), Errno>| {
            if let Err(errno) = result {
                let name = Shown(options.target);
                notice(format_args!(
                    "copy: {name}: {} not kept: {errno}",
                    Text(what)
                ));
            }
        };
        if self.ownership {
            let all = os::fchown(target, stat.stx_uid, stat.stx_gid);
            // An unprivileged user may still set the group.
            if all.is_err() {
                let _ = os::fchown(target, u32::MAX, stat.stx_gid);
            }
            warn("owner", all);
        }
        if self.attributes {
            warn("attributes", attributes(source, target));
        }
        if self.mode {
            let permissions = u32::from(stat.stx_mode) & 0o777;
            warn("access list", access_list(source, target));
            warn("mode", os::fchmod(target, permissions));
        }
        // The times come last, because all other changes may modify them.
        if self.timestamps {
            warn("times", os::set_times(target, stat));
        }
    }
}

/// The longest list of names, and the longest value, that the kernel accepts.
const MOST: usize = 64 << 10;

/// Copies the extended attributes in the `user` namespace; others concern privileges.
/// All are tried, and the first error is returned.
fn attributes(source: &File, target: &File) -> Result<(), Errno> {
    let memory = Memory::new(2 * MOST)?;
    // SAFETY: the mapping has `2 * MOST` zeroed bytes, it outlives the slice, and no
    // other reference to them exists.
    let memory = unsafe { core::slice::from_raw_parts_mut(memory.address(), 2 * MOST) };
    let (names, value) = memory.split_at_mut(MOST);
    let names = match os::attributes(source, names) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        other => other?,
    };
    let mut all = Ok(());
    for name in names.split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if name.to_bytes().starts_with(b"user.") {
            let set = match os::attribute(source, name, value) {
                // The attribute was removed meanwhile.
                Err(Errno::NODATA) => Ok(()),
                other => other.and_then(|value| set_attribute(target, name, value)),
            };
            all = all.and(set);
        }
    }
    all
}

/// Sets an attribute of the target, even if its permissions forbid writing.
///
/// The permissions of the file are checked, not the mode in which it was opened.
fn set_attribute(target: &File, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    match os::set_attribute(target, name, value) {
        Err(Errno::ACCES) => {
            let permissions = u32::from(os::stat_file(target)?.stx_mode) & 0o777;
            os::fchmod(target, permissions | 0o200)?;
            let set = os::set_attribute(target, name, value);
            os::fchmod(target, permissions)?;
            set
        }
        other => other,
    }
}

/// Copies the access list.
///
/// This must precede setting the permissions, because their group bits are the mask of
/// a list.
fn access_list(source: &File, target: &File) -> Result<(), Errno> {
    const NAME: &CStr = c"system.posix_acl_access";
    let mut value = [0; 4096];
    match os::attribute(source, NAME, &mut value) {
        // The source has no access list, so one that the target has, from its directory
        // or from before, is removed.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => {
            match os::remove_attribute(target, NAME) {
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
                other => other,
            }
        }
        other => os::set_attribute(target, NAME, other?),
    }
}
