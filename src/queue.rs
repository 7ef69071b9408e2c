//! [`Queue`]: asynchronous operations that own their buffers.
//!
//! The owner stages operations, submits them in batches, and takes their completions. A
//! buffer moves into its slot with [`push`](Queue::push) and out of it with the
//! completion.
//!
//! # Invariants
//! - The iocb of a staged or submitted operation describes only memory of the buffer in
//!   the same slot. The buffer is inaccessible until the operation has completed.
//! - Each operation pushed comes back exactly once.
//! - User code runs only while the engine is not borrowed: see
//!   [`engine`](crate::engine).

use core::fmt;
use core::mem::MaybeUninit;

use crate::buffer::IoBuf;
use crate::completion::{Completion, Full, fill, is_refusal, result};
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::context::SubmitError;
use crate::context::WaitOptions;
use crate::engine::{ContextBackend, Engine, OpState, Released, SlotOffset, Ticket, slot_type};
use crate::fd::{DefaultEventfd, Fd};
use crate::op::Op;
use crate::ring::Polled;
use crate::sys::abi::Iocb;
use crate::sys::errno::Errno;

slot_type! {
    /// The storage of one operation of a [`Queue`], with space for its buffer `B` and for
    /// data `T` that the caller chooses.
    ///
    /// Dropping a slot does not drop what is in it: if the queue was leaked, the kernel
    /// may still be writing to the buffer.
    ///
    /// ```
    /// let slots = linux_aio::Slot::<Box<[u8]>>::array::<64>();
    /// assert_eq!(slots.len(), 64);
    ///
    /// // A depth that is known at run time only, in memory from anywhere.
    /// # let depth = 7;
    /// let mut memory = [const { std::mem::MaybeUninit::uninit() }; 64];
    /// let slots = linux_aio::Slot::<&'static mut [u8]>::init_slice(&mut memory[..depth]);
    /// assert_eq!(slots.len(), depth);
    /// ```
    Slot<B, T = ()> = (Option<B>, T), ();
    example "Slot::<&'static mut [u8]>";
}

/// A queue of asynchronous operations that own their buffers.
///
/// The queue keeps its operations in slots that the caller provides
/// ([`new`](Queue::new)), and allocates nothing; with the feature `alloc` it can allocate
/// the slots once (`with_capacity`). Its interface is safe: a buffer moves into the queue
/// with its operation, is inaccessible while the kernel uses it, and is returned with the
/// result.
///
/// - `'q` is the lifetime of the slots, and of the descriptors that operations borrow.
/// - `B` is the type of the buffers ([`IoBuf`]).
/// - `T` is the type of the user data, a value that is stored with each operation and
///   returned with its completion: the owner of a descriptor, a number, any value.
///
/// An operation passes through these steps:
/// 1. [`push`](Queue::push) moves it into a free slot: it is *staged*.
/// 2. [`submit`](Queue::submit), or a function that waits, submits the staged operations,
///    up to 512 with one `io_submit(2)`: they are *in flight*. The kernel performs
///    buffered file I/O inside this system call ([`Read`](crate::op::Read)).
/// 3. [`wait`](Queue::wait) and [`pop`](Queue::pop) return the completions, in the order
///    in which the operations complete, and free the slots.
///
/// Every operation pushed is returned exactly once: as a completion, or by
/// [`unstage`](Queue::unstage).
///
/// A queue is used by one thread at a time. [`split`](crate::split) divides it between a
/// thread that submits and one that waits.
///
/// # Dropping
/// Dropping a queue destroys its context, and then drops the buffers. This **blocks until
/// every submitted operation has completed**; no signal interrupts it, and it takes tens
/// of milliseconds even if nothing is in flight. [`Queue::into_idle_context`] returns the
/// context for reuse in its place.
///
/// Operations that are only staged are not submitted: call [`drain`](Queue::drain) to
/// complete them. If the context cannot be destroyed (in a forked child, after the ring was
/// unmapped, or where a sandbox forbids `io_destroy(2)`), nothing is waited for, and the
/// buffers of the operations in flight are leaked, because the kernel may still use them.
/// A queue that is leaked (`mem::forget`) leaks its buffers and the context; the slots may
/// be used again.
///
/// # Fork
/// A forked child cannot use a queue of its parent. A function that would submit, wait
/// for or take operations fails with EINVAL there (see
/// [`Context`](crate::Context#fork)). Dropping the queue in the child completes no
/// operation, and leaks the buffers of those that were in flight.
///
/// # Examples
/// ```
/// use linux_aio::Queue;
/// use linux_aio::op::Read;
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut queue = Queue::with_capacity(8)?;
/// for block in 0..2 {
///     queue.push(Read::new(&file, vec![0; 2048]).offset(2048 * block)).unwrap();
/// }
/// // Submits both with one system call, and waits.
/// while let Some(done) = queue.wait()? {
///     let bytes = done.result?;
///     let buffer = done.buffer.unwrap();
///     println!("{:x?}", &buffer[..bytes.min(4)]);
/// }
/// # Ok(())
/// # }
/// ```
///
/// Without an allocator, the slots and the buffers are the caller's:
/// ```
/// use linux_aio::op::Read;
/// use linux_aio::{Errno, Queue, Slot};
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let memory: &'static mut [u8; 4096] = Box::leak(Box::new([0; 4096]));
/// let (first, second) = memory.split_at_mut(2048);
///
/// let mut slots = Slot::<&mut [u8]>::array::<8>();
/// let mut queue = Queue::new(&mut slots)?;
/// queue.push(Read::new(&file, first)).unwrap();
/// queue.push(Read::new(&file, second).offset(2048)).unwrap();
/// // Submits both with one system call, and waits.
/// while let Some(done) = queue.wait()? {
///     let bytes = done.result?;
///     let buffer = done.buffer.unwrap();
///     println!("{:x?}", &buffer[..bytes.min(4)]);
/// }
/// # Ok(())
/// # }
/// ```
// The engine comes first, so that the offsets in it are small, and the instructions short.
#[repr(C)]
pub struct Queue<'q, B: IoBuf + 'static, T = ()> {
    pub(crate) engine: Engine<'q, (Option<B>, T), (), ContextBackend>,
    /// The number of operations the context was set up for, which may exceed the number
    /// of slots.
    capacity: u32,
    /// It follows `engine`, because it is dropped after the context has been destroyed.
    eventfd: DefaultEventfd<'q>,
}

impl<'q, B: IoBuf + 'static, T> Queue<'q, B, T> {
    /// Creates a queue in these slots, with a new context for as many operations.
    ///
    /// # Errors
    /// Those of [`Context::new`], for as many operations as there are slots. EINVAL if
    /// there is no slot.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Queue, Slot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = Slot::<&'static mut [u8]>::array::<8>();
    /// let queue = Queue::new(&mut slots)?;
    /// assert_eq!(queue.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[doc(alias("io_queue_init", "aio_init"))]
    pub fn new(slots: &'q mut [Slot<B, T>]) -> Result<Queue<'q, B, T>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Queue::with_context(IdleContext::new(nr)?, slots))
    }

    /// Creates a queue with this number of slots on the heap, which it owns, and a new
    /// context for as many operations.
    ///
    /// Such a queue can have the lifetime `'static`. If its operations own their
    /// descriptors ([`Read::owned`](crate::op::Read::owned)), a structure can hold it
    /// beside the files, as in the example. Dropping the queue frees the slots; if its
    /// context cannot be destroyed, they are leaked with the buffers in them.
    ///
    /// # Errors
    /// Those of [`Context::new`]. ENOMEM also if the slots cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Read;
    /// use linux_aio::{Errno, Queue};
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// struct Reader {
    ///     file: Arc<File>,
    ///     queue: Queue<'static, Vec<u8>, Arc<File>>,
    /// }
    ///
    /// let mut reader = Reader {
    ///     file: Arc::new(File::open("/proc/self/exe").unwrap()),
    ///     queue: Queue::with_capacity(128)?,
    /// };
    /// let read = Read::owned(reader.file.clone(), vec![0; 4]);
    /// reader.queue.push(read).unwrap();
    /// let done = reader.queue.wait()?.unwrap();
    /// assert_eq!(done.buffer.unwrap(), b"\x7fELF");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "alloc")]
    pub fn with_capacity(capacity: u32) -> Result<Queue<'q, B, T>, Errno> {
        let context = IdleContext::new(capacity)?;
        let engine = Engine::with_capacity(context.capacity(), context.into_backend())?;
        Ok(Queue {
            engine,
            capacity,
            eventfd: DefaultEventfd::NONE,
        })
    }

    /// Creates a queue in these slots on an existing context. The queue uses no more
    /// slots than the number of operations that the context was set up for
    /// ([`IdleContext::capacity`]).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Errno, IdleContext, Queue, Slot};
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let mut context = IdleContext::new(4)?;
    /// for _ in 0..3 {
    ///     let mut slots = Slot::<&mut [u8]>::array::<8>();
    ///     let queue = Queue::with_context(context, &mut slots);
    ///     assert_eq!(queue.capacity(), 4);
    ///     // Push operations, and take their completions.
    ///     context = queue.into_idle_context()?;
    /// }
    /// # Ok::<(), Errno>(())
    /// ```
    pub fn with_context(context: IdleContext, slots: &'q mut [Slot<B, T>]) -> Queue<'q, B, T> {
        let capacity = context.capacity();
        let len = slots.len().min(capacity);
        Queue {
            capacity: capacity as u32,
            engine: Engine::new(Slot::raw(&mut slots[..len]), context.into_backend()),
            eventfd: DefaultEventfd::NONE,
        }
    }

    /// Sets an eventfd that every operation submitted from here on signals when it has
    /// completed (its counter is incremented by one), as
    /// [`Read::eventfd`](crate::op::Read::eventfd) does for one operation. An operation
    /// with an eventfd of its own signals only that one.
    ///
    /// An operation that the kernel refuses, or that is cancelled before it is submitted,
    /// signals nothing: call [`pop`](Queue::pop) after each [`flush`](Queue::flush) and
    /// each [`cancel`](Queue::cancel). If the descriptor is not an eventfd, every operation
    /// is refused with EINVAL.
    ///
    /// A second eventfd replaces the first. Operations that are staged then may signal either
    /// of them: those that the kernel did not take, and those that were staged in a
    /// [`SplitQueue`](crate::split::SplitQueue), keep the first.
    ///
    /// # Examples
    /// One iteration of an event loop, when the eventfd, which is non-blocking, is readable:
    /// ```
    /// # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
    /// # #[cfg(all(feature = "std", target_os = "linux"))] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::{Errno, Queue};
    /// use std::fs::File;
    /// use std::io::Read as _;
    ///
    /// fn on_readable(mut eventfd: &File, queue: &mut Queue<'_, Vec<u8>>) -> Result<(), Errno> {
    ///     // Reset before the completions are taken: a later one signals again.
    ///     let _ = eventfd.read(&mut [0; 8]);
    ///     // The second time, what had no free entry in the context before is submitted.
    ///     for _ in 0..2 {
    ///         queue.flush();
    ///         while let Some(done) = queue.pop()? {
    ///             println!("{:?}", done.result);
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # use std::os::fd::FromRawFd;
    /// # // SAFETY: eventfd(2) accesses no memory.
    /// # let raw = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    /// # assert!(raw >= 0);
    /// # // SAFETY: the descriptor is new, and nothing else owns it.
    /// # let eventfd = unsafe { File::from_raw_fd(raw) };
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::with_capacity(4)?.eventfd(&eventfd);
    /// for block in 0..3 {
    ///     queue.push(Read::new(&file, vec![0; 16]).offset(16 * block)).unwrap();
    /// }
    /// queue.flush();
    /// # if queue.in_flight() < 3 { return Ok(()) }
    /// // Each operation has added 1.
    /// let mut count = [0; 8];
    /// (&eventfd).read_exact(&mut count).unwrap();
    /// assert_eq!(u64::from_ne_bytes(count), 3);
    /// on_readable(&eventfd, &mut queue)?;
    /// assert_eq!(queue.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn eventfd(mut self, eventfd: impl Into<Fd<'q>>) -> Queue<'q, B, T> {
        self.eventfd.borrow(eventfd.into());
        self.signal_by_default();
        self
    }

    /// Sets an eventfd that the queue owns and keeps open, such as an `Arc` of it or a
    /// duplicate. Otherwise as [`eventfd`](Queue::eventfd).
    ///
    /// The owner is dropped after the context has been destroyed or, by
    /// [`into_idle_context`](Queue::into_idle_context), after the last operation has
    /// completed. A queue that is leaked leaks it.
    ///
    /// # Examples
    /// A structure with a queue and its eventfd:
    /// ```
    /// # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
    /// # #[cfg(all(feature = "std", target_os = "linux"))] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use std::fs::File;
    /// use std::os::fd::OwnedFd;
    /// use std::sync::Arc;
    ///
    /// struct Engine {
    ///     file: Arc<File>,
    ///     eventfd: Arc<OwnedFd>,
    ///     queue: Queue<'static, Vec<u8>, Arc<File>>,
    /// }
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # use std::os::fd::FromRawFd;
    /// # // SAFETY: eventfd(2) accesses no memory.
    /// # let raw = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    /// # assert!(raw >= 0);
    /// # // SAFETY: the descriptor is new, and nothing else owns it.
    /// # let eventfd = unsafe { OwnedFd::from_raw_fd(raw) };
    /// let eventfd: Arc<OwnedFd> = Arc::new(eventfd);
    /// let mut engine = Engine {
    ///     file: Arc::new(File::open("/proc/self/exe").unwrap()),
    ///     queue: Queue::with_capacity(4)?.eventfd_owned(eventfd.clone()),
    ///     eventfd,
    /// };
    /// let read = Read::owned(engine.file.clone(), vec![0; 4]);
    /// engine.queue.push(read).unwrap();
    /// # engine.queue.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn eventfd_owned(
        mut self,
        eventfd: impl crate::fd::OwnsFd + Send + Sync + 'static,
    ) -> Queue<'q, B, T> {
        self.eventfd.own(eventfd);
        self.signal_by_default();
        self
    }

    fn signal_by_default(&mut self) {
        if let Some(eventfd) = self.eventfd.get() {
            self.engine.signal_by_default(eventfd);
        }
    }

    /// Stages an operation, and returns the ticket that identifies it.
    ///
    /// No system call is made: [`submit`](Queue::submit), [`flush`](Queue::flush), or a
    /// function that waits submits the operation. A borrowed descriptor must outlive the
    /// queue (`'q`).
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken. An operation keeps its
    /// slot until its completion has been returned.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(1)?;
    /// let ticket = queue.push(Read::new(&file, vec![0; 4])).unwrap();
    /// // The only slot is taken, and the second operation is returned.
    /// let full = queue.push(Read::new(&file, vec![0; 4]).offset(4)).unwrap_err();
    /// assert_eq!(queue.wait()?.unwrap().ticket, ticket);
    /// queue.push(full.0).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn push(&mut self, op: impl Into<Op<'q, B, T>>) -> Result<Ticket, Full<Op<'q, B, T>>> {
        let op = op.into();
        if !self.engine.slots.reserve() {
            return Err(Full(op));
        }
        let (iocb, payload) = op.prepare();
        Ok(self.stage(&iocb, payload))
    }

    /// Stages an operation in a slot that was reserved. Runs no user code.
    #[inline]
    pub(crate) fn stage(&mut self, iocb: &Iocb, payload: MaybeUninit<(Option<B>, T)>) -> Ticket {
        self.engine.slots.stage_reserved(iocb, payload, ())
    }

    /// Submits the staged operations in order, up to 512 of them with one `io_submit(2)`.
    /// Returns the number of operations submitted. Buffered file I/O runs inside these system calls.
    ///
    /// # Errors
    /// Returns the number of operations submitted, and the error with which the kernel
    /// refused the next one: one of those listed at [`Context::submit`]. The refused
    /// operation and all behind it stay staged, in order. After EAGAIN (the context has no
    /// free entry), take some completions and submit again. After any other error, remove
    /// the refused operation with [`unstage`](Queue::unstage); otherwise every submission
    /// begins with it. [`flush`](Queue::flush) converts refused operations into completions
    /// instead.
    ///
    /// # Examples
    /// A refused operation is removed, and those behind it are submitted:
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::{Errno, Queue};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let read_only = File::open("/dev/null").unwrap();
    /// let write_only = File::create("/dev/null").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// queue.push(Read::new(&read_only, vec![0; 4])).unwrap();
    /// let refused = queue.push(Read::new(&write_only, vec![0; 4])).unwrap();
    /// queue.push(Read::new(&read_only, vec![0; 4])).unwrap();
    ///
    /// let error = queue.submit().unwrap_err();
    /// assert_eq!((error.submitted, error.errno), (1, Errno::BADF));
    /// let (ticket, _buffer, ()) = queue.unstage().unwrap();
    /// assert_eq!(ticket, refused);
    /// assert_eq!(queue.submit(), Ok(1));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    #[doc(alias("lio_listio", "LIO_NOWAIT", "io_submit"))]
    pub fn submit(&mut self) -> Result<usize, SubmitError> {
        // SAFETY: `push` is the only function that stages. Each iocb describes the
        // region of an `IoBuf`, which is in the slot and inaccessible until the
        // operation has completed. If the queue is leaked, the buffer stays valid: it is
        // `'static`. The descriptor is borrowed for `'q`, or owned by the data in the
        // slot. The eventfd is borrowed for `'q`, or owned by the queue.
        unsafe { self.engine.submit() }
    }

    /// Submits the staged operations, as the functions that wait do. An operation that the
    /// kernel refuses is returned as a completion with the error as its result
    /// ([`Completion::refused`]), and the operations behind it are submitted.
    ///
    /// If the context has no free entry while operations are in flight (EAGAIN), the
    /// remaining ones stay staged.
    ///
    /// # Event loops
    /// A loop that waits for an [eventfd](Queue::eventfd) has to call
    ///
    /// - [`pop`](Queue::pop) until it returns `None` after each `flush`, because a refused
    ///   operation does not signal its eventfd;
    /// - `flush` again, and then `pop`, after completions were taken, because nothing else
    ///   submits the operations that stayed staged.
    ///
    /// Operations that stay staged then have others in flight, whose completions signal the
    /// eventfd. Such a loop ends when both [`staged`](Queue::staged) and
    /// [`in_flight`](Queue::in_flight) are 0.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Fsync;
    /// use linux_aio::{Errno, Fd, Queue, Slot};
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let mut slots = Slot::<()>::array::<4>();
    /// let mut queue = Queue::new(&mut slots)?;
    /// // SAFETY: no descriptor has the number -1, so the kernel refuses the operation.
    /// let closed = unsafe { Fd::borrow_raw(-1) };
    /// queue.push(Fsync::new(closed)).unwrap();
    /// queue.flush();
    /// let done = queue.pop()?.unwrap();
    /// assert!(done.refused && done.result.is_err());
    /// # Ok::<(), Errno>(())
    /// ```
    pub fn flush(&mut self) {
        // SAFETY: every staged operation was staged by `push`: its iocb describes only
        // the buffer in its slot, which is inaccessible until the operation has
        // completed, and its descriptor is borrowed for `'q` or owned by the slot.
        unsafe { self.engine.flush() };
    }

    /// Removes the first staged operation, and returns its ticket, its buffer and its
    /// data. Returns `None` if nothing is staged. The ticket is invalidated.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Poll;
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::{Errno, Fd, Queue, Slot};
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let mut slots = Slot::<(), &str>::array::<4>();
    /// let mut queue = Queue::new(&mut slots)?;
    /// // SAFETY: standard input stays open.
    /// let stdin = unsafe { Fd::borrow_raw(0) };
    /// let ticket = queue.push(Poll::new(stdin, PollMask::IN).data("stdin")).unwrap();
    /// assert_eq!(queue.unstage(), Some((ticket, None, "stdin")));
    /// assert!(!queue.contains(ticket));
    /// # Ok::<(), Errno>(())
    /// ```
    pub fn unstage(&mut self) -> Option<(Ticket, Option<B>, T)> {
        let at = self.engine.slots.unstage_first()?;
        let released = self.engine.slots.release(at);
        let (buffer, data) = released.payload;
        Some((released.ticket, buffer, data))
    }

    /// Returns the next completion, if there is one, without waiting. Staged operations
    /// are not submitted.
    ///
    /// No system call is made where the ring is mapped
    /// ([`Ring::is_mapped`](crate::Ring::is_mapped)) and forked children are detected by a
    /// mark (Linux 4.14, see [`Context`](crate::Context#fork)).
    ///
    /// # Errors
    /// None while the ring is mapped and valid. Otherwise those of [`Context::wait`]
    /// except EINTR; EINVAL in a forked child.
    ///
    /// # Examples
    /// Taking the available completions:
    /// ```
    /// # use linux_aio::{Errno, Queue};
    /// fn reap(queue: &mut Queue<'_, &'static mut [u8]>) -> Result<(), Errno> {
    ///     while let Some(done) = queue.pop()? {
    ///         println!("{:?}: {:?}", done.ticket, done.result);
    ///     }
    ///     Ok(())
    /// }
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # let mut slots = linux_aio::Slot::array::<4>();
    /// # reap(&mut Queue::new(&mut slots)?)?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline(always)]
    #[doc(alias("aio_error", "aio_return"))]
    pub fn pop(&mut self) -> Result<Option<Completion<Option<B>, T>>, Errno> {
        Ok(self.pop_raw()?.map(Taken::into_completion))
    }

    /// Takes the next completion out of its slot. Runs no user code.
    #[inline(always)]
    pub(crate) fn pop_raw(&mut self) -> Result<Option<Taken<B, T>>, Errno> {
        let completed = match self.engine.pop() {
            Polled::Found(completed) => Some(completed),
            Polled::Empty => None,
            Polled::NeedsSyscall => {
                self.engine.poll_via_syscall()?;
                self.engine.slots.pop_completed()
            }
        };
        Ok(completed.map(|(at, res)| self.complete(at, res)))
    }

    /// Waits until an operation has completed, and returns its completion. Returns `None`
    /// if nothing is staged or in flight, and no completion is left.
    ///
    /// There is no timeout, and signals do not end the wait: for a wait with a timeout, or
    /// one that signals interrupt, use [`wait_with`](Queue::wait_with). Before it blocks,
    /// the function submits the staged operations as [`flush`](Queue::flush) does.
    ///
    /// # Errors
    /// Those of [`Context::wait`], except EINTR. No completion is lost by an error.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// for block in 0..4 {
    ///     queue.push(Read::new(&file, vec![0; 16]).offset(block * 16)).unwrap();
    /// }
    /// let mut bytes = 0;
    /// while let Some(done) = queue.wait()? {
    ///     bytes += done.result?;
    /// }
    /// assert_eq!(bytes, 64);
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    #[doc(alias = "io_queue_run")]
    pub fn wait(&mut self) -> Result<Option<Completion<Option<B>, T>>, Errno> {
        let completed = match self.engine.pop() {
            Polled::Found(completed) => Some(completed),
            Polled::Empty if self.in_flight() + self.staged() == 0 => None,
            _ => {
                // SAFETY: every staged operation was staged by `push`: its iocb
                // describes only the buffer in its slot, which is inaccessible until
                // the operation has completed, and its descriptor is borrowed for `'q`
                // or owned by the slot.
                unsafe { self.engine.wait_for_one() }?;
                self.engine.slots.pop_completed()
            }
        };
        Ok(completed.map(|(at, res)| self.complete(at, res).into_completion()))
    }

    /// Submits the staged operations as [`flush`](Queue::flush) does, and waits until
    /// [`pop`](Queue::pop) can return at least `min_nr` completions. `wait` sets the
    /// timeout and the signal mask.
    ///
    /// Returns the number of completions that `pop` can return without a further system
    /// call. It is below `min_nr` in these cases:
    /// - the timeout has elapsed, or a signal arrived after some of the completions;
    /// - fewer operations than `min_nr` are in flight;
    /// - there is a timeout, and `min_nr` is above 256: a wait with a timeout waits for at
    ///   most 256 completions besides those that were taken from the ring before. Call the
    ///   function again for more.
    ///
    /// # Errors
    /// Those of [`Context::wait_with`], such as EINTR after a signal, if no operation has
    /// completed during this wait. No completion is lost by an error.
    ///
    /// # Examples
    /// A wait of at most 10 milliseconds for the first of several operations:
    /// ```
    /// use core::time::Duration;
    /// # use linux_aio::{Errno, Queue, WaitOptions};
    ///
    /// fn serve(queue: &mut Queue<'_, &'static mut [u8]>) -> Result<(), Errno> {
    ///     let wait = WaitOptions::new().timeout(Duration::from_millis(10));
    ///     match queue.wait_with(1, wait) {
    ///         Ok(0) | Err(Errno::INTR) => println!("timeout or signal"),
    ///         Ok(_) => while let Some(done) = queue.pop()? {
    ///             println!("{:?}", done.result);
    ///         },
    ///         Err(errno) => return Err(errno),
    ///     }
    ///     Ok(())
    /// }
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # let mut slots = linux_aio::Slot::array::<4>();
    /// # serve(&mut Queue::new(&mut slots)?)?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[doc(alias("aio_suspend", "io_queue_wait", "io_getevents"))]
    pub fn wait_with(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        // SAFETY: every staged operation was staged by `push`: its iocb describes only
        // the buffer in its slot, which is inaccessible until the operation has
        // completed, and its descriptor is borrowed for `'q` or owned by the slot.
        unsafe { self.engine.submit_and_wait(min_nr, wait) }
    }

    /// Cancels an operation. It is still returned as a completion: a poll that was in
    /// flight with the result 0, an operation that was only staged with ECANCELED. The
    /// latter does not signal its eventfd: call [`pop`](Queue::pop) after the cancellation.
    ///
    /// # Errors
    /// - EINVAL: the operation has completed or is completing, or it is not of a kind that
    ///   can be cancelled. Of the operations in flight, only polls can be cancelled (and
    ///   transfers of some USB gadget drivers). Also EINVAL: the completion was returned
    ///   before, the ticket belongs to another queue, or the operation is in flight and
    ///   this is a forked child.
    /// - ENOSYS, EPERM: `io_cancel(2)` is unavailable (gVisor) or forbidden (a sandbox).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Fsync;
    /// use linux_aio::{Errno, Fd, Queue, Slot};
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let mut slots = Slot::<()>::array::<4>();
    /// let mut queue = Queue::new(&mut slots)?;
    /// // SAFETY: standard output stays open.
    /// let stdout = unsafe { Fd::borrow_raw(1) };
    /// let sync = queue.push(Fsync::new(stdout)).unwrap();
    /// queue.cancel(sync)?;
    /// let done = queue.pop()?.unwrap();
    /// assert_eq!((done.ticket, done.result), (sync, Err(Errno::CANCELED)));
    /// # Ok::<(), Errno>(())
    /// ```
    #[doc(alias(
        "aio_cancel",
        "AIO_CANCELED",
        "AIO_NOTCANCELED",
        "AIO_ALLDONE",
        "io_cancel"
    ))]
    pub fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        self.engine.cancel(ticket)
    }

    /// Returns whether the operation is in the queue: staged, in flight, or completed
    /// without its completion having been returned.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// let ticket = queue.push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert!(queue.contains(ticket));
    /// queue.wait()?;
    /// assert!(!queue.contains(ticket));
    /// # Ok(())
    /// # }
    /// ```
    pub fn contains(&self, ticket: Ticket) -> bool {
        self.engine.slots.find(ticket).is_some()
    }

    /// Returns whether the operation is staged, and so not submitted yet.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// let ticket = queue.push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert!(queue.is_staged(ticket));
    /// queue.submit().unwrap();
    /// assert!(!queue.is_staged(ticket));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_staged(&self, ticket: Ticket) -> bool {
        matches!(self.engine.slots.find(ticket), Some(OpState::Staged(_)))
    }

    /// Returns the number of slots.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Queue, Slot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = Slot::<()>::array::<8>();
    /// assert_eq!(Queue::new(&mut slots)?.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.engine.slots.len()
    }

    /// Returns the number of staged operations.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// queue.push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert_eq!(queue.staged(), 1);
    /// queue.submit().unwrap();
    /// assert_eq!(queue.staged(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn staged(&self) -> usize {
        self.engine.slots.staged()
    }

    /// Returns the number of submitted operations whose events have not been taken from
    /// the ring. An operation may have completed all the same.
    ///
    /// Completions that [`wait_with`](Queue::wait_with) or [`drain`](Queue::drain) has
    /// taken from the ring, and [`pop`](Queue::pop) has not returned yet, do not count.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// queue.push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert_eq!(queue.in_flight(), 0);
    /// queue.submit().unwrap();
    /// // The event of the read is in the ring.
    /// assert_eq!(queue.in_flight(), 1);
    /// queue.pop()?.unwrap();
    /// assert_eq!(queue.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_flight(&self) -> usize {
        self.engine.slots.in_flight()
    }

    /// Submits the staged operations, cancels the polls, and waits until nothing is staged
    /// or in flight. Afterwards [`pop`](Queue::pop) returns the completions. Signals do
    /// not end the wait.
    ///
    /// Where polls cannot be cancelled (a sandbox forbids `io_cancel(2)`), the function
    /// waits for all other operations and then destroys the context. The result of the
    /// polls is [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN), and operations pushed later
    /// are refused with EINVAL.
    ///
    /// # Errors
    /// Those of [`Context::wait`] except EINTR, and of [`Context::destroy`].
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Poll;
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::{Queue, Slot};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
    /// let (socket, _peer) = UnixStream::pair().unwrap();
    /// let mut slots = Slot::<()>::array::<4>();
    /// let mut queue = Queue::new(&mut slots)?;
    /// queue.push(Poll::new(&socket, PollMask::IN)).unwrap();
    /// // The socket is never readable, and `drain` cancels the poll.
    /// queue.drain()?;
    /// assert_eq!(queue.pop()?.unwrap().result, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "LIO_WAIT")]
    pub fn drain(&mut self) -> Result<(), Errno> {
        loop {
            // SAFETY: every staged operation was staged by `push`: its iocb describes
            // only the buffer in its slot, which is inaccessible until the operation
            // has completed, and its descriptor is borrowed for `'q` or owned by the
            // slot.
            unsafe { self.engine.flush() };
            self.engine.drain()?;
            // The kernel had no room for the operations that are still staged; it has
            // room now.
            if self.staged() == 0 {
                return Ok(());
            }
        }
    }

    /// [Drains](Queue::drain) the queue, drops the completions that were not taken, with
    /// their buffers and data, and returns the context for reuse.
    ///
    /// Apart from the wait for operations this takes microseconds. Dropping the queue
    /// takes tens of milliseconds, because it destroys the context. With the feature `std`,
    /// [`IdleContext`]'s `destroy_later` does that in the background.
    ///
    /// # Errors
    /// Those of [`drain`](Queue::drain), and
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) if the context had to be destroyed. The
    /// queue is dropped after every error.
    ///
    /// # Panics
    /// Panics if a destructor of a buffer, of data or of the eventfd's owner panics. The
    /// context is destroyed in that case.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Queue, Slot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = Slot::<&'static mut [u8]>::array::<8>();
    /// let queue = Queue::new(&mut slots)?;
    /// let context = queue.into_idle_context()?;
    /// // Other buffers, on the same context.
    /// let mut slots = Slot::<&'static [u8]>::array::<8>();
    /// let queue = Queue::with_context(context, &mut slots);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn into_idle_context(mut self) -> Result<IdleContext, Errno> {
        let drained = self.drain();
        let idle = drained.and_then(|()| self.engine.idle(self.capacity));
        // User code runs in this drop. `idle` is a local variable meanwhile: a panic
        // would leak a return value (rust-lang/rust#47949).
        drop(self);
        idle
    }

    #[inline]
    fn complete(&mut self, at: SlotOffset, res: i64) -> Taken<B, T> {
        let is_read = B::GROWS && self.engine.slots.is_read(at);
        let released = self.engine.slots.release(at);
        Taken {
            released,
            is_read,
            res,
        }
    }
}

/// The contents of the slot of a completed operation.
pub(crate) struct Taken<B, T> {
    released: Released<(Option<B>, T), ()>,
    is_read: bool,
    res: i64,
}

impl<B: IoBuf, T> Taken<B, T> {
    /// Returns the completion. A buffer that grows is filled here, which is user code.
    #[inline(always)]
    pub(crate) fn into_completion(self) -> Completion<Option<B>, T> {
        let (mut buffer, data) = self.released.payload;
        let (result, refused) = (result(self.res), is_refusal(self.res));
        fill(&mut buffer, self.is_read, result);
        Completion {
            ticket: self.released.ticket,
            buffer,
            data,
            result,
            refused,
        }
    }
}

impl<B: IoBuf + 'static, T> fmt::Debug for Queue<'_, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("context", &self.engine.backend)
            .field("slots", &self.capacity())
            .field("staged", &self.staged())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
