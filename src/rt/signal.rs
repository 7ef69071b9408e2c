//! Signal actions and the signal mask, for programs without libc.
//!
//! ```
//! use core::sync::atomic::{AtomicBool, Ordering};
//! use linux_aio::rt::signal::{self, Action};
//!
//! const SIGTERM: u32 = 15; // the same on every architecture
//! static STOP: AtomicBool = AtomicBool::new(false);
//!
//! extern "C" fn stop(_signal: i32) {
//!     STOP.store(true, Ordering::Relaxed);
//! }
//!
//! // SAFETY: the handler only stores to an atomic variable.
//! let old = unsafe { signal::set_action(SIGTERM, Action::handler(stop)) };
//! # let _ = old;
//! ```
//!
//! A wait of this library that takes a signal mask returns after a handler has run
//! ([`WaitOptions`](crate::WaitOptions)). To lose no signal, block it with [`set_mask`],
//! and pass the wait a mask that does not contain it.
//!
//! The first process of a system (PID 1) is special: a signal whose action is the default
//! has no effect on it.
//!
//! Sources: sigaction(2), sigprocmask(2), signal(7); the kernel's
//! `include/linux/signal_types.h`.

use core::fmt;
use core::ptr;

use crate::arch::{ABI, RESTORER, stubs};
use crate::{Errno, SigSet};

/// The words of the kernel's structure, at most: handler, flags, restorer, mask.
const WORDS: usize = 3 + SigSet::BYTES / size_of::<usize>();
/// The index of the handler's address.
const HANDLER: usize = if ABI.signals.flags_first { 1 } else { 0 };
/// The index of the flags.
const FLAGS: usize = 1 - HANDLER;
/// The index of the mask's first word.
const MASK: usize = if ABI.signals.restorer_field { 3 } else { 2 };

const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// The bits by which the flags are shifted in their word: where they are a field of 32
/// bits before one of 64, the bytes behind them are padding.
const FLAGS_SHIFT: u32 = if ABI.signals.flags_first && cfg!(target_endian = "big") {
    usize::BITS - 32
} else {
    0
};

/// The action of a process on a signal: the kernel's `struct sigaction`.
///
/// # Examples
/// ```
/// use linux_aio::rt::signal::{self, Action};
///
/// const SIGPIPE: u32 = 13;
/// // A write to a pipe that no process reads returns EPIPE, and does not end the process.
/// // SAFETY: no handler runs.
/// let before = unsafe { signal::set_action(SIGPIPE, Action::IGNORE) };
/// # // The target is not Linux.
/// # if before.is_err() { return }
/// // SAFETY: no handler runs.
/// let ignored = unsafe { signal::set_action(SIGPIPE, Action::DEFAULT) }.unwrap();
/// assert!(ignored.is_ignored());
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
#[doc(alias = "sigaction")]
pub struct Action([usize; WORDS]);

impl Action {
    /// The action that the kernel defines for the signal.
    pub const DEFAULT: Action = Action([0; WORDS]);

    /// Ignores the signal.
    pub const IGNORE: Action = {
        let mut action = Action::DEFAULT;
        action.0[HANDLER] = SIG_IGN;
        action
    };

    /// Calls a function with the signal's number. While it runs, the signal is blocked.
    ///
    /// System calls that the signal interrupts return [`Errno::INTR`]; see
    /// [`restart`](Action::restart).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::rt::signal::Action;
    ///
    /// extern "C" fn stop(_signal: i32) {}
    ///
    /// let action = Action::handler(stop);
    /// assert!(!action.is_default() && !action.is_ignored());
    /// ```
    #[must_use]
    pub fn handler(handler: extern "C" fn(i32)) -> Action {
        let mut action = Action::DEFAULT;
        action.0[HANDLER] = (handler as *const ()).expose_provenance();
        // The handler gets two more arguments, which it does not read.
        action.add_flags(ABI.signals.siginfo);
        if let Some(restorer) = RESTORER {
            if ABI.signals.restorer_field && !ABI.signals.restorer_argument {
                action.0[2] = (restorer as *const ()).expose_provenance();
            }
            action.add_flags(ABI.signals.restorer);
        }
        action
    }

    /// Blocks these signals, too, while the handler runs.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::SigSet;
    /// use linux_aio::rt::signal::Action;
    ///
    /// extern "C" fn stop(_signal: i32) {}
    ///
    /// // No other signal interrupts the handler.
    /// let action = Action::handler(stop).mask(SigSet::full());
    /// ```
    #[must_use]
    pub fn mask(mut self, mask: SigSet) -> Action {
        if let Some(words) = self.0.get_mut(MASK..) {
            for (word, bits) in words.iter_mut().zip(mask.words()) {
                *word = *bits;
            }
        }
        self
    }

    /// Restarts the system calls that the signal interrupts, where the kernel does that
    /// (`SA_RESTART`). It does not restart the waits for AIO.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::rt::signal::Action;
    ///
    /// extern "C" fn count(_signal: i32) {}
    ///
    /// // A read(2) of a terminal is not interrupted by the signal.
    /// let action = Action::handler(count).restart();
    /// ```
    #[must_use]
    pub fn restart(mut self) -> Action {
        self.add_flags(ABI.signals.restart);
        self
    }

    fn add_flags(&mut self, flags: u32) {
        self.0[FLAGS] |= (flags as usize) << FLAGS_SHIFT;
    }

    /// Returns whether the action is the default one.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::rt::signal::Action;
    ///
    /// assert!(Action::DEFAULT.is_default());
    /// assert!(!Action::IGNORE.is_default());
    /// ```
    pub fn is_default(&self) -> bool {
        self.0[HANDLER] == SIG_DFL
    }

    /// Returns whether the signal is ignored.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::rt::signal::Action;
    ///
    /// assert!(Action::IGNORE.is_ignored());
    /// assert!(!Action::DEFAULT.is_ignored());
    /// ```
    pub fn is_ignored(&self) -> bool {
        self.0[HANDLER] == SIG_IGN
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action")
            .field("handler", &format_args!("{:#x}", self.0[HANDLER]))
            .finish_non_exhaustive()
    }
}

/// Sets the action of the process on a signal, and returns the previous one.
///
/// # Errors
/// - [`Errno::INVAL`]: no such signal, or an action other than the default for SIGKILL
///   or SIGSTOP.
/// - [`Errno::NOSYS`]: the target is not Linux.
///
/// # Safety
/// The handler may run between any two instructions of any thread that does not block
/// the signal. It must be sound there: it uses atomic variables and system calls, but no
/// allocator and no lock of the interrupted code, and does not panic. An action that was
/// returned by another program's libc is set only in that program.
///
/// # Examples
/// ```
/// use core::sync::atomic::{AtomicBool, Ordering};
/// use linux_aio::rt::signal::{Action, set_action};
///
/// const SIGTERM: u32 = 15;
/// static STOP: AtomicBool = AtomicBool::new(false);
///
/// extern "C" fn stop(_signal: i32) {
///     STOP.store(true, Ordering::Relaxed);
/// }
///
/// // SAFETY: the handler only stores to an atomic variable.
/// let before = unsafe { set_action(SIGTERM, Action::handler(stop)) };
/// # // The target is not Linux.
/// # if before.is_err() { return }
/// // … the program gets the signal …
/// # // SAFETY: raise(3) accesses no memory of the program.
/// # unsafe { libc::raise(15) };
/// assert!(before.unwrap().is_default());
/// assert!(STOP.load(Ordering::Relaxed));
/// ```
pub unsafe fn set_action(signal: u32, action: Action) -> Result<Action, Errno> {
    let mut old = Action::DEFAULT;
    let new = action.0.as_ptr().expose_provenance();
    let previous = old.0.as_mut_ptr().expose_provenance();
    let number = ABI.base.rt_sigaction as usize;
    let signal = signal as usize;
    // SAFETY: the kernel reads one structure and writes the other, both of which are no
    // longer than `WORDS`. The caller promises that the handler is sound wherever the
    // kernel calls it. The restorer is a function of this library that only returns from
    // a handler.
    let result = unsafe {
        if ABI.signals.restorer_argument {
            let restorer = RESTORER.map_or(ptr::null(), |restorer| restorer as *const ());
            let restorer = restorer.expose_provenance();
            stubs::syscall5(number, signal, new, previous, restorer, SigSet::BYTES)
        } else {
            stubs::syscall4(number, signal, new, previous, SigSet::BYTES)
        }
    };
    Errno::check(result)?;
    Ok(old)
}

/// Sets the signal mask of the calling thread, the signals that are blocked, and returns
/// the previous mask.
///
/// # Errors
/// [`Errno::NOSYS`] where the target is not Linux.
///
/// # Examples
/// A signal that is delivered only during waits:
/// ```
/// use linux_aio::rt::signal::set_mask;
/// use linux_aio::{SigSet, WaitOptions};
///
/// const SIGTERM: u32 = 15;
/// # if set_mask(SigSet::empty()) == Err(linux_aio::Errno::NOSYS) { return Ok(()) }
/// let before = set_mask(SigSet::empty().with(SIGTERM))?;
/// let during_waits = before.without(SIGTERM);
/// let wait = WaitOptions::new().sigmask(&during_waits);
/// # set_mask(before)?;
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[doc(alias = "sigprocmask")]
pub fn set_mask(mask: SigSet) -> Result<SigSet, Errno> {
    let mut old = SigSet::empty();
    // SAFETY: the kernel reads one set and writes the other, of `SigSet::BYTES` each. A
    // signal that is unblocked here runs a handler that `set_action` has required to be
    // sound anywhere.
    let result = unsafe {
        stubs::syscall4(
            ABI.base.rt_sigprocmask as usize,
            ABI.signals.set_mask as usize,
            (&raw const mask).expose_provenance(),
            (&raw mut old).expose_provenance(),
            SigSet::BYTES,
        )
    };
    Errno::check(result)?;
    Ok(old)
}

const _: () = {
    // A handler and its flags fit below the mask in every layout.
    assert!(MASK + SigSet::BYTES / size_of::<usize>() <= WORDS);
    assert!(FLAGS < MASK && HANDLER < MASK);
};
