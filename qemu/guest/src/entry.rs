//! Checks the data that the kernel passes to a new process, as `_start` and `rt` hand
//! it on: arguments, environment, auxiliary vector, stack and sections.

use core::ffi::CStr;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use linux_aio::rt::{self, Process};

use crate::check::Check;

/// Kinds of the auxiliary vector: the kernel's `include/uapi/linux/auxvec.h`.
const AT_PHENT: usize = 4;
const AT_PAGESZ: usize = 6;
const AT_ENTRY: usize = 9;
const AT_SECURE: usize = 23;
const AT_RANDOM: usize = 25;

/// The arguments with which the host's tool runs the program.
const TOOL_ARGS: [&CStr; 3] = [c"one", c"two words", c""];

unsafe extern "C" {
    fn _start();
}

pub(crate) fn run(check: &mut Check, process: Process) {
    arguments(check, process);
    environment(check, process);
    auxiliary(check, process);
    stack(check);
    sections(check);
}

fn arguments(check: &mut Check, process: Process) {
    let count = process.args().count();
    check.holds("entry argv has a name", count > 0);
    if count != 1 + TOOL_ARGS.len() {
        check.skip("entry argv", "run without the tool's arguments");
        return;
    }
    let names = ["entry argv 1", "entry argv 2", "entry argv 3"];
    for ((got, want), name) in process.args().skip(1).zip(TOOL_ARGS).zip(names) {
        check.equal(name, got.to_bytes(), want.to_bytes());
    }
}

fn environment(check: &mut Check, process: Process) {
    // An environment read from the wrong address would contain strings without `=`. It
    // may be empty, as in a kernel's first process without `HOME`.
    let mut odd = 0;
    for string in process.env() {
        if string.to_bytes().splitn(2, |&byte| byte == b'=').count() != 2 {
            odd += 1;
        }
    }
    check.equal("entry environment", odd, 0);
    let Some(first) = process.env().next() else {
        check.skip("entry variable", "the environment is empty");
        return;
    };
    let mut parts = first.to_bytes().splitn(2, |&byte| byte == b'=');
    let name = parts.next().unwrap_or_default();
    let found = process.var(name).map(CStr::to_bytes);
    check.equal("entry variable", found, parts.next());
}

fn auxiliary(check: &mut Check, process: Process) {
    let page = process.aux(AT_PAGESZ).unwrap_or(0);
    let plausible = page.is_power_of_two() && (4096..=1 << 20).contains(&page);
    check.holds("entry auxv page size", plausible);

    let header = if cfg!(target_pointer_width = "64") {
        56
    } else {
        32
    };
    check.equal(
        "entry auxv header size",
        process.aux(AT_PHENT),
        Some(header),
    );

    // The lowest bit, which marks Thumb code, may or may not be set.
    let start = _start as *const () as usize;
    let entry = process.aux(AT_ENTRY).map(|entry| entry | 1);
    check.equal("entry auxv start address", entry, Some(start | 1));

    check.equal("entry auxv secure", process.aux(AT_SECURE), Some(0));
    // Sixteen random bytes: all zero once in 2^128 runs.
    let random = process.aux(AT_RANDOM).unwrap_or(0);
    let random = core::ptr::with_exposed_provenance::<[u8; 16]>(random);
    // SAFETY: the pointer is not null and comes from the kernel. It points at 16 bytes
    // on the stack that exist as long as the process.
    let random = (!random.is_null()).then(|| unsafe { random.read() });
    let some = random.is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0));
    check.holds("entry auxv random bytes", some);
}

/// Maps an alignment to a type that has it: `repr(align)` takes only a literal. An
/// alignment without a type is a compile error.
trait Align {
    type Local: Default;
}

struct Number<const N: usize>;

macro_rules! align {
    ($($name:ident: $align:literal,)+) => {$(
        #[derive(Default)]
        #[repr(align($align))]
        struct $name(#[expect(dead_code, reason = "only the address counts")] [u8; 4]);

        impl Align for Number<$align> {
            type Local = $name;
        }
    )+};
}

align! {
    Two: 2,
    Four: 4,
    Eight: 8,
    Sixteen: 16,
}

/// Checks the alignment of the stack pointer at the entry. The compiler places an
/// aligned local relative to the alignment that the ABI promises, so a misaligned entry
/// misaligns the local. The alignment of the type is no larger than that promise;
/// otherwise the compiler would align the frame itself.
fn stack(check: &mut Check) {
    type Aligned = <Number<{ rt::__STACK_ALIGN }> as Align>::Local;
    let local = Aligned::default();
    let address = core::ptr::from_ref(black_box(&local)).addr();
    let misaligned = address & (rt::__STACK_ALIGN - 1);
    check.equal("entry stack alignment", misaligned, 0);
}

/// Checks that initialised data, zeroed data and a table of addresses are at the
/// addresses that the program expects: nothing relocates it.
fn sections(check: &mut Check) {
    static DATA: AtomicU32 = AtomicU32::new(0x600d_da7a);
    static ZERO: [AtomicU32; 1024] = [const { AtomicU32::new(0) }; 1024];
    static TABLE: [fn() -> u32; 2] = [|| 0x11, || 0x22];

    check.equal("entry data", DATA.swap_slowly(0x1234), 0x600d_da7a);
    check.equal("entry data is writable", DATA.load(Relaxed), 0x1234);
    let zero = black_box(&ZERO).iter().all(|word| word.load(Relaxed) == 0);
    check.holds("entry zeroed data", zero);
    let table = black_box(&TABLE);
    let sum = table.iter().fold(0, |sum, function| sum + function());
    check.equal("entry addresses in constants", sum, 0x33);
}

/// A swap as a load and a store. Some targets lack the single operation.
trait SwapSlowly {
    fn swap_slowly(&self, new: u32) -> u32;
}

impl SwapSlowly for AtomicU32 {
    fn swap_slowly(&self, new: u32) -> u32 {
        let old = self.load(Relaxed);
        self.store(new, Relaxed);
        old
    }
}
