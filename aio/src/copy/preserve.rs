//! What the copy is to have of its source besides the data (`--preserve`).

use core::ffi::CStr;

use linux_aio::Errno;

use super::Options;
use crate::os::{self, File, Stat};
use crate::path::Shown;
use crate::print::{Text, complain};

#[derive(Clone, Copy, Default)]
pub(super) struct Preserve {
    pub(super) mode: bool,
    pub(super) ownership: bool,
    pub(super) timestamps: bool,
    pub(super) attributes: bool,
}

impl Preserve {
    /// From a list as cp has it; `None` for another word.
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

    /// Gives the target what it is to have. What is refused is told, and is no
    /// reason to give up the copy.
    pub(super) fn apply(self, options: &Options, source: &File, stat: &Stat, target: &File) {
        let told = |what: &'static str, result: Result<(), Errno>| {
            if let Err(errno) = result {
                let name = Shown(options.target);
                complain(format_args!(
                    "copy: {name}: {} not kept: {errno}",
                    Text(what)
                ));
            }
        };
        if self.ownership {
            told("owner", os::fchown(target, stat.stx_uid, stat.stx_gid));
        }
        if self.attributes {
            told("attributes", attributes(source, target));
        }
        if self.mode {
            let permissions = u32::from(stat.stx_mode) & 0o777;
            told("mode", os::fchmod(target, permissions));
            told("access list", access_list(source, target));
        }
        // At last, as all before may change them.
        if self.timestamps {
            told("times", os::set_times(target, stat));
        }
    }
}

/// Those that users give; others are about privileges.
fn attributes(source: &File, target: &File) -> Result<(), Errno> {
    let (mut names, mut value) = ([0; 4096], [0; 4096]);
    let names = match os::attributes(source, &mut names) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        other => other?,
    };
    for name in names.split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if name.to_bytes().starts_with(b"user.") {
            match os::attribute(source, name, &mut value) {
                // It went away meanwhile.
                Err(Errno::NODATA) => {}
                other => os::set_attribute(target, name, other?)?,
            }
        }
    }
    Ok(())
}

fn access_list(source: &File, target: &File) -> Result<(), Errno> {
    const NAME: &CStr = c"system.posix_acl_access";
    let mut value = [0; 4096];
    match os::attribute(source, NAME, &mut value) {
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        other => os::set_attribute(target, NAME, other?),
    }
}
