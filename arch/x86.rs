//! x86 (32-bit, i386 to i686).
//!
//! - Instruction: a call of `__kernel_vsyscall` in the vDSO, which enters the
//!   kernel by `sysenter` or `syscall` where the processor has it, and otherwise
//!   by `int 0x80`. Where its address is not known, a call of `int 0x80; ret`,
//!   which every kernel and every processor supports. `int 0x80` is slower by the
//!   cost of an interrupt, which a hypervisor may have to intercept: 9 to 12 µs
//!   against 0.15 µs on a virtual machine.
//! - Number: `eax`.
//! - Arguments: `ebx`, `ecx`, `edx`, `esi`, `edi`, `ebp`.
//! - Result: `eax`; −4095 to −1 is an error.
//! - Clobbers: the flags. The function saves `ecx`, `edx` and `ebp`, which
//!   `sysenter` overwrites, on the stack; the interrupt gate gives back every
//!   register. Vectors and AMX tiles are kept as on x86_64.
//! - `esi` and `ebp` are reserved by the compiler (base and frame pointer) and
//!   cannot be operands: the stubs push them and pop them again. Six arguments,
//!   the number and the address are more than there are registers, so the last
//!   stubs load the values that do not fit from an array that `eax` points at.
//!   All stubs use the stack and so are not `nostack`.
//! - Stack: 16-byte aligned at a call (System V ABI, Intel386 Architecture
//!   Processor Supplement 1.1).
//! - Source: the kernel's `arch/x86/entry/entry_32.S`, `entry_64_compat.S`,
//!   `arch/x86/entry/vdso/vdso32/system_call.S`, and
//!   `arch/x86/entry/syscalls/syscall_32.tbl`.
//!
//! # The address of `__kernel_vsyscall`
//! The kernel passes it in the auxiliary vector (AT_SYSINFO), from which `rt` takes
//! it. A library cannot read that vector without system calls that its program does
//! not expect. But glibc and musl keep the address at offset 0x10 of the thread
//! block, as their own stubs call it there. That offset is not part of any ABI: in
//! another C library (bionic) or a runtime of its own, another value may be there,
//! or the block may be shorter, or there may be no block. So the value is verified
//! once for each process, before it is used:
//!
//! - `gs` holds a selector, so there is a thread block. Its first word is its
//!   address, by the ABI of thread-local storage on i386.
//! - The kernel can read the word at 0x10: a wait for events of no context returns
//!   EFAULT for the address of a timeout that it cannot read, and otherwise EINVAL.
//!   (Native kernels before 4.15 do not; a bad address detects them.) An AIO program
//!   is permitted to make this system call anyway.
//! - The word is the entry point of an ELF image for i386 that is mapped at the
//!   start of its page or one of the two before it. The linker script of the vDSO
//!   makes `__kernel_vsyscall` the entry point (`vdso32.lds.S`). The pages are
//!   probed in the same way before they are read.
//!
//! If one of these does not hold, `int 0x80` is used: for statically linked programs
//! without `rt` or a C library, under Valgrind and QEMU's user mode (which hide the
//! vDSO), and where io_getevents is forbidden.
//!
//! A process keeps the mapping of its vDSO until it executes another program; glibc
//! relies on that too.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("x86", "-m32", &["__i386__"]),
    aio: Numbers {
        abi: "x86",
        io_setup: Some(245),
        io_destroy: Some(246),
        io_submit: Some(248),
        io_cancel: Some(249),
        io_getevents: Some(247),
        io_pgetevents: Some(385),
        io_pgetevents_time64: Some(416),
    },
    base: BaseNumbers {
        madvise: 219,
        ppoll: Some(309),
        write: 4,
        exit_group: 252,
        statx: 383,
        mmap: 192,
        getpid: 20,
        openat: 295,
        close: 6,
        fcntl: 55,
        mprotect: 125,
        rt_sigaction: 174,
        rt_sigprocmask: 175,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 16,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: SignalAbi::WITH_RESTORER,
    relative: Relative::Rel(8),
};

#[cfg(target_arch = "x86")]
pub(crate) mod stubs {
    use core::arch::asm;
    use core::ptr::{NonNull, with_exposed_provenance};
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::{ABI, errno};

    /// The address of the function that enters the kernel; zero until it is known.
    /// Every value that is stored is correct for all threads, so no ordering between
    /// them is needed.
    static ENTRY: AtomicUsize = AtomicUsize::new(0);

    /// The kind of AT_SYSINFO in the auxiliary vector.
    #[cfg(feature = "rt")]
    const AT_SYSINFO: usize = 32;

    /// Takes the address from the auxiliary vector of the process, whose values
    /// `aux` returns by their kinds.
    #[cfg(feature = "rt")]
    pub(crate) fn started(aux: impl Fn(usize) -> Option<usize>) {
        // Without a C library there is no thread block to look for: `gs` has any value.
        let entry = aux(AT_SYSINFO).filter(|&entry| entry != 0);
        ENTRY.store(entry.unwrap_or_else(interrupt), Relaxed);
    }

    /// Returns the address that the stubs call, or zero if none was called yet.
    #[cfg(test)]
    pub(super) fn known_entry() -> usize {
        ENTRY.load(Relaxed)
    }

    #[inline(always)]
    fn entry() -> usize {
        match ENTRY.load(Relaxed) {
            0 => find(),
            entry => entry,
        }
    }

    #[cold]
    #[inline(never)]
    fn find() -> usize {
        let Some(block) = thread_block() else {
            // Before the C library has started, there is no block yet.
            return interrupt();
        };
        let entry = in_thread_block(block).filter(|&entry| is_vdso_entry(entry));
        let entry = entry.unwrap_or_else(interrupt);
        ENTRY.store(entry, Relaxed);
        entry
    }

    /// Returns the address of a function that makes the system call by `int 0x80`.
    fn interrupt() -> usize {
        let function: usize;
        // SAFETY: the call pushes the address of the two instructions behind it, and
        // the pop takes it from the stack again. They do not run here.
        unsafe {
            asm!(
                "call 2f",
                "int 0x80",
                "ret",
                "2:",
                "pop {function}",
                function = lateout(reg) function,
            );
        }
        function
    }

    /// Returns the address of the thread block, if there is one.
    fn thread_block() -> Option<usize> {
        let selector: u32;
        // SAFETY: reading a segment register has no effect.
        unsafe {
            asm!("mov {:e}, gs", lateout(reg) selector, options(nomem, nostack, preserves_flags));
        }
        // The lower two bits are a privilege level. A null selector describes no segment.
        if selector & 0xfffc == 0 {
            return None;
        }
        let block;
        // SAFETY: `gs` describes a segment. By the ABI of thread-local storage it starts
        // with a word that is its own address, so this word can be read.
        unsafe {
            asm!("mov {}, gs:[0]", lateout(reg) block, options(pure, readonly, nostack, preserves_flags));
        }
        Some(block)
    }

    /// Returns the word at offset 0x10 of the thread block, if the kernel can read it.
    fn in_thread_block(block: usize) -> Option<usize> {
        // Kernels before 4.15 look up the context first, and report no address. This one
        // is the kernel's.
        if probe(0_usize.wrapping_sub(4096)) != -(errno::EFAULT as isize) {
            return None;
        }
        let word = block.checked_add(0x10).filter(|word| word % 4 == 0)?;
        // SAFETY: the address is aligned, and the kernel has just read it.
        can_be_read(word).then(|| unsafe { *with_exposed_provenance::<usize>(word) })
    }

    /// Returns whether the address is the entry point of the vDSO: of an ELF image for
    /// i386 that starts at most two pages before it.
    pub(super) fn is_vdso_entry(entry: usize) -> bool {
        const PAGE: usize = 4096;
        let last = entry & !(PAGE - 1);
        for page in [
            Some(last),
            last.checked_sub(PAGE),
            last.checked_sub(2 * PAGE),
        ] {
            let Some(page) = page.and_then(|page| NonNull::new(page as *mut ())) else {
                return false;
            };
            let page = page.as_ptr().addr();
            if !can_be_read(page) {
                return false;
            }
            // SAFETY: the kernel has just read the start of the page, so all of it can be
            // read. Its contents are plain numbers.
            let header = unsafe { &*with_exposed_provenance::<[u32; 7]>(page) };
            // "\x7fELF"; 32 bits and little-endian; EM_386 (3) in the upper half behind
            // the type; and the entry point, as an address or as a distance.
            if header[0] == 0x464c_457f && header[1] & 0xffff == 0x0101 && header[4] >> 16 == 3 {
                let start = header[6] as usize;
                return start == entry || page.checked_add(start) == Some(entry);
            }
        }
        false
    }

    /// Returns whether the kernel can read eight bytes at the address.
    fn can_be_read(address: usize) -> bool {
        probe(address) == -(errno::EINVAL as isize)
    }

    /// Waits for events of no context, with a timeout at the address. The result is
    /// EFAULT if the kernel cannot read eight bytes there, and EINVAL if it can. Another
    /// result is that of a kernel or a sandbox without this system call.
    fn probe(address: usize) -> isize {
        let Some(number) = ABI.aio.io_getevents else {
            return 0;
        };
        // SAFETY: there is no context zero, so no event is taken and nothing is written.
        // The kernel checks the address of the timeout.
        unsafe { by(interrupt(), number as usize, 0, 0, 0, 0, address) }
    }

    /// Calls `entry` with up to three arguments, which need no register that the
    /// compiler reserves.
    macro_rules! vsyscall {
        ($number:ident $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads. The function at `entry` changes only the result register and
            // the flags, and uses the stack, so `nostack` is absent.
            unsafe {
                asm!(
                    "call edi",
                    inlateout("eax") $number => result,
                    in("edi") entry(),
                    $(in($register) $argument,)*
                );
            }
            result
        }};
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall0(n: usize) -> isize {
        vsyscall!(n)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall1(n: usize, a: usize) -> isize {
        vsyscall!(n, "ebx": a)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall2(n: usize, a: usize, b: usize) -> isize {
        vsyscall!(n, "ebx": a, "ecx": b)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall3(n: usize, a: usize, b: usize, c: usize) -> isize {
        vsyscall!(n, "ebx": a, "ecx": b, "edx": c)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall4(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
        let result: isize;
        let rest = [n, d];
        // SAFETY: the caller promises that this system call is sound with these
        // arguments. `eax` points at `rest`, which outlives the block and is
        // read before `eax` is set to the number. `esi` is pushed before the
        // call and popped after it. The function at `entry` changes only `eax`
        // and the flags, and uses the stack, so `nostack` is absent.
        unsafe {
            asm!(
                "push esi",
                "mov esi, [eax + 4]",
                "mov eax, [eax]",
                "call edi",
                "pop esi",
                inlateout("eax") &raw const rest => result,
                in("ebx") a,
                in("ecx") b,
                in("edx") c,
                in("edi") entry(),
            );
        }
        result
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall5(
        n: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
    ) -> isize {
        // SAFETY: the caller promises that this system call is sound with these
        // arguments, and `entry` returns a function that enters the kernel.
        unsafe { by(entry(), n, a, b, c, d, e) }
    }

    /// Makes a system call with five arguments by the function at `entry`.
    ///
    /// # Safety
    /// The system call is sound with these arguments, and `entry` enters the kernel.
    #[inline(always)]
    unsafe fn by(
        entry: usize,
        n: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
    ) -> isize {
        let result: isize;
        let rest = [n, d, entry];
        // SAFETY: the caller promises that this system call is sound with these
        // arguments. `eax` points at `rest`, which outlives the block and is
        // read before `eax` is set to the number. `esi` and the address of the
        // function are pushed before the call and popped after it. The function
        // changes only `eax` and the flags, and uses the stack, so `nostack` is
        // absent.
        unsafe {
            asm!(
                "push esi",
                "push dword ptr [eax + 8]",
                "mov esi, [eax + 4]",
                "mov eax, [eax]",
                "call dword ptr [esp]",
                "pop esi",
                "pop esi",
                inlateout("eax") &raw const rest => result,
                in("ebx") a,
                in("ecx") b,
                in("edx") c,
                in("edi") e,
            );
        }
        result
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall6(
        n: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> isize {
        let result: isize;
        let rest = [n, d, f, entry()];
        // SAFETY: the caller promises that this system call is sound with these
        // arguments. `eax` points at `rest`, which outlives the block and is
        // read before `eax` is set to the number. `ebp`, `esi` and the address
        // of the function are pushed before the call and popped after it. No
        // memory is addressed through `ebp` between its push and its pop. The
        // function changes only `eax` and the flags, and uses the stack, so
        // `nostack` is absent.
        unsafe {
            asm!(
                "push ebp",
                "push esi",
                "push dword ptr [eax + 12]",
                "mov esi, [eax + 4]",
                "mov ebp, [eax + 8]",
                "mov eax, [eax]",
                "call dword ptr [esp]",
                "pop esi",
                "pop esi",
                "pop ebp",
                inlateout("eax") &raw const rest => result,
                in("ebx") a,
                in("ecx") b,
                in("edx") c,
                in("edi") e,
            );
        }
        result
    }
}

#[cfg(all(test, target_arch = "x86", target_os = "linux"))]
mod tests {
    use super::stubs::{self, is_vdso_entry};

    fn sysinfo() -> usize {
        const AT_SYSINFO: libc::c_ulong = 32;
        // SAFETY: the function only returns a value.
        unsafe { libc::getauxval(AT_SYSINFO) as usize }
    }

    #[test]
    fn system_calls_enter_by_the_vdso() {
        // SAFETY: getpid touches no memory.
        let pid = unsafe { stubs::syscall0(super::ABI.base.getpid as usize) };
        assert_eq!(pid, std::process::id() as isize);
        assert_ne!(sysinfo(), 0, "this kernel has no vDSO for 32 bits");
        assert_eq!(stubs::known_entry(), sysinfo());
    }

    #[test]
    fn other_addresses_are_refused() {
        let near = sysinfo() + 1;
        let own = other_addresses_are_refused as fn() as usize;
        let mut page = std::vec![0_u32; 2048];
        let aligned = (page.as_mut_ptr() as usize).next_multiple_of(4096);
        for address in [
            0,
            1,
            8,
            4096,
            near,
            own,
            aligned,
            aligned + 64,
            0xffff_f000,
            usize::MAX,
        ] {
            assert!(!is_vdso_entry(address), "{address:#x}");
        }
    }

    extern crate std;
}

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "x86"
))]
::core::arch::global_asm!(
    ".pushsection .text.__linux_aio_restorer, \"ax\", @progbits",
    ".weak __linux_aio_restorer",
    ".hidden __linux_aio_restorer",
    ".type __linux_aio_restorer, @function",
    "__linux_aio_restorer:",
    "mov eax, 173",
    "int 0x80",
    "ud2",
    ".size __linux_aio_restorer, . - __linux_aio_restorer",
    ".popsection",
);

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "x86"
))]
unsafe extern "C" {
    /// Returns from a signal handler: rt_sigreturn(2). Otherwise the kernel uses its
    /// vDSO, which can be disabled.
    pub(crate) fn __linux_aio_restorer();
}

/// Emits `_start`, the process entry. `esp` points at argc. The ABI requires it
/// 16-byte aligned at a call, with the argument on the stack.
#[cfg(all(feature = "rt", target_arch = "x86"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".globl __linux_aio_start",
            ".weak _start",
            ".type __linux_aio_start, @function",
            ".type _start, @function",
            "_start:",
            "__linux_aio_start:",
            ".cfi_startproc",
            ".cfi_undefined eip",
            "xor ebp, ebp",
            "mov eax, esp",
            "and esp, -16",
            "sub esp, 12",
            "push eax",
            "call {rust}",
            "ud2",
            ".cfi_endproc",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). Arguments are on the
/// stack, and the registers of the system call that a function has to keep are
/// pushed. The call of `begin` has the alignment described at `__process_entry!`.
#[cfg(all(feature = "rt", target_arch = "x86"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __thread_start {
    ($start:path, $clone:expr, $begin:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text.thread_start, \"ax\", @progbits",
            ".p2align 2",
            ".globl {start}",
            ".type {start}, @function",
            "{start}:",
            "push ebx",
            "push esi",
            "push edi",
            "mov ebx, [esp + 16]",
            "mov ecx, [esp + 20]",
            "mov edx, [esp + 24]",
            "mov esi, edx",
            "mov edi, edx",
            "mov eax, {clone}",
            "int 0x80",
            "test eax, eax",
            "jz 2f",
            "pop edi",
            "pop esi",
            "pop ebx",
            "ret",
            "2:",
            "xor ebp, ebp",
            "mov eax, esp",
            "sub esp, 12",
            "push eax",
            "call {begin}",
            "ud2",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
