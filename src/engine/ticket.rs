//! [`Ticket`], which identifies an operation, and [`OwnerId`], which identifies the owner
//! of its slot.
//!
//! Two operations never have equal tickets: a ticket contains the index and the generation
//! of the slot (with `wraps`, its high part), and the id of the owner. The exceptions are
//! listed at [`OwnerId::next`].

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::tag::Tag;

/// The identifier of one operation of a queue, a scope or a reactor.
///
/// No other operation has an equal ticket, neither a later one in the same slot nor one
/// of another queue. (The number that identifies the queue repeats after 2³² queues.)
///
/// # Examples
/// The key of a table of operations:
/// ```
/// use linux_aio::{Errno, Queue, Ticket};
/// use std::collections::HashMap;
///
/// fn report(
///     queue: &mut Queue<'_, &'static mut [u8]>,
///     names: &mut HashMap<Ticket, String>,
/// ) -> Result<(), Errno> {
///     while let Some(done) = queue.pop()? {
///         let name = names.remove(&done.ticket);
///         println!("{name:?}: {:?}", done.result);
///     }
///     Ok(())
/// }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file = std::fs::File::open("/dev/null").unwrap();
/// # let mut queue = Queue::with_capacity(1)?;
/// # let ticket = queue.push(linux_aio::op::Read::new(&file, &mut [][..])).unwrap();
/// # let mut names = HashMap::from([(ticket, "null".to_string())]);
/// # queue.submit()?;
/// # report(&mut queue, &mut names)?;
/// # assert!(names.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) tag: Tag,
    pub(super) wraps: u32,
    pub(super) owner: OwnerId,
}

impl Ticket {
    /// The ticket of no operation.
    pub(crate) const NONE: Ticket = Ticket {
        tag: Tag::NONE,
        wraps: 0,
        owner: OwnerId(0),
    };
}

/// Identifies one owner of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnerId(u32);

impl OwnerId {
    /// Returns an id that no other owner has.
    ///
    /// The counter wraps after 2^32 owners. Two tickets are then equal only if their
    /// slots have the same index and generation as well. On m68k the same is true if
    /// two threads create owners at the same moment.
    pub(super) fn next() -> OwnerId {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        #[cfg(all(target_has_atomic = "32", not(target_arch = "m68k")))]
        let next = NEXT.fetch_add(1, Relaxed);
        // The MC68000 has no atomic add instruction, and a program without libc has no
        // function to replace it. Memory safety does not depend on it.
        #[cfg(target_arch = "m68k")]
        let next = {
            let next = NEXT.load(Relaxed);
            NEXT.store(next.wrapping_add(1), Relaxed);
            next
        };
        // This is a target without Linux, where no queue can be created.
        #[cfg(not(target_has_atomic = "32"))]
        let next = NEXT.load(Relaxed);
        OwnerId(next)
    }
}
