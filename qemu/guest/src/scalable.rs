//! Scalable vectors: SVE's on aarch64, V's on RISC-V.
//!
//! A system call destroys them (SVE's beyond their low 128 bits, and the
//! predicates). A function may enable them for itself alone, and the stubs,
//! compiled without, are inlined into it: a vector that it keeps across one
//! then holds a wrong value. Only a kernel shows it: QEMU's user mode destroys
//! none.

use core::hint::black_box;

use linux_aio::rt::Process;
use linux_aio::syscall::syscall0;

use crate::check::Check;
use crate::nr;

/// Of the auxiliary vector: the kernel's `include/uapi/linux/auxvec.h`.
const AT_HWCAP: usize = 16;
/// `HWCAP_SVE`: the kernel's `arch/arm64/include/uapi/asm/hwcap.h`.
#[cfg(target_arch = "aarch64")]
const UNIT: usize = 1 << 22;
/// `COMPAT_HWCAP_ISA_V`: the kernel's `arch/riscv/include/uapi/asm/hwcap.h`.
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
const UNIT: usize = 1 << (b'V' - b'A');

/// More than a vector has lanes.
const VALUES: usize = 256;
const ROUNDS: u32 = 5;
/// What fills a few vectors, all of them live through every round.
const COLUMNS: usize = 8;
const ROWS: usize = 64;

pub(crate) fn run(check: &mut Check, process: Process) {
    if process.aux(AT_HWCAP).unwrap_or(0) & UNIT == 0 {
        check.skip("scalable vectors", "this processor has none");
        return;
    }
    let mut values = [1; VALUES];
    // SAFETY: the processor has the unit.
    unsafe { scale_in_vectors(&mut values, black_box(ROUNDS)) };
    check.equal("scalable vectors: scaled", wrongly_scaled(&values), 0);

    let mut rows = [[0; COLUMNS]; ROWS];
    for (at, value) in (0..).zip(rows.as_flattened_mut()) {
        *value = black_box(at * 77_u32);
    }
    // SAFETY: the processor has the unit.
    let sums = unsafe { sum_in_vectors(&rows) };
    check.equal("scalable vectors: summed", wrongly_summed(&rows, &sums), 0);
}

/// One system call, inlined.
#[inline(always)]
fn call() {
    // SAFETY: touches no memory.
    black_box(unsafe { syscall0(nr::__NR_getpid as usize) });
}

fn scaled(value: u32, round: u32) -> u32 {
    value.wrapping_mul(3).wrapping_add(round | 1)
}

fn summed(sum: u32, value: u32) -> u32 {
    (sum ^ value).wrapping_add(value << 3)
}

/// A call after every round: the predicate of all lanes would be made once,
/// before the first. How many there are is unknown here: else each would make
/// its own.
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

/// A call after every row: the sums would stay in vectors.
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "sve"))]
#[cfg_attr(not(target_arch = "aarch64"), target_feature(enable = "v"))]
#[inline(never)]
fn sum_in_vectors(rows: &[[u32; COLUMNS]; ROWS]) -> [u32; COLUMNS] {
    let mut sums = [1; COLUMNS];
    for row in rows {
        // By index: an iterator's functions are not inlined here, and the sums
        // would be in memory.
        for column in 0..COLUMNS {
            sums[column] = summed(sums[column], row[column]);
        }
        call();
    }
    sums
}

/// How many values are not what one after the other, without a call, comes to.
fn wrongly_scaled(values: &[u32; VALUES]) -> u32 {
    let mut wrong = 0;
    for value in values {
        let right = (0..ROUNDS).fold(1, |value, round| black_box(scaled(value, round)));
        wrong += u32::from(*value != right);
    }
    wrong
}

/// The same of the sums.
fn wrongly_summed(rows: &[[u32; COLUMNS]; ROWS], sums: &[u32; COLUMNS]) -> u32 {
    let mut wrong = 0;
    for (column, sum) in sums.iter().enumerate() {
        let values = rows.iter().map(|row| row[column]);
        let right = values.fold(1, |sum, value| black_box(summed(sum, value)));
        wrong += u32::from(*sum != right);
    }
    wrong
}
