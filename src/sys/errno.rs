//! [`Errno`]: the kernel's error numbers, with names and descriptions.
//!
//! The numbers depend on the architecture (mips and sparc have their own), so they come
//! from `arch/`. Names and descriptions are the same everywhere.

use core::fmt;
use core::num::NonZeroI32;

use crate::arch::target::errno;

/// An error number, as the kernel returns it.
///
/// The value is never zero, so `Result<(), Errno>` is one machine word, and
/// constructing it from the kernel's result costs no instruction.
///
/// [`guide::errors`](crate::guide::errors) has the causes of each error, by number and by call.
///
/// ```
/// use linux_aio::Errno;
///
/// let error = Errno::AGAIN;
/// assert_eq!(error.name(), Some("EAGAIN"));
/// assert_eq!(
///     error.to_string(),
///     "resource temporarily unavailable (EAGAIN)"
/// );
/// assert_eq!(Errno::from_raw_os_error(error.raw_os_error()), Some(error));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(NonZeroI32); // negative, as the kernel returns it

/// The largest error number: a kernel result of −4095 to −1 is an error.
const MAX: usize = 4095;

impl Errno {
    /// Returns the error with the positive number `raw`, as in C's `errno`, or `None`
    /// unless `raw` is 1 to 4095.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Errno;
    ///
    /// assert_eq!(Errno::from_raw_os_error(1), Some(Errno::PERM));
    /// assert_eq!(Errno::from_raw_os_error(0), None);
    /// // From an error of std.
    /// let missing = std::fs::File::open("/proc/self/none").unwrap_err();
    /// assert_eq!(missing.raw_os_error().and_then(Errno::from_raw_os_error), Some(Errno::NOENT));
    /// ```
    pub const fn from_raw_os_error(raw: i32) -> Option<Errno> {
        if raw < 1 || raw > MAX as i32 {
            return None;
        }
        match NonZeroI32::new(-raw) {
            Some(negated) => Some(Errno(negated)),
            None => None,
        }
    }

    /// Returns the positive number, as in C's `errno`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Errno;
    ///
    /// // The number of ENOSYS depends on the architecture, unlike that of EPERM.
    /// assert_eq!(Errno::PERM.raw_os_error(), 1);
    /// ```
    pub const fn raw_os_error(self) -> i32 {
        self.0.get().wrapping_neg()
    }

    /// Converts the result of any system call to a value or an error. Only −4095 to −1
    /// is an error: `mmap` on 32-bit returns addresses that are negative as an `isize`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Errno;
    ///
    /// assert_eq!(Errno::check(3), Ok(3));
    /// assert_eq!(Errno::check(-1), Err(Errno::PERM));
    /// // An address of mmap(2).
    /// assert!(Errno::check(-4096).is_ok());
    /// ```
    #[inline(always)]
    pub const fn check(result: isize) -> Result<usize, Errno> {
        if result as usize >= MAX.wrapping_neg() {
            Err(Errno::from_negated(result as i32))
        } else {
            Ok(result as usize)
        }
    }

    /// Converts the result of a system call that returns only zero or an error.
    #[inline(always)]
    pub(crate) const fn check_unit(result: isize) -> Result<(), Errno> {
        match NonZeroI32::new(result as i32) {
            None => Ok(()),
            Some(negated) => Err(Errno(negated)),
        }
    }

    /// Converts the result of a system call that returns a count of operations or
    /// events, or an error. Counts are millions at most, so the lower 32 bits suffice
    /// to distinguish the two. This costs no instruction where the caller needs 32 bits
    /// in the C convention.
    #[inline(always)]
    pub(crate) const fn check_count(result: isize) -> Result<usize, Errno> {
        match NonZeroI32::new(result as i32) {
            Some(negated) if negated.get() < 0 => Err(Errno(negated)),
            _ => Ok(result as usize),
        }
    }

    /// Converts back to a count or a negated error in one register, the inverse of
    /// [`check_count`](Errno::check_count).
    #[inline(always)]
    pub(crate) const fn uncheck_count(result: Result<usize, Errno>) -> i32 {
        match result {
            Ok(count) => count as i32,
            Err(errno) => errno.0.get(),
        }
    }

    /// The error of an operation whose outcome is unknown: its context was destroyed,
    /// or belongs to another process, before the result was read. The operation may
    /// have run in full, in part or not at all.
    ///
    /// The kernel has no such error: the number, 4096, is outside its range.
    pub const OUTCOME_UNKNOWN: Errno = Errno::from_negated(-(MAX as i32) - 1);

    /// Creates the error from a value that is known to be negative.
    #[inline(always)]
    pub(crate) const fn from_negated(result: i32) -> Errno {
        match NonZeroI32::new(result) {
            Some(negated) => Errno(negated),
            // Not reached with a negative value. A panic here would only add code.
            None => Errno(NonZeroI32::MIN),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.describe() {
            None if *self == Errno::OUTCOME_UNKNOWN => f.write_str("outcome unknown"),
            Some((name, text)) => {
                f.write_str(text)?;
                f.write_str(" (")?;
                f.write_str(name)?;
                f.write_str(")")
            }
            None => write!(f, "unknown error {}", self.raw_os_error()),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            None if *self == Errno::OUTCOME_UNKNOWN => f.write_str("OUTCOME_UNKNOWN"),
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.raw_os_error()),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> std::io::Error {
        if error == Errno::OUTCOME_UNKNOWN {
            // The operating system has no such number.
            return std::io::Error::other(error);
        }
        std::io::Error::from_raw_os_error(error.raw_os_error())
    }
}

macro_rules! errnos {
    ($($short:ident = $name:ident, $text:literal;)+) => {
        /// The named errors. Their numbers depend on the architecture.
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "`: ", $text, ".")]
                pub const $short: Errno =
                    Errno::from_negated(-(errno::$name as i32));
            )+

            /// Returns the C name, such as `"EAGAIN"`, or `None` for a number without a
            /// name.
            ///
            /// # Examples
            /// ```
            /// use linux_aio::Errno;
            ///
            /// assert_eq!(Errno::AGAIN.name(), Some("EAGAIN"));
            /// assert_eq!(Errno::OUTCOME_UNKNOWN.name(), None);
            /// ```
            pub const fn name(self) -> Option<&'static str> {
                match self.describe() {
                    Some((name, _)) => Some(name),
                    None => None,
                }
            }

            /// Returns a short description of the error, or `None` for a number without
            /// a name.
            ///
            /// # Examples
            /// ```
            /// use linux_aio::Errno;
            ///
            /// assert_eq!(Errno::NOSPC.description(), Some("no space left on device"));
            /// ```
            pub const fn description(self) -> Option<&'static str> {
                match self.describe() {
                    Some((_, text)) => Some(text),
                    None => None,
                }
            }

            const fn describe(self) -> Option<(&'static str, &'static str)> {
                // One text and the numbers are half the size of the machine code of a
                // `match` that returns two strings for each number.
                const NUMBERS: &[u16] = &[$(errno::$name as u16),+];
                const TEXT: &[u8] =
                    concat!($(stringify!($name), "\0", $text, "\0"),+).as_bytes();
                let mut index = 0;
                while index < NUMBERS.len() {
                    if NUMBERS[index] as i32 == self.raw_os_error() {
                        return Some((field(TEXT, 2 * index), field(TEXT, 2 * index + 1)));
                    }
                    index += 1;
                }
                None
            }
        }
    };
}

/// Returns the string with this index in a text of strings that each end with a zero
/// byte. The result is empty if there are fewer.
const fn field(mut text: &'static [u8], index: usize) -> &'static str {
    let mut before = index;
    while before > 0 {
        (_, text) = text.split_at(end_of_first(text));
        if let [_, rest @ ..] = text {
            text = rest;
        }
        before -= 1;
    }
    let (first, _) = text.split_at(end_of_first(text));
    match core::str::from_utf8(first) {
        Ok(string) => string,
        Err(_) => "",
    }
}

/// Returns the index of the first zero byte, or the length.
const fn end_of_first(text: &[u8]) -> usize {
    let mut end = 0;
    while end < text.len() && text[end] != 0 {
        end += 1;
    }
    end
}

errnos! {
    PERM = EPERM, "operation not permitted";
    NOENT = ENOENT, "no such file or directory";
    SRCH = ESRCH, "no such process";
    INTR = EINTR, "interrupted by a signal";
    IO = EIO, "input/output error";
    NXIO = ENXIO, "no such device or address";
    TOOBIG = E2BIG, "argument list too long";
    NOEXEC = ENOEXEC, "not an executable format";
    BADF = EBADF, "bad file descriptor";
    CHILD = ECHILD, "no child process";
    AGAIN = EAGAIN, "resource temporarily unavailable";
    NOMEM = ENOMEM, "out of memory";
    ACCES = EACCES, "permission denied";
    FAULT = EFAULT, "bad address";
    NOTBLK = ENOTBLK, "not a block device";
    BUSY = EBUSY, "device or resource busy";
    EXIST = EEXIST, "file exists";
    XDEV = EXDEV, "link between file systems";
    NODEV = ENODEV, "no such device";
    NOTDIR = ENOTDIR, "not a directory";
    ISDIR = EISDIR, "is a directory";
    INVAL = EINVAL, "invalid argument";
    NFILE = ENFILE, "too many open files in the system";
    MFILE = EMFILE, "too many open files in the process";
    NOTTY = ENOTTY, "not supported by this kind of file";
    TXTBSY = ETXTBSY, "program file in use";
    FBIG = EFBIG, "file too large";
    NOSPC = ENOSPC, "no space left on device";
    SPIPE = ESPIPE, "file cannot seek";
    ROFS = EROFS, "read-only file system";
    MLINK = EMLINK, "too many links";
    PIPE = EPIPE, "the pipe has no reader";
    DOM = EDOM, "argument out of the function's domain";
    RANGE = ERANGE, "result out of range";
    DEADLK = EDEADLK, "would deadlock";
    NAMETOOLONG = ENAMETOOLONG, "file name too long";
    NOLCK = ENOLCK, "no lock available";
    NOSYS = ENOSYS, "call not implemented";
    NOTEMPTY = ENOTEMPTY, "directory not empty";
    LOOP = ELOOP, "too many symbolic links";
    NOMSG = ENOMSG, "no message of that type";
    IDRM = EIDRM, "identifier removed";
    CHRNG = ECHRNG, "channel number out of range";
    L2NSYNC = EL2NSYNC, "level 2 not synchronised";
    L3HLT = EL3HLT, "level 3 halted";
    L3RST = EL3RST, "level 3 reset";
    LNRNG = ELNRNG, "link number out of range";
    UNATCH = EUNATCH, "protocol driver not attached";
    NOCSI = ENOCSI, "no CSI structure available";
    L2HLT = EL2HLT, "level 2 halted";
    BADE = EBADE, "invalid exchange";
    BADR = EBADR, "invalid request descriptor";
    XFULL = EXFULL, "exchange full";
    NOANO = ENOANO, "no anode";
    BADRQC = EBADRQC, "invalid request code";
    BADSLT = EBADSLT, "invalid slot";
    BFONT = EBFONT, "bad font file format";
    NOSTR = ENOSTR, "not a stream";
    NODATA = ENODATA, "no data available";
    TIME = ETIME, "timer expired";
    NOSR = ENOSR, "out of stream resources";
    NONET = ENONET, "machine not on the network";
    NOPKG = ENOPKG, "package not installed";
    REMOTE = EREMOTE, "object is remote";
    NOLINK = ENOLINK, "link severed";
    ADV = EADV, "advertise error";
    SRMNT = ESRMNT, "srmount error";
    COMM = ECOMM, "communication error on send";
    PROTO = EPROTO, "protocol error";
    MULTIHOP = EMULTIHOP, "multihop attempted";
    DOTDOT = EDOTDOT, "RFS-specific error";
    BADMSG = EBADMSG, "bad message";
    OVERFLOW = EOVERFLOW, "value too large for its type";
    NOTUNIQ = ENOTUNIQ, "name not unique on the network";
    BADFD = EBADFD, "file descriptor in a bad state";
    REMCHG = EREMCHG, "remote address changed";
    LIBACC = ELIBACC, "cannot use a needed shared library";
    LIBBAD = ELIBBAD, "shared library corrupted";
    LIBSCN = ELIBSCN, "corrupted .lib section";
    LIBMAX = ELIBMAX, "too many shared libraries";
    LIBEXEC = ELIBEXEC, "cannot execute a shared library";
    ILSEQ = EILSEQ, "invalid byte sequence";
    RESTART = ERESTART, "call should be restarted";
    STRPIPE = ESTRPIPE, "streams pipe error";
    USERS = EUSERS, "too many users";
    NOTSOCK = ENOTSOCK, "not a socket";
    DESTADDRREQ = EDESTADDRREQ, "destination address required";
    MSGSIZE = EMSGSIZE, "message too long";
    PROTOTYPE = EPROTOTYPE, "wrong protocol type for the socket";
    NOPROTOOPT = ENOPROTOOPT, "protocol option not available";
    PROTONOSUPPORT = EPROTONOSUPPORT, "protocol not supported";
    SOCKTNOSUPPORT = ESOCKTNOSUPPORT, "socket type not supported";
    OPNOTSUPP = EOPNOTSUPP, "operation not supported";
    PFNOSUPPORT = EPFNOSUPPORT, "protocol family not supported";
    AFNOSUPPORT = EAFNOSUPPORT, "address family not supported";
    ADDRINUSE = EADDRINUSE, "address in use";
    ADDRNOTAVAIL = EADDRNOTAVAIL, "address not available";
    NETDOWN = ENETDOWN, "network is down";
    NETUNREACH = ENETUNREACH, "network unreachable";
    NETRESET = ENETRESET, "connection dropped by the network";
    CONNABORTED = ECONNABORTED, "connection aborted";
    CONNRESET = ECONNRESET, "connection reset by the peer";
    NOBUFS = ENOBUFS, "no buffer space";
    ISCONN = EISCONN, "socket already connected";
    NOTCONN = ENOTCONN, "socket not connected";
    SHUTDOWN = ESHUTDOWN, "socket shut down";
    TOOMANYREFS = ETOOMANYREFS, "too many references";
    TIMEDOUT = ETIMEDOUT, "timed out";
    CONNREFUSED = ECONNREFUSED, "connection refused";
    HOSTDOWN = EHOSTDOWN, "host is down";
    HOSTUNREACH = EHOSTUNREACH, "host unreachable";
    ALREADY = EALREADY, "operation already in progress";
    INPROGRESS = EINPROGRESS, "operation in progress";
    STALE = ESTALE, "stale file handle";
    UCLEAN = EUCLEAN, "structure needs cleaning";
    NOTNAM = ENOTNAM, "not a XENIX named type file";
    NAVAIL = ENAVAIL, "no XENIX semaphores available";
    ISNAM = EISNAM, "is a named type file";
    REMOTEIO = EREMOTEIO, "remote input/output error";
    DQUOT = EDQUOT, "disk quota exceeded";
    NOMEDIUM = ENOMEDIUM, "no medium found";
    MEDIUMTYPE = EMEDIUMTYPE, "wrong medium type";
    CANCELED = ECANCELED, "operation cancelled";
    NOKEY = ENOKEY, "required key not available";
    KEYEXPIRED = EKEYEXPIRED, "key has expired";
    KEYREVOKED = EKEYREVOKED, "key was revoked";
    KEYREJECTED = EKEYREJECTED, "key was rejected";
    OWNERDEAD = EOWNERDEAD, "lock owner died";
    NOTRECOVERABLE = ENOTRECOVERABLE, "state not recoverable";
    RFKILL = ERFKILL, "blocked by RF-kill";
    HWPOISON = EHWPOISON, "memory page has a hardware error";
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::format;

    #[test]
    fn only_minus_4095_to_minus_1_is_an_error() {
        assert_eq!(Errno::check(0), Ok(0));
        assert_eq!(Errno::check(isize::MAX), Ok(isize::MAX as usize));
        assert_eq!(Errno::check(-4096), Ok(-4096_isize as usize));
        assert_eq!(Errno::check(-4095).unwrap_err().raw_os_error(), 4095);
        assert_eq!(Errno::check(-1), Err(Errno::PERM));
    }

    #[test]
    fn raw_numbers_outside_the_range_are_refused() {
        for raw in [i32::MIN, -1, 0, 4096, i32::MAX] {
            assert_eq!(Errno::from_raw_os_error(raw), None, "{raw}");
        }
        for raw in 1..=4095 {
            assert_eq!(Errno::from_raw_os_error(raw).unwrap().raw_os_error(), raw);
        }
    }

    #[test]
    fn an_unknown_outcome_is_no_number_of_the_kernels() {
        let unknown = Errno::OUTCOME_UNKNOWN;
        assert_eq!(Errno::from_raw_os_error(unknown.raw_os_error()), None);
        assert_eq!(
            format!("{unknown}, {unknown:?}"),
            "outcome unknown, OUTCOME_UNKNOWN"
        );
        let event = crate::Event {
            res: -i64::from(unknown.raw_os_error()),
            ..crate::Event::EMPTY
        };
        assert_eq!(event.result(), Err(unknown));
        #[cfg(feature = "std")]
        assert_eq!(std::io::Error::from(unknown).raw_os_error(), None);
    }

    #[test]
    fn an_unknown_number_prints_as_its_number() {
        let unknown = Errno::from_raw_os_error(4000).unwrap();
        assert_eq!(unknown.name(), None);
        assert_eq!(format!("{unknown}"), "unknown error 4000");
        assert_eq!(format!("{unknown:?}"), "Errno(4000)");
    }

    #[test]
    fn every_number_of_the_table_has_its_name() {
        for &(name, number) in errno::TABLE {
            let error = Errno::from_raw_os_error(number.into()).unwrap();
            assert_eq!(error.name(), Some(name));
            assert!(error.description().is_some());
        }
    }

    #[test]
    fn a_result_without_value_is_one_word() {
        assert_eq!(size_of::<Result<(), Errno>>(), 4);
    }
}
