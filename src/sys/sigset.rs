//! Signal sets in the kernel's layout, and the argument of io_pgetevents that carries
//! one.
//!
//! Source: the kernel's `include/uapi/asm-generic/signal.h`, and `fs/aio.c`
//! (`__aio_sigset`, `__compat_aio_sigset`).

use crate::arch::ABI;
use crate::sys::abi::Long;

/// The number of words of a [`SigSet`].
const SIGSET_WORDS: usize = ABI.sigset_bytes / size_of::<usize>();

/// A set of signals in the kernel's layout: 64 signals, on MIPS 128. This is not libc's
/// `sigset_t`, which is larger.
///
/// # Examples
/// ```
/// use linux_aio::SigSet;
///
/// const SIGINT: u32 = 2;
/// const SIGTERM: u32 = 15;
/// let ends = SigSet::empty().with(SIGINT).with(SIGTERM);
/// assert!(ends.contains(SIGTERM));
/// assert_eq!(format!("{ends:?}"), "{2, 15}");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "sigset_t")]
pub struct SigSet([usize; SIGSET_WORDS]);

impl SigSet {
    /// The number of signals; signal numbers start at 1.
    pub const SIGNALS: u32 = 8 * ABI.sigset_bytes as u32;

    /// The size in bytes, as passed to the kernel.
    pub const BYTES: usize = ABI.sigset_bytes;

    /// Returns the empty set: as a mask it blocks nothing.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::SigSet;
    ///
    /// assert!(!SigSet::empty().contains(15));
    /// ```
    pub const fn empty() -> SigSet {
        SigSet([0; SIGSET_WORDS])
    }

    /// Returns the set of all signals.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::SigSet;
    ///
    /// assert!(SigSet::full().contains(1) && SigSet::full().contains(SigSet::SIGNALS));
    /// ```
    pub const fn full() -> SigSet {
        SigSet([usize::MAX; SIGSET_WORDS])
    }

    /// Returns the set with `signal` added. An invalid signal number changes nothing.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::SigSet;
    ///
    /// const SIGTERM: u32 = 15;
    /// assert!(SigSet::empty().with(SIGTERM).contains(SIGTERM));
    /// ```
    #[must_use]
    pub const fn with(mut self, signal: u32) -> SigSet {
        if let Some((word, bit)) = place(signal) {
            self.0[word] |= bit;
        }
        self
    }

    /// Returns the set without `signal`. An invalid signal number changes nothing.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::SigSet;
    ///
    /// const SIGTERM: u32 = 15;
    /// let mask = SigSet::full().without(SIGTERM);
    /// assert!(!mask.contains(SIGTERM));
    /// ```
    #[must_use]
    pub const fn without(mut self, signal: u32) -> SigSet {
        if let Some((word, bit)) = place(signal) {
            self.0[word] &= !bit;
        }
        self
    }

    /// Returns the words of the set, the lowest signals first.
    #[cfg(feature = "rt")]
    pub(crate) fn words(&self) -> &[usize] {
        &self.0
    }

    /// Returns whether `signal` is in the set.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::SigSet;
    ///
    /// let set = SigSet::empty().with(2);
    /// assert!(set.contains(2) && !set.contains(3) && !set.contains(0));
    /// ```
    pub const fn contains(&self, signal: u32) -> bool {
        match place(signal) {
            Some((word, bit)) => self.0[word] & bit != 0,
            None => false,
        }
    }
}

/// Returns the word index and the bit of a signal, or `None` for an invalid number. The
/// lowest numbers are in the first word on either byte order.
const fn place(signal: u32) -> Option<(usize, usize)> {
    if signal == 0 || signal > SigSet::SIGNALS {
        return None;
    }
    let index = (signal - 1) as usize;
    let bits = usize::BITS as usize;
    Some((index / bits, 1 << (index % bits)))
}

impl core::fmt::Debug for SigSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set()
            .entries((1..=SigSet::SIGNALS).filter(|&signal| self.contains(signal)))
            .finish()
    }
}

/// The last argument of io_pgetevents: the address and the length of the mask.
///
/// It has two fields of the kernel's `long`. On 32-bit ABIs two words follow, which
/// must be zero: 64-bit kernels from 4.18 until commit 97eba80fcca7 of 2019 read a 32-bit
/// program's structure with a 64-bit pointer. They then read a length of zero instead of
/// unrelated memory behind the structure, and return EINVAL.
///
/// # Examples
/// ```
/// use linux_aio::abi::{SigSet, SigsetArg};
///
/// let mask = SigSet::full();
/// let argument = SigsetArg::new(Some(&mask));
/// # #[cfg(target_pointer_width = "64")]
/// assert_eq!(size_of_val(&argument), 16);
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[doc(alias("__aio_sigset", "io_sigset", "io_sigset_compat"))]
pub struct SigsetArg {
    sigmask: Long,
    sigsetsize: Long,
    #[cfg(target_pointer_width = "32")]
    zero: [u32; 2],
}

impl SigsetArg {
    /// Creates the argument for a mask; `None` leaves the thread's mask unchanged. The
    /// mask must live until the system call returns.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::SigsetArg;
    ///
    /// // The thread's mask stays as it is.
    /// let argument = SigsetArg::new(None);
    /// ```
    pub fn new(mask: Option<&SigSet>) -> SigsetArg {
        SigsetArg::from_ptr(mask.map_or(core::ptr::null(), core::ptr::from_ref))
    }

    /// Creates the argument for a mask at an address that the kernel checks (EFAULT).
    /// Null leaves the thread's mask unchanged.
    pub(crate) fn from_ptr(mask: *const SigSet) -> SigsetArg {
        SigsetArg {
            sigmask: mask.expose_provenance() as Long,
            sigsetsize: SigSet::BYTES as Long,
            #[cfg(target_pointer_width = "32")]
            zero: [0; 2],
        }
    }
}

/// The argument in the layout that some 64-bit kernels expect of 32-bit programs by
/// mistake, with a 64-bit pointer. Affected are kernels from 4.18 until commit
/// 97eba80fcca7 of 2019, which was backported to the stable kernels. They refuse the
/// correct layout with EINVAL.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct PaddedSigsetArg {
    sigmask: u64,
    sigsetsize: u32,
    zero: u32,
}

impl PaddedSigsetArg {
    /// Creates the argument for a mask at an address that the kernel checks (EFAULT).
    /// Null leaves the thread's mask unchanged.
    pub(crate) fn from_ptr(mask: *const SigSet) -> PaddedSigsetArg {
        PaddedSigsetArg {
            sigmask: mask.expose_provenance() as u64,
            sigsetsize: SigSet::BYTES as u32,
            zero: 0,
        }
    }
}

const _: () = {
    assert!(size_of::<SigSet>() == SigSet::BYTES);
    assert!(
        size_of::<SigsetArg>()
            == if size_of::<usize>() >= 8 {
                16
            } else {
                8 + 2 * size_of::<Long>()
            }
    );
    assert!(size_of::<PaddedSigsetArg>() == 16);
};
