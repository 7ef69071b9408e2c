//! Linux native AIO, from `io_setup` to `io_destroy`, with no libc.
//!
//! AIO is the asynchronous disk I/O interface that remains available where io_uring is
//! disabled: in containers, on phones and on hardened hosts. This crate implements it
//! in pure Rust: hand-written system-call stubs for each architecture, the kernel's
//! structures, and a typed layer that owns contexts and reads the completion ring
//! without a system call. It is `no_std` and has no build script. Only the feature
//! `alloc`, and the features that imply it, add functions that allocate.
//!
//! The [`guide`] has longer explanations, page by page: [`start`](guide::start) begins with
//! complete programs, and [`migrating`](guide::migrating) with the functions of libaio, POSIX
//! AIO and io-uring.
//!
//! # What is asynchronous
//! Reads and writes of files that are open with `O_DIRECT`, fsync, and polls. The kernel
//! performs every other operation inside `io_submit(2)`, and blocks the submitting thread
//! meanwhile: see [`op::Read`](op::Read#blocking), and [`op::Write`](op::Write#blocking)
//! for direct writes that block. [`guide::asynchronous`] has the differences between file
//! systems.
//!
//! # A first example
//! A read in a [`scope()`], which borrows the buffer:
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
//! use linux_aio::{ScopeSlot, scope};
//! use std::fs::File;
//!
//! # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
//! let file = File::open("/proc/self/exe").unwrap();
//! let mut buffer = [0_u8; 4096];
//! let bytes = scope(&mut ScopeSlot::array::<32>(), |s| {
//!     s.read(&file, &mut buffer, 0).unwrap().wait().result
//! })??;
//! println!("{bytes} bytes");
//! # Ok(())
//! # }
//! ```
//!
//! The same read with a [`Context`], for programs that manage the memory of their operations
//! themselves:
//! ```
//! use linux_aio::{Context, Errno, Event, opcode::Pread};
//! use std::{fs::File, os::fd::AsRawFd};
//!
//! # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
//! let file = File::open("/proc/self/exe").unwrap();
//! let mut buffer = [0_u8; 4096];
//!
//! let context = Context::new(32)?;
//! let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
//!     .offset(0)
//!     .build()
//!     .user_data(42);
//! // SAFETY: the file is open, and the buffer outlives the wait below and is not accessed
//! // before it.
//! unsafe { context.submit(&mut [&mut read]) }?;
//!
//! let mut events = [Event::EMPTY; 32];
//! for event in context.wait(1, &mut events)? {
//!     println!("{}: {} bytes", event.user_data(), event.result()?);
//! }
//! // Blocks until every operation has completed.
//! context.destroy()?;
//! # Ok::<(), Errno>(())
//! ```
//!
//! # Layers
//! Each layer builds on those below it. [`guide::layers`] compares them.
//!
//! | layer | purpose |
//! |---|---|
//! | [`Queue`] | safe: operations that own their buffers, in slots of the caller or of the queue |
//! | [`scope()`] | safe: operations that borrow their buffers and complete before the scope ends |
//! | [`reactor`] | safe: operations as futures, for any executor |
//! | [`split`] | safe: a queue in two halves, for a thread that submits and one that takes completions |
//! | [`buffer`], [`op`] | buffer traits, and operations with their buffers |
//! | [`direct_io`] | the alignment that direct I/O needs, checked before submission |
//! | [`IdleContext`], [`ContextPool`] | reusing contexts, which is cheaper than destroying them |
//! | [`Probe`] | the operations and flags that this kernel and this process can use |
//! | [`Context`], [`Submitter`], [`Ring`], [`WaitOptions`] | an owned kernel context: submit, wait, cancel, reap, destroy |
//! | [`opcode`] | builders of an [`Iocb`] for each operation |
//! | [`sys`] | the seven system calls as the kernel defines them |
//! | [`syscall`], [`nr`] | system calls by number, and the numbers of every ABI |
//! | [`abi`], [`Errno`] | the kernel's structures and error numbers |
//! | `rt` (feature) | process entry, arguments, exit and panic for binaries without libc |
//!
//! # Kernel versions
//! The safe layers need Linux 3.16: since then `io_destroy(2)` waits for the operations
//! in flight. These parts need more:
//!
//! | Linux | part |
//! |---|---|
//! | 4.11 | the eventfd of a reactor ([`Reactor::eventfd`](reactor::Reactor::eventfd)), which needs `statx(2)` |
//! | 4.14 | [`RwFlags::NOWAIT`](abi::RwFlags::NOWAIT); the exact detection of forked children ([`Context`](Context#fork)) |
//! | 4.18 | fsync, fdsync, I/O priorities, signal masks ([`WaitOptions::sigmask`]) |
//! | 4.19 | polls |
//!
//! [`abi::RwFlags`] has the version of every other flag. [`Probe`] reports what the
//! running kernel supports. The sources are [`fs/aio.c`] of the kernel and the manual
//! pages from [`io_setup(2)`] to [`io_destroy(2)`].
//!
//! # When AIO is unavailable
//! - On a target without Linux, on a kernel without `CONFIG_AIO` and in QEMU's user mode,
//!   the functions that make an AIO system call return [`Errno::NOSYS`]. The crate builds
//!   for every target; where there is no Linux, no function enters a kernel.
//! - A sandbox returns [`Errno::NOSYS`] or [`Errno::PERM`], or ends the process (SIGSYS).
//!   [`Context::new_unmapped`] makes the fewest system calls.
//!   [`guide::sandboxes`] lists the system calls of each layer.
//! - gVisor has AIO without `io_cancel(2)`, `io_pgetevents(2)` and polls, and without a
//!   ring in user space: completions are taken by system calls. It discards operations that
//!   it has not begun when their context is destroyed: wait for writes before that.
//!   [`guide::sandboxes`] lists the differences from Linux.
//!
//! [`fs/aio.c`]: https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/fs/aio.c?h=v6.12
//! [`io_setup(2)`]: https://man7.org/linux/man-pages/man2/io_setup.2.html
//! [`io_destroy(2)`]: https://man7.org/linux/man-pages/man2/io_destroy.2.html
//!
//! # Compilers
//! This crate needs Rust 1.85 or later. powerpc and powerpc64 need 1.95, where their
//! `asm!` became stable. The `asm!` of csky, hexagon, m68k, mips, mips64, sparc and
//! sparc64 is not stable yet. There this crate needs a nightly compiler, and so does a
//! binary that uses the `entry!` of `rt`, with `#![feature(asm_experimental_arch)]`.
//!
//! # Features
//! No feature is on by default.
//! - `alloc`: accepts `Box<[u8]>`, `Vec<u8>`, several of them and aligned memory as
//!   buffers; queues, reactors and scopes that own their slots.
//! - `bytes`: accepts `Bytes` and `BytesMut` of the `bytes` crate as buffers. It implies
//!   `alloc`.
//! - `rt`: provides `entry!`, which makes a static binary of a `main`, with nothing
//!   else linked. The feature alone adds no symbol.
//! - `sc`: issues system calls through the `sc` crate on 64-bit x86_64, aarch64 and
//!   riscv64; other targets keep this crate's own stubs. On aarch64 and riscv64 each
//!   system call is behind a function call, because the stubs of `sc` do not declare
//!   the vector registers that a system call destroys.
//! - `std`: adds `From<Errno> for std::io::Error`, descriptors of all types that are
//!   `AsFd`, a reactor that threads share, and `destroy_all`. It implies `alloc`.
#![no_std]
// Each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// The `asm!` of these architectures is not stable yet.
#![cfg_attr(
    all(
        target_os = "linux",
        any(
            target_arch = "csky",
            target_arch = "hexagon",
            target_arch = "m68k",
            target_arch = "mips",
            target_arch = "mips32r6",
            target_arch = "mips64",
            target_arch = "mips64r6",
            target_arch = "sparc",
            target_arch = "sparc64"
        )
    ),
    feature(asm_experimental_arch)
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[path = "../arch/mod.rs"]
mod arch;

mod address_space;
pub mod buffer;
mod completion;
mod context;
pub mod direct_io;
mod engine;
pub mod fd;
mod files;
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod op;
pub mod opcode;
mod pages;
mod probe;
mod queue;
pub mod reactor;
mod ring;
#[cfg(feature = "rt")]
pub mod rt;
mod scope;
pub mod split;
pub mod sys;

pub use completion::{Completion, Full};
#[cfg(feature = "std")]
pub use context::destroy_all;
pub use context::{
    Context, ContextPool, DrainError, IdleContext, SubmitError, Submitter, WaitOptions,
};
pub use engine::Ticket;
pub use fd::{Fd, OwnsFd};
pub use probe::Probe;
pub use queue::{Queue, Slot};
pub use ring::Ring;
#[cfg(feature = "alloc")]
pub use scope::scope_with_capacity;
pub use scope::{Scope, ScopeSlot, ScopedOp, scope, scope_with_context};
pub use sys::abi::{AioContext, Event, Iocb, SigSet};
pub use sys::errno::Errno;
#[doc(inline)]
pub use sys::{abi, nr, syscall};

/// Examples of misuse, none of which compiles.
///
/// A buffer is accessed while an operation on it is in flight:
/// ```compile_fail,E0503
/// # use linux_aio::{Fd, ScopeSlot, scope};
/// # fn with(fd: Fd<'static>) {
/// let mut buffer = [0_u8; 8];
/// scope(&mut ScopeSlot::array::<1>(), |s| {
///     let read = s.read(fd, &mut buffer, 0).unwrap();
///     let early = buffer[0] + 1;
///     let _ = read.wait();
/// });
/// # }
/// ```
///
/// A buffer does not live as long as the scope:
/// ```compile_fail,E0597
/// # use linux_aio::{Fd, ScopeSlot, scope};
/// # fn with(fd: Fd<'static>) {
/// scope(&mut ScopeSlot::array::<1>(), |s| {
///     let mut buffer = [0_u8; 8];
///     drop(s.read(fd, &mut buffer, 0));
/// });
/// # }
/// ```
///
/// An operation outlives the scope:
/// ```compile_fail
/// # use linux_aio::{Fd, ScopeSlot, scope};
/// # fn with(fd: Fd<'static>) {
/// let mut buffer = [0_u8; 8];
/// let read = scope(&mut ScopeSlot::array::<1>(), |s| s.read(fd, &mut buffer, 0).unwrap());
/// # }
/// ```
///
/// A queue takes a buffer that is borrowed for less than `'static`. The queue could be
/// leaked (`mem::forget`) with the read in flight:
/// ```compile_fail,E0597
/// # use linux_aio::{Fd, Queue, Slot, op::Read};
/// # fn with(fd: Fd<'static>) {
/// let mut buffer = [0_u8; 8];
/// let mut slots = Slot::<&'static mut [u8]>::array::<1>();
/// let mut queue = Queue::new(&mut slots).unwrap();
/// queue.push(Read::new(fd, &mut buffer[..]));
/// # }
/// ```
///
/// A buffer is used after it was moved into a queue:
/// ```compile_fail,E0382
/// # use linux_aio::{Fd, Queue, Slot, op::Read};
/// # fn with(fd: Fd<'static>, buffer: &'static mut [u8]) {
/// let mut slots = Slot::<&'static mut [u8]>::array::<1>();
/// let mut queue = Queue::new(&mut slots).unwrap();
/// queue.push(Read::new(fd, buffer)).unwrap();
/// buffer[0] = 1;
/// # }
/// ```
///
/// A read uses a read-only buffer:
/// ```compile_fail,E0277
/// # use linux_aio::{Fd, op::Read};
/// # fn with(fd: Fd<'static>) {
/// let read = Read::new(fd, &b"constant"[..]);
/// # }
/// ```
///
/// An operation is submitted twice:
/// ```compile_fail,E0382
/// # use linux_aio::{Fd, Queue, Slot, op::Read};
/// # fn with(fd: Fd<'static>, buffer: &'static mut [u8], queue: &mut Queue<'_, &'static mut [u8]>) {
/// let read = Read::new(fd, buffer);
/// queue.push(read).unwrap();
/// queue.push(read).unwrap();
/// # }
/// ```
///
/// Slots are used by two queues at once:
/// ```compile_fail,E0499
/// # use linux_aio::{Queue, Slot};
/// let mut slots = Slot::<()>::array::<1>();
/// let first = Queue::new(&mut slots).unwrap();
/// let second = Queue::new(&mut slots).unwrap();
/// drop(first);
/// ```
///
/// A scope, or a future of a single-threaded reactor, is sent to another thread:
/// ```compile_fail,E0277
/// # use linux_aio::{ScopeSlot, scope};
/// scope(&mut ScopeSlot::array::<1>(), |s| {
///     std::thread::scope(|threads| {
///         threads.spawn(|| s.in_flight());
///     });
/// });
/// ```
/// ```compile_fail,E0277
/// # use linux_aio::{Fd, reactor::{Reactor, ReactorSlot}};
/// fn send<T: Send>(_: T) {}
/// # fn with(fd: Fd<'static>) {
/// let mut slots = ReactorSlot::<()>::array::<1>();
/// let reactor = Reactor::<()>::new(&mut slots).unwrap();
/// send(reactor.fsync(fd));
/// # }
/// ```
///
/// # Descriptors
/// A number is used as a descriptor without `unsafe`:
/// ```compile_fail,E0277
/// # use linux_aio::op::Write;
/// let write = Write::new(7, &b"whose file is this?"[..]);
/// ```
#[cfg_attr(
    feature = "rt",
    doc = r#"
```compile_fail,E0277
linux_aio::rt::write_all(7, b"whose file is this?");
```
"#
)]
///
/// A descriptor is closed before a queue, a scope or a reactor has submitted its
/// operation, or a reactor's eventfd is closed while it is in use:
#[cfg_attr(
    feature = "std",
    doc = r#"
```compile_fail,E0505
# use linux_aio::{Queue, Slot, op::Read};
# use std::fs::File;
let mut slots = Slot::<Box<[u8]>>::array::<1>();
let file = File::open("/dev/null").unwrap();
let mut queue = Queue::new(&mut slots).unwrap();
queue.push(Read::new(&file, Box::from([0; 4]))).unwrap();
drop(file);
queue.submit();
```
```compile_fail,E0597
# use linux_aio::{ScopeSlot, scope};
# use std::fs::File;
scope(&mut ScopeSlot::array::<1>(), |s| {
    let file = File::open("/dev/null").unwrap();
    drop(s.fsync(&file));
});
```
```compile_fail,E0597
# use linux_aio::reactor::{Reactor, ReactorSlot};
# use std::fs::File;
let mut slots = ReactorSlot::<Box<[u8]>>::array::<1>();
let reactor = Reactor::<Box<[u8]>>::new(&mut slots).unwrap();
let read = {
    let file = File::open("/dev/null").unwrap();
    reactor.read(&file, Box::from([0; 4]), 0)
};
drop(read);
```
```compile_fail,E0505
# use linux_aio::reactor::{Reactor, ReactorSlot};
# fn with(eventfd: std::os::fd::OwnedFd) {
let mut slots = ReactorSlot::<()>::array::<1>();
let reactor = Reactor::<()>::new(&mut slots).unwrap().eventfd(&eventfd);
drop(eventfd);
reactor.turn();
# }
```
A future is leaked, and its operation is submitted after the descriptor was
closed. The second function tries to shorten the reactor's lifetime, in which it is
invariant:
```compile_fail,E0597
# use linux_aio::reactor::{Reactor, ReactorSlot};
# use std::fs::File;
let mut slots = ReactorSlot::<Box<[u8]>>::array::<1>();
let reactor = Reactor::<Box<[u8]>>::new(&mut slots).unwrap();
{
    let file = File::open("/dev/null").unwrap();
    std::mem::forget(reactor.read(&file, Box::from([0; 4]), 0));
}
reactor.turn();
```
```compile_fail,E0621
# use linux_aio::reactor::Reactor;
# use std::fs::File;
fn shorter<'a>(reactor: &'a Reactor<'_, Box<[u8]>>, file: &'a File) {
    std::mem::forget(reactor.read(file, Box::from([0; 4]), 0));
}
```
A file is closed before a queue that owns its slots submits a read of it:
```compile_fail,E0505
# use linux_aio::{Queue, op::Read};
# use std::fs::File;
let file = File::open("/dev/null").unwrap();
let mut queue = Queue::<Vec<u8>>::with_capacity(4).unwrap();
queue.push(Read::new(&file, vec![0; 4])).unwrap();
drop(file);
queue.submit();
```
A `Queue<'static, …>` borrows a file that is dropped before it:
```compile_fail,E0597
# use linux_aio::{Queue, op::Read};
# use std::fs::File;
let mut queue: Queue<'static, Vec<u8>> = Queue::with_capacity(4).unwrap();
let file = File::open("/dev/null").unwrap();
queue.push(Read::new(&file, vec![0; 4])).unwrap();
```
A file is closed while an operation on it is staged in a queue of two halves:
```compile_fail,E0597
# use linux_aio::{Queue, op::Read, reactor::Shared, split::SplitQueue};
# use std::fs::File;
let queue: Queue<'static, Vec<u8>> = Queue::with_capacity(4).unwrap();
let (submit, reap) = SplitQueue::<_, Shared, _>::new(queue).into_halves();
let file = File::open("/dev/null").unwrap();
submit.push(Read::new(&file, vec![0; 4])).unwrap();
```
A second thread reaps the same queue:
```compile_fail,E0599
# use linux_aio::{Queue, reactor::Shared, split::SplitQueue};
let queue: Queue<'static, Vec<u8>> = Queue::with_capacity(4).unwrap();
let (submit, reap) = SplitQueue::<_, Shared, _>::new(queue).into_halves();
let second = reap.clone();
```
A queue whose data are not `Send` is used by two threads:
```compile_fail,E0277
# use linux_aio::{Queue, reactor::Shared, split::SplitQueue};
# use std::rc::Rc;
let queue: Queue<'static, Vec<u8>, Rc<()>> = Queue::with_capacity(4).unwrap();
let (submit, mut reap) = SplitQueue::<_, Shared, _>::new(queue).into_halves();
std::thread::spawn(move || reap.pop());
```
The owner of a descriptor is a reference that does not live as long as the scope:
```compile_fail,E0597
# use linux_aio::{ScopeSlot, op::Fsync, scope};
# use std::fs::File;
scope(&mut ScopeSlot::array::<1>(), |s| {
    let file = File::open("/dev/null").unwrap();
    drop(s.push(Fsync::owned(&file)));
});
```
An operation with an owner is cloned: the clone's owner may have another
descriptor.
```compile_fail,E0599
# use linux_aio::op::Fsync;
# use std::{fs::File, rc::Rc};
let sync = Fsync::owned(Rc::new(File::open("/dev/null").unwrap()));
let again = sync.clone();
```
"#
)]
///
/// The closest variants that compile:
/// ```no_run
/// # use linux_aio::{Fd, Queue, ScopeSlot, Slot, op::{Read, Write}, scope};
/// # fn with(fd: Fd<'static>, buffer: &'static mut [u8]) {
/// let mut borrowed = [0_u8; 8];
/// scope(&mut ScopeSlot::array::<1>(), |s| {
///     let read = s.read(fd, &mut borrowed, 0).unwrap();
///     let _ = read.wait();
///     s.in_flight()
/// });
/// let after = borrowed[0] + 1;
/// let mut slots = Slot::<&'static mut [u8]>::array::<1>();
/// let mut queue = Queue::new(&mut slots).unwrap();
/// queue.push(Read::new(fd, buffer)).unwrap();
/// drop(queue);
/// let second = Queue::new(&mut slots).unwrap();
/// // SAFETY: standard error stays open.
/// let write = Write::new(unsafe { Fd::borrow_raw(2) }, &b"constant"[..]);
/// # }
/// ```
#[cfg_attr(
    feature = "std",
    doc = r#"
```no_run
# use linux_aio::{Queue, ScopeSlot, Slot, op::{Read, Fsync}, scope};
# use linux_aio::reactor::{Reactor, ReactorSlot};
# use std::{fs::File, sync::Arc};
let mut slots = Slot::<Box<[u8]>, Arc<File>>::array::<1>();
let file = Arc::new(File::open("/dev/null").unwrap());
let mut queue = Queue::new(&mut slots).unwrap();
queue.push(Read::owned(file.clone(), Box::from([0; 4]))).unwrap();
drop(file);
queue.submit();

scope(&mut ScopeSlot::array::<1>(), |s| {
    let file = File::open("/dev/null").unwrap();
    drop(s.push(Fsync::owned(file)));
});

let file = File::open("/dev/null").unwrap();
let mut slots = ReactorSlot::<Box<[u8]>>::array::<1>();
let reactor = Reactor::<Box<[u8]>>::new(&mut slots).unwrap();
std::mem::forget(reactor.read(&file, Box::from([0; 4]), 0));
fn as_long<'r>(reactor: &Reactor<'r, Box<[u8]>>, file: &'r File) {
    std::mem::forget(reactor.read(file, Box::from([0; 4]), 0));
}
as_long(&reactor, &file);
```
User code runs under a reactor's lock:
```compile_fail,E0061
fn under_lock<R: linux_aio::reactor::Handle>(reactor: &R) {
    reactor.with(|_| {});
}
```
A future that owns a share of a reactor without a lock goes to another thread:
```compile_fail,E0277
# use linux_aio::{op::Read, reactor::{Local, Reactor}};
# use std::{fs::File, sync::Arc};
type Alone = Reactor<'static, Vec<u8>, Local, Arc<File>>;
let file = Arc::new(File::open("/dev/null").unwrap());
let reactor = Arc::new(Alone::with_capacity(1).unwrap());
let read = reactor.push_arc(Read::owned(file, vec![0; 4]));
std::thread::spawn(move || drop(read));
```
A future that owns a share of a reactor borrows a descriptor, and outlives it:
```compile_fail,E0597
# use linux_aio::{op::Read, reactor::{Reactor, Shared}};
# use std::{fs::File, sync::Arc};
let reactor = Arc::new(Reactor::<'static, Vec<u8>, Shared>::with_capacity(1).unwrap());
let file = File::open("/dev/null").unwrap();
let read = reactor.push_arc(Read::new(&file, vec![0; 4]));
std::thread::spawn(move || drop(read));
```
"#
)]
pub mod misuse {}

/// The README's examples, compiled and run as documentation tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;
