//! The search for contexts, and whether it saw all of them.

use linux_aio::abi::AioContext;
use linux_aio::{Errno, sys};

use super::lines::{Entries, Lines};
use super::list::{List, sort};
use super::rings::{self, Ring};
use crate::args;
use crate::os::{self, At, CWD, File};
use crate::proc::{self, Limit};

/// A process that made contexts.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) process: u64,
    pub(super) contexts: u64,
    pub(super) bytes: u64,
    pub(super) least: u64,
    pub(super) most: u64,
    /// The number of completions in its rings, of those that can be read.
    pub(super) ready: Option<u64>,
    /// The index of its first context.
    first: usize,
}

/// A context, or the mapping of one that a child inherited.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) ring: Ring,
    /// The range of the number of events that it counts.
    pub(super) least: u64,
    pub(super) most: u64,
    /// The number of processes that inherited the mapping.
    pub(super) inherited: u64,
}

/// All that was found.
pub(super) struct Found {
    pub(super) directory: File,
    contexts: List<Context>,
    holders: List<Holder>,
    before: Option<Limit>,
    pub(super) limit: Option<Limit>,
    /// The sum of the ranges of all contexts.
    pub(super) least: u64,
    pub(super) most: u64,
    /// The number of processes that belong to others, and could not be read.
    pub(super) unread: u64,
    /// The first of these processes.
    pub(super) first_unread: u64,
    /// The last error that prevented reading a process, and the number of them.
    pub(super) failed: Option<Errno>,
    pub(super) failures: u64,
    /// The number of mappings of which it is not known whether they are rings.
    pub(super) unverified: u64,
    /// The number of mappings with the name of a ring that are none.
    pub(super) forged: u64,
    /// The number of contexts of gVisor, which show nothing of themselves.
    pub(super) empty: u64,
    /// True if `/proc` hides the processes of others (hidepid).
    pub(super) hides: bool,
    /// True if this is not the first PID namespace: there are processes outside.
    pub(super) is_inside: bool,
}

impl Found {
    /// Searches all processes in `/proc`. `device` is that of AIO's file system, as soon
    /// as it is known.
    ///
    /// # Errors
    /// Those of reading the directory `/proc`, and ENOMEM.
    pub(super) fn now(device: &mut Option<u64>) -> Result<Found, Errno> {
        /// The magic number of procfs.
        const PROC: u64 = 0x9fa0;
        let directory = os::open(CWD, c"/proc", os::O_RDONLY | os::O_DIRECTORY, 0)?;
        if os::file_system(&directory)? != PROC {
            return Err(Errno::NOENT);
        }
        let mut found = Found {
            directory,
            contexts: List::new()?,
            holders: List::new()?,
            before: Limit::now(),
            limit: None,
            least: 0,
            most: 0,
            unread: 0,
            first_unread: 0,
            failed: None,
            failures: 0,
            unverified: 0,
            forged: 0,
            empty: 0,
            hides: hides(),
            is_inside: is_inside(),
        };
        let mut entries = [0_u64; 512];
        loop {
            let filled = os::read_directory(&found.directory, &mut entries)?;
            if filled == 0 {
                break;
            }
            let mut rest = Entries::new(&entries, filled);
            while let Some(name) = rest.next() {
                if let Some(process) = args::number(name) {
                    found.look_at(process, name, device)?;
                }
            }
        }
        found.limit = Limit::now();
        found.sum_up()?;
        Ok(found)
    }

    fn look_at(&mut self, process: u64, id: &[u8], device: &mut Option<u64>) -> Result<(), Errno> {
        let proc = self.directory.at();
        let started = started(proc, id);
        let contexts = &mut self.contexts;
        let (unverified, forged) = (&mut self.unverified, &mut self.forged);
        let mut full = Ok(());
        let result = rings::each(proc, id, &mut |mut ring| {
            let real = match ring.check(proc, id) {
                Some(true) => {
                    *device = Some(ring.device);
                    true
                }
                Some(false) => false,
                None => {
                    if device.is_none() {
                        *device = own_device();
                    }
                    ring.is_real = *device == Some(ring.device);
                    *unverified += u64::from(device.is_none());
                    ring.is_real || device.is_none()
                }
            };
            if !real {
                *forged += 1;
                return Ok(());
            }
            (ring.process, ring.started) = (process, started);
            ring.read_header(proc, id);
            if !ring.is_dead {
                full = contexts.push(Context {
                    ring,
                    least: 0,
                    most: 0,
                    inherited: 0,
                });
            }
            full
        });
        full?;
        match result {
            Ok(empty) => self.empty += empty,
            // The process has ended meanwhile.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(Errno::ACCES | Errno::PERM) => {
                if self.unread == 0 {
                    self.first_unread = process;
                }
                self.unread += 1;
            }
            Err(errno) => {
                self.failed = Some(errno);
                self.failures += 1;
            }
        }
        Ok(())
    }

    /// Counts each context once, and adds up what each process holds.
    fn sum_up(&mut self) -> Result<(), Errno> {
        let contexts = self.contexts.as_slice();
        // The process that made a context was started before those that inherited it.
        sort(contexts, &|context| {
            [
                context.ring.inode,
                (context.ring.started << 24) | context.ring.process,
            ]
        });
        let (processors, page) = (processors(), os::page_size());
        let mut kept = List::<Context>::new()?;
        for context in contexts.iter() {
            if let Some(last) = kept.as_slice().last_mut() {
                if last.ring.inode == context.ring.inode {
                    last.inherited += 1;
                    continue;
                }
            }
            let mut context = *context;
            (context.least, context.most) = context.ring.events(processors, page);
            self.least += context.least;
            self.most += context.most;
            kept.push(context)?;
        }
        self.contexts = kept;
        self.narrow();

        let contexts = self.contexts.as_slice();
        sort(contexts, &|context| {
            [context.ring.process, u64::MAX - context.most]
        });
        for (index, context) in contexts.iter().enumerate() {
            let holders = self.holders.as_slice();
            if holders.last().map(|last| last.process) != Some(context.ring.process) {
                self.holders.push(Holder {
                    process: context.ring.process,
                    contexts: 0,
                    bytes: 0,
                    least: 0,
                    most: 0,
                    ready: None,
                    first: index,
                })?;
            }
            if let Some(holder) = self.holders.as_slice().last_mut() {
                holder.contexts += 1;
                holder.bytes += context.ring.bytes;
                holder.least += context.least;
                holder.most += context.most;
                if let Some(header) = context.ring.header {
                    holder.ready = Some(holder.ready.unwrap_or(0) + u64::from(header.ready));
                }
            }
        }
        sort(self.holders.as_slice(), &|holder| {
            [u64::MAX - holder.most, holder.process]
        });
        Ok(())
    }

    /// Narrows the ranges by the sum of all contexts, if all are seen: what one counts is
    /// the sum less what the others count.
    fn narrow(&mut self) {
        let Some(Limit { used, .. }) = self.limit else {
            return;
        };
        if self.may_miss() || used < self.least || used > self.most {
            return;
        }
        let (least, most) = (self.least, self.most);
        (self.least, self.most) = (0, 0);
        for context in self.contexts.as_slice().iter_mut() {
            let (low, high) = (context.least, context.most);
            context.least = low.max(used.saturating_sub(most - high));
            context.most = high.min(used - (least - low));
            self.least += context.least;
            self.most += context.most;
        }
    }

    /// Returns whether there are, or can be, processes that were not seen.
    fn may_miss(&self) -> bool {
        let blind = self.unread > 0 || self.failures > 0 || self.unverified > 0;
        blind || self.hides || self.is_inside
    }

    /// Returns whether the answer is the whole truth.
    pub(super) fn is_complete(&self) -> bool {
        let (fits, all) = match self.limit {
            // Contexts that were not seen would count something.
            Some(Limit { used, .. }) => {
                let fits = (self.least..=self.most).contains(&used);
                (fits, used == self.least)
            }
            // A kernel without AIO, if the parameters are not just hidden.
            None => (self.most == 0 && proc::has_sysctls(), false),
        };
        self.failures == 0 && self.unverified == 0 && fits && (all || !self.may_miss())
    }

    /// Returns whether contexts came or went during the search.
    pub(super) fn was_disturbed(&self) -> bool {
        let used = |limit: Option<Limit>| limit.map(|limit| limit.used);
        let now = used(self.limit).unwrap_or(self.least);
        used(self.before) != used(self.limit) || now < self.least
    }

    pub(super) fn holders(&mut self) -> &mut [Holder] {
        self.holders.as_slice()
    }

    /// Returns the contexts of a process, the largest first.
    pub(super) fn contexts_of(&mut self, holder: Holder) -> &mut [Context] {
        let range = holder.first..holder.first + holder.contexts as usize;
        self.contexts.as_slice().get_mut(range).unwrap_or(&mut [])
    }
}

/// Returns the time at which a process was started: the 22nd field of its `stat`.
fn started(proc: At, id: &[u8]) -> u64 {
    let mut buffer = [0; 1024];
    let text = rings::path(id, b"stat").and_then(|path| proc::read(proc, path.as_c(), &mut buffer));
    let Ok(text) = text else { return 0 };
    // The name, the second field, is in parentheses and may contain any character.
    let after = text.iter().rposition(|&byte| byte == b')').unwrap_or(0);
    let mut fields = text[after..].split(|&byte| byte == b' ');
    fields.nth(20).and_then(args::number).unwrap_or(0)
}

/// Returns the device of AIO's file system, from a context that a child makes.
fn own_device() -> Option<u64> {
    let memory = os::Memory::shared(size_of::<u64>()).ok()?;
    let device = memory.address().cast::<u64>();
    let Some(child) = os::fork().ok()? else {
        let mut raw = AioContext::NONE;
        // SAFETY: the kernel writes one word.
        let made = unsafe { sys::io_setup(1, &raw mut raw) };
        let proc = os::open(CWD, c"/proc", os::O_RDONLY | os::O_DIRECTORY, 0);
        if let (Ok(()), Ok(proc)) = (made, proc) {
            let _ = rings::each(proc.at(), b"self", &mut |ring| {
                // SAFETY: the shared mapping has room for the number, and the parent
                // reads it only when this child has ended.
                unsafe { device.write(ring.device + 1) };
                Ok(())
            });
        }
        linux_aio::rt::exit(0);
    };
    os::wait_for(child).ok()?;
    // SAFETY: the mapping lives, and the child that wrote to it has ended.
    unsafe { device.read() }.checked_sub(1)
}

/// Returns the number of possible processors, from a list like `0-1,4`.
fn processors() -> u64 {
    let mut buffer = [0; 64];
    let path = c"/sys/devices/system/cpu/possible";
    let text = proc::read(CWD, path, &mut buffer).unwrap_or(b"");
    let last = text
        .trim_ascii()
        .rsplit(|&byte| matches!(byte, b'-' | b','))
        .next();
    // Without the file, a number that makes the ranges wide rather than wrong.
    last.and_then(args::number).map_or(256, |last| last + 1)
}

/// Returns whether `/proc` hides processes of other users.
fn hides() -> bool {
    if os::user() == 0 {
        return false;
    }
    let Ok(mounts) = os::open(CWD, c"/proc/self/mountinfo", os::O_RDONLY, 0) else {
        return true;
    };
    let mut lines = Lines::new(&mounts);
    while let Ok(Some(line)) = lines.next() {
        let is_proc = line.split(|&byte| byte == b' ').nth(4) == Some(b"/proc");
        let option = line
            .split(|&byte| matches!(byte, b' ' | b','))
            .find_map(|option| option.strip_prefix(b"hidepid="));
        if is_proc && option.is_some_and(|value| value != b"0" && value != b"off") {
            return true;
        }
    }
    false
}

/// Returns whether this PID namespace is inside another one.
fn is_inside() -> bool {
    // The first one has a fixed inode.
    const FIRST: u64 = 0xefff_fffc;
    let file = os::open(CWD, c"/proc/self/ns/pid", os::O_RDONLY, 0);
    match file.and_then(|file| os::stat_file(&file)) {
        Ok(stat) => stat.stx_ino != FIRST,
        // A kernel without PID namespaces.
        Err(errno) => errno != Errno::NOENT,
    }
}
