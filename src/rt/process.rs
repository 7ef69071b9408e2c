//! The initial process stack: arguments, environment and auxiliary vector.

use core::ffi::{CStr, c_char};
use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::mem;

/// The initial stack of a process, as laid out by the kernel: arguments, environment
/// and auxiliary vector.
///
/// The strings live as long as the process and are not copied.
///
/// ```
/// use linux_aio::rt::Process;
///
/// fn start(process: Process) -> i32 {
///     let page = process.aux(6); // AT_PAGESZ
///     let home = process.var("HOME");
///     process.args().skip(1).count() as i32
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Process {
    /// The number of arguments, followed by the rest of the layout.
    stack: *const usize,
    life: PhantomData<&'static usize>,
}

/// The address of the initial stack of a program whose entry is that of `rt`, or 0. (The
/// compiler would keep the store of a pointer even if nothing loads it.)
static STACK: AtomicUsize = AtomicUsize::new(0);

impl Process {
    /// Returns the process of a program that started through `entry!` or `start!`, and
    /// `None` in any other.
    ///
    /// Code that `main` does not pass its argument to can read the arguments and the
    /// auxiliary vector from it.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::rt::Process;
    ///
    /// fn page_size() -> Option<usize> {
    ///     const AT_PAGESZ: usize = 6;
    ///     Process::current()?.aux(AT_PAGESZ)
    /// }
    ///
    /// // This program has the entry of the standard library.
    /// assert_eq!(page_size(), None);
    /// ```
    pub fn current() -> Option<Process> {
        let stack = ptr::with_exposed_provenance::<usize>(STACK.load(Ordering::Relaxed));
        // SAFETY: only `enter` stores an address, that of the initial stack, which is
        // valid and unchanged for ever by the `# Safety` section of that function.
        (!stack.is_null()).then(|| unsafe { Process::from_stack(stack) })
    }

    /// Reads the initial stack, and remembers it for [`Process::current`].
    ///
    /// # Safety
    /// As [`Process::from_stack`].
    pub(super) unsafe fn enter(stack: *const usize) -> Process {
        STACK.store(stack.expose_provenance(), Ordering::Relaxed);
        // SAFETY: `stack` points to the initial layout, by the `# Safety` section.
        unsafe { Process::from_stack(stack) }
    }

    /// Reads the initial stack.
    ///
    /// It holds argc, argv, a null pointer, the environment, a null pointer, the pairs
    /// of the auxiliary vector, and a pair whose kind is zero.
    ///
    /// # Safety
    /// `stack` is the stack pointer that the kernel gave the process, or points to the
    /// same layout, valid and unchanged for ever.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::rt::Process;
    ///
    /// // The layout of a program without arguments, environment and auxiliary vector.
    /// static STACK: [usize; 5] = [0; 5];
    /// // SAFETY: the layout is the kernel's: argc, two null pointers, and a pair of the kind 0. It
    /// // never changes.
    /// let process = unsafe { Process::from_stack(STACK.as_ptr()) };
    /// assert_eq!(process.args().count(), 0);
    /// ```
    pub unsafe fn from_stack(stack: *const usize) -> Process {
        Process {
            stack,
            life: PhantomData,
        }
    }

    /// Returns the arguments, the program's name first.
    ///
    /// The list may be empty: even the name is chosen by the parent process.
    ///
    /// # Examples
    /// ```
    /// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
    /// # let stack = Box::leak(Box::new([
    /// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
    /// # ]));
    /// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
    /// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
    /// assert!(process.args().eq([c"copy", c"FILE"]));
    /// ```
    pub fn args(&self) -> Strings {
        Strings::new(self.stack.wrapping_add(1).cast())
    }

    /// Returns the environment's strings, each in the form `NAME=value`.
    ///
    /// # Examples
    /// ```
    /// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
    /// # let stack = Box::leak(Box::new([
    /// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
    /// # ]));
    /// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
    /// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
    /// assert!(process.env().eq([c"HOME=/root"]));
    /// ```
    pub fn env(&self) -> Strings {
        // SAFETY: `from_stack` requires that the pointer leads to the initial layout, and argc
        // is its first word.
        let argc = unsafe { *self.stack };
        // The arguments end with a null pointer, and may hold none before it.
        Strings::new(self.stack.wrapping_add(argc).wrapping_add(2).cast())
    }

    /// Returns the value of the environment's first variable `name`.
    ///
    /// # Examples
    /// ```
    /// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
    /// # let stack = Box::leak(Box::new([
    /// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
    /// # ]));
    /// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
    /// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
    /// assert_eq!(process.var("HOME"), Some(c"/root"));
    /// assert_eq!(process.var("PATH"), None);
    /// ```
    pub fn var(&self, name: impl AsRef<[u8]>) -> Option<&'static CStr> {
        let name = name.as_ref();
        self.env().find_map(|string| {
            let bytes = string.to_bytes_with_nul();
            match bytes.strip_prefix(name)? {
                [b'=', value @ ..] => CStr::from_bytes_with_nul(value).ok(),
                _ => None,
            }
        })
    }

    /// Returns the auxiliary vector: pairs of kind and value, without the last, which
    /// only marks the end. A value may be an address.
    ///
    /// # Examples
    /// ```
    /// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
    /// # let stack = Box::leak(Box::new([
    /// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
    /// # ]));
    /// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
    /// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
    /// const AT_PAGESZ: usize = 6;
    /// assert!(process.auxv().eq([(AT_PAGESZ, 4096)]));
    /// ```
    pub fn auxv(&self) -> Auxv {
        let mut env = self.env().next;
        // SAFETY: the layout that `from_stack` requires ends the environment with a null
        // pointer, and no pointer up to here was null.
        while unsafe { !(*env).is_null() } {
            env = env.wrapping_add(1);
        }
        Auxv {
            next: env.wrapping_add(1).cast(),
            life: PhantomData,
        }
    }

    /// Returns the auxiliary vector's value of this kind, such as 6 (`AT_PAGESZ`), the
    /// bytes of a page.
    ///
    /// # Examples
    /// ```
    /// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
    /// # let stack = Box::leak(Box::new([
    /// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
    /// # ]));
    /// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
    /// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
    /// const AT_PAGESZ: usize = 6;
    /// assert_eq!(process.aux(AT_PAGESZ), Some(4096));
    /// ```
    #[doc(alias = "getauxval")]
    pub fn aux(&self, kind: usize) -> Option<usize> {
        self.auxv()
            .find_map(|(found, value)| (found == kind).then_some(value))
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment is left out, because it may contain secrets.
        f.debug_struct("Process")
            .field("args", &self.args())
            .finish_non_exhaustive()
    }
}

/// An iterator over the strings of the arguments or of the environment.
///
/// # Examples
/// ```
/// use linux_aio::rt::Strings;
///
/// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
/// # let stack = Box::leak(Box::new([
/// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
/// # ]));
/// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
/// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
/// let mut arguments: Strings = process.args();
/// assert_eq!(arguments.next(), Some(c"copy"));
/// // A copy continues from the same place.
/// let rest = arguments;
/// assert!(rest.eq([c"FILE"]));
/// ```
#[derive(Clone, Copy)]
pub struct Strings {
    /// The next entry; never behind the null pointer that ends the list.
    next: *const *const c_char,
    life: PhantomData<&'static CStr>,
}

impl Strings {
    fn new(next: *const *const c_char) -> Strings {
        Strings {
            next,
            life: PhantomData,
        }
    }
}

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: the `# Safety` section of `from_stack` requires a list that ends with
        // a null pointer, and `next` does not go beyond it.
        let string = unsafe { *self.next };
        if string.is_null() {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        // SAFETY: the strings in the layout that `from_stack` requires end with a zero
        // byte, the first of which `length_bytewise` finds, and stay valid for ever.
        // `CStr::from_ptr` would call `strlen`, which a program with its own memory
        // functions may lack.
        Some(unsafe {
            let length = mem::length_bytewise(string.cast());
            CStr::from_bytes_with_nul_unchecked(slice::from_raw_parts(string.cast(), length + 1))
        })
    }
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// An iterator over the auxiliary vector: pairs of kind and value.
///
/// # Examples
/// ```
/// use linux_aio::rt::Auxv;
///
/// # let address = |string: &'static std::ffi::CStr| string.as_ptr().expose_provenance();
/// # let stack = Box::leak(Box::new([
/// #     2, address(c"copy"), address(c"FILE"), 0, address(c"HOME=/root"), 0, 6, 4096, 0, 0,
/// # ]));
/// # // SAFETY: the layout is the kernel's, and it is leaked, so it never changes.
/// # let process = unsafe { linux_aio::rt::Process::from_stack(stack.as_ptr()) };
/// let vector: Auxv = process.auxv();
/// for (kind, value) in vector {
///     println!("{kind}: {value:#x}");
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Auxv {
    /// The next pair; never behind the pair that ends the vector.
    next: *const [usize; 2],
    life: PhantomData<&'static [usize; 2]>,
}

impl Iterator for Auxv {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        // SAFETY: the `# Safety` section of `from_stack` requires a vector that ends
        // with the kind zero, and `next` does not go beyond it.
        let [kind, value] = unsafe { *self.next };
        if kind == 0 {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        Some((kind, value))
    }
}

impl fmt::Debug for Auxv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Process;
    use std::boxed::Box;
    use std::ffi::CStr;
    use std::format;
    use std::vec::Vec;

    /// Builds the kernel's layout, and leaks it.
    fn process(args: &[&'static CStr], env: &[&'static CStr], auxv: &[(usize, usize)]) -> Process {
        let address = |string: &&'static CStr| string.as_ptr().expose_provenance();
        let mut stack = Vec::from([args.len()]);
        stack.extend(args.iter().map(address));
        stack.push(0);
        stack.extend(env.iter().map(address));
        stack.push(0);
        stack.extend(auxv.iter().flat_map(|&(kind, value)| [kind, value]));
        stack.extend([0, 99]);
        // SAFETY: the layout is that of the kernel, and it is leaked, so it stays valid
        // and unchanged for ever.
        unsafe { Process::from_stack(Box::leak(stack.into_boxed_slice()).as_ptr()) }
    }

    #[test]
    fn reads_what_the_kernel_wrote() {
        let p = process(
            &[c"aio", c"", c"\xff\xfe"],
            &[c"A=1", c"AB=2", c"EMPTY=", c"odd", c"A=3", c"EQ=x=y"],
            &[(6, 4096), (25, 7)],
        );
        assert!(p.args().eq([c"aio", c"", c"\xff\xfe"]));
        assert_eq!(p.env().count(), 6);
        assert!(p.auxv().eq([(6, 4096), (25, 7)]));
        assert_eq!(p.aux(25), Some(7));
        assert_eq!(p.aux(0), None);
        assert_eq!(p.var("A"), Some(c"1"));
        assert_eq!(p.var(b"AB"), Some(c"2"));
        assert_eq!(p.var("EMPTY"), Some(c""));
        assert_eq!(p.var("EQ"), Some(c"x=y"));
        assert_eq!(p.var("odd"), None);
        assert_eq!(p.var("B"), None);
        assert_eq!(p.var(""), None);
        assert_eq!(
            format!("{p:?}"),
            r#"Process { args: ["aio", "", "\xff\xfe"], .. }"#
        );
    }

    #[test]
    fn a_program_with_another_entry_has_no_current_process() {
        assert!(Process::current().is_none());
    }

    #[test]
    fn reads_a_process_with_nothing() {
        let p = process(&[], &[], &[]);
        assert_eq!(p.args().next(), None);
        assert_eq!(p.env().next(), None);
        assert_eq!(p.auxv().next(), None);
        // An iterator at its end stays there.
        let mut args = p.args();
        assert_eq!((args.next(), args.next()), (None, None));
    }
}
