//! Scalable vectors: SVE on aarch64, V on RISC-V.
//!
//! A system call destroys them (for SVE the parts beyond the low 128 bits, and the
//! predicates). A function may enable them for itself alone. The stubs are compiled
//! without them and are inlined into that function. If the stubs did not declare the
//! vectors as clobbered, a vector kept across a system call would hold a wrong value.
//! Only a kernel reveals this: QEMU's user mode preserves the vectors.

use core::hint::black_box;

use linux_aio::rt::Process;
use linux_aio::syscall::syscall0;

use crate::check::Check;
use crate::nr;

/// A key of the auxiliary vector: the kernel's `include/uapi/linux/auxvec.h`.
const AT_HWCAP: usize = 16;
/// `HWCAP_SVE`: the kernel's `arch/arm64/include/uapi/asm/hwcap.h`.
#[cfg(target_arch = "aarch64")]
const UNIT: usize = 1 << 22;
/// `COMPAT_HWCAP_ISA_V`: the kernel's `arch/riscv/include/uapi/asm/hwcap.h`.
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
const UNIT: usize = 1 << (b'V' - b'A');

/// More values than a vector has lanes.
const VALUES: usize = 256;
const ROUNDS: u32 = 5;
/// The number of sums. They fill a few vectors, all of them live through every round.
const COLUMNS: usize = 8;
const ROWS: usize = 64;

pub(crate) fn run(check: &mut Check, process: Process) {
    if process.aux(AT_HWCAP).unwrap_or(0) & UNIT == 0 {
        check.skip("scalable vectors", "this processor has none");
        return;
    }
    let mut values = [1; VALUES];
    // SAFETY: the auxiliary vector reports that the processor has the unit.
    unsafe { scale_in_vectors(&mut values, black_box(ROUNDS)) };
    check.equal("scalable vectors: scaled", wrongly_scaled(&values), 0);

    let mut rows = [[0; COLUMNS]; ROWS];
    for (at, value) in (0..).zip(rows.as_flattened_mut()) {
        *value = black_box(at * 77_u32);
    }
    // SAFETY: the auxiliary vector reports that the processor has the unit.
    let sums = unsafe { sum_in_vectors(&rows) };
    check.equal("scalable vectors: summed", wrongly_summed(&rows, &sums), 0);
}

/// Makes one system call, inlined.
#[inline(always)]
fn call() {
    // SAFETY: getpid touches no memory.
    black_box(unsafe { syscall0(nr::__NR_getpid as usize) });
}

fn scaled(value: u32, round: u32) -> u32 {
    value.wrapping_mul(3).wrapping_add(round | 1)
}

fn summed(sum: u32, value: u32) -> u32 {
    (sum ^ value).wrapping_add(value << 3)
}

/// Scales the values, with a system call after every round. The compiler would make the
/// predicate of all lanes once, before the first round. The number of rounds is unknown
/// here: otherwise each round would make its own predicate.
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "sve"))]
#[cfg_attr(not(target_arch = "aarch64"), target_feature(enable = "v"))]
#[inline(never)]
fn scale_in_vectors(values: &mut [u32; VALUES], rounds: u32) {
    for round in 0..rounds {
        let round = black_box(round);
        for value in &mut *values {
            *value = scaled(*value, round);
        }
        call();
    }
}

/// Sums the rows, with a system call after every row: the sums would stay in vectors.
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "sve"))]
#[cfg_attr(not(target_arch = "aarch64"), target_feature(enable = "v"))]
#[inline(never)]
fn sum_in_vectors(rows: &[[u32; COLUMNS]; ROWS]) -> [u32; COLUMNS] {
    let mut sums = [1; COLUMNS];
    for row in rows {
        // By index: the functions of an iterator are not inlined here, and the sums
        // would be in memory.
        for column in 0..COLUMNS {
            sums[column] = summed(sums[column], row[column]);
        }
        call();
    }
    sums
}

/// Returns the number of values that differ from a scalar computation without a system
/// call.
fn wrongly_scaled(values: &[u32; VALUES]) -> u32 {
    let mut wrong = 0;
    for value in values {
        let right = (0..ROUNDS).fold(1, |value, round| black_box(scaled(value, round)));
        wrong += u32::from(*value != right);
    }
    wrong
}

/// Returns the number of sums that differ from a scalar computation without a system
/// call.
fn wrongly_summed(rows: &[[u32; COLUMNS]; ROWS], sums: &[u32; COLUMNS]) -> u32 {
    let mut wrong = 0;
    for (column, sum) in sums.iter().enumerate() {
        let values = rows.iter().map(|row| row[column]);
        let right = values.fold(1, |sum, value| black_box(summed(sum, value)));
        wrong += u32::from(*sum != right);
    }
    wrong
}
