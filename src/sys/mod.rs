//! The kernel interface: system calls, their numbers, and the structures they take.
//!
//! | module | contents |
//! |---|---|
//! | this one | the seven AIO system calls, one `unsafe fn` each |
//! | [`abi`] | structures and constants of `linux/aio_abi.h` |
//! | [`nr`] | system call numbers of each architecture |
//! | [`syscall`] | system calls by number, with up to six arguments |
//!
//! The functions are the system calls without any policy: nothing is retried or
//! replaced. EINTR, a partial submission and ENOSYS are returned as the kernel returns
//! them. A system call that the target does not have ([`nr`]) returns ENOSYS without
//! entering the kernel.
//!
//! The system calls exist since Linux 2.5 (io_pgetevents: 4.18, io_pgetevents_time64: 5.1).
//! No other system has them: they are not for portable programs. An error is the `Err` of a
//! `Result`. (The kernel returns the negated number. libaio passes it on; `syscall(2)` of a
//! C library returns −1 and stores the number in `errno`.) The guide has the
//! [errors](crate::guide::errors) by number and by call, and compares the
//! [manual pages](crate::guide::manual) with today's kernels.
//!
//! All of them are `unsafe`: the kernel writes to the addresses that it is given, and
//! any code can construct the number that identifies a context.
//! [`Context`](crate::Context) is the layer with ownership. Invalid pointers and
//! invalid contexts may be passed: the kernel refuses them with EFAULT and EINVAL.

pub mod abi;
mod calls;
pub(crate) mod errno;
#[doc(hidden)]
pub mod getevents;
pub mod nr;
pub(crate) mod sigset;
pub mod syscall;

pub use calls::*;
