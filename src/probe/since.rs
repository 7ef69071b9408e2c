//! The versions of the kernel since which it has each flag. The unit tests and
//! `tests/probe.rs` share this file.

use super::RwFlags;

/// The flags with the version since which the kernel has them.
pub(super) const SINCE: [(RwFlags, (u32, u32)); 8] = [
    (RwFlags::HIPRI, (4, 13)),
    (RwFlags::DSYNC, (4, 13)),
    (RwFlags::SYNC, (4, 13)),
    (RwFlags::NOWAIT, (4, 14)),
    (RwFlags::APPEND, (4, 16)),
    (RwFlags::NOAPPEND, (6, 9)),
    (RwFlags::ATOMIC, (6, 11)),
    (RwFlags::DONTCACHE, (6, 14)),
];
