//! Self-relocation of a static position-independent executable.
//!
//! The kernel maps such a program at a random address, and nothing but the program adds
//! this address to the pointers in its constants. The linker lists those pointers in the
//! dynamic section, in up to two tables: of entries, with addends (RELA) or without (REL),
//! and of bitmaps (RELR). Afterwards the pages of the constants are made read-only (RELRO).
//!
//! Program headers and load address are found through the auxiliary vector. A program
//! with a fixed address has no dynamic section, and nothing is done.
//!
//! Until the relocation is complete, no code may read a pointer from a constant or from
//! the global offset table. An unoptimised program calls functions of other crates
//! through that table. So [`relocate`] is inlined into the process entry, always, and
//! calls only functions that are: it is written with casts, comparisons and the methods
//! of integers and pointers that `core` marks as `#[inline(always)]`.
//!
//! Sources: the ELF generic ABI, "Dynamic Section" and "Relocation" (with RELR); the
//! kernel's `fs/binfmt_elf.c` (`create_elf_tables`).

use super::process::Process;
use crate::arch::{self, ABI, Relative, stubs};

// Kinds of the auxiliary vector.
const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_PAGESZ: usize = 6;

// Types of program headers.
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_GNU_RELRO: u32 = 0x6474_e552;

// Tags of the dynamic section.
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_REL: usize = 17;
const DT_RELSZ: usize = 18;
const DT_RELRSZ: usize = 35;
const DT_RELR: usize = 36;

const PROT_READ: usize = 1;

/// The type of a relative relocation, or no type.
const RELATIVE: usize = match ABI.relative {
    Relative::Rel(kind) | Relative::Rela(kind) => kind as usize,
    Relative::None => usize::MAX,
};
/// Whether the table's entries hold the addends. An ABI uses one form only.
const HAS_ADDENDS: bool = matches!(ABI.relative, Relative::Rela(_));

/// The tags of that table.
const TABLE: usize = if HAS_ADDENDS { DT_RELA } else { DT_REL };
const TABLE_SIZE: usize = if HAS_ADDENDS { DT_RELASZ } else { DT_RELSZ };

/// Standard error.
const STDERR: usize = 2;
/// The status of a shell for a program that cannot be executed.
const STATUS: usize = 127;

/// The size of the file header, behind which the linkers write the program headers.
const FILE_HEADER: usize = if cfg!(target_pointer_width = "64") {
    64
} else {
    52
};

/// A program header. The flags have another place in 64-bit files.
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    #[cfg(target_pointer_width = "64")]
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    size: usize,
    #[cfg(not(target_pointer_width = "64"))]
    flags: u32,
    align: usize,
}

/// Relocates the program, if it is position-independent.
///
/// A relocation that is not relative ends the process with status 127 and a message: the
/// program was linked against a shared library, which no code here loads.
///
/// # Safety
/// `stack` is the stack pointer that the kernel gave the process, and no other code of
/// the program has run.
#[doc(hidden)]
#[inline(always)]
pub unsafe fn relocate(stack: *const usize) {
    // SAFETY: `stack` points to the kernel's layout: argc, its first word, and then argv
    // and the environment, each with a null word at its end.
    let mut word = stack.wrapping_add(unsafe { *stack } + 2);
    // SAFETY: the word is in the environment, or the null word at its end.
    while unsafe { *word } != 0 {
        word = word.wrapping_add(1);
    }
    let mut headers = 0;
    let mut count = 0;
    let mut page = 0_usize;
    loop {
        // SAFETY: pairs of the auxiliary vector follow the null word. The loop ends at
        // the last pair, whose kind is zero.
        let kind = unsafe { *word.wrapping_add(1) };
        // SAFETY: the second word of the pair.
        let value = unsafe { *word.wrapping_add(2) };
        if kind == AT_PHDR {
            headers = value;
        } else if kind == AT_PHNUM {
            count = value;
        } else if kind == AT_PAGESZ {
            page = value;
        } else if kind == 0 {
            break;
        }
        word = word.wrapping_add(2);
    }

    // The link-time addresses of the file header, of the dynamic section, and of the
    // constants that become read-only.
    let mut file = 0;
    let mut dynamic = 0;
    let mut constants = 0;
    let mut constants_end = 0;
    let mut header = headers as *const ProgramHeader;
    while count != 0 {
        // SAFETY: the kernel gives the address and the number of the program headers,
        // which it has read from the file; they are mapped in the segment at offset 0.
        let this = unsafe { &*header };
        if this.kind == PT_LOAD && this.offset == 0 {
            file = this.address;
        } else if this.kind == PT_DYNAMIC {
            dynamic = this.address;
        } else if this.kind == PT_GNU_RELRO {
            constants = this.address;
            constants_end = constants + this.size;
        }
        header = header.wrapping_add(1);
        count -= 1;
    }
    if dynamic == 0 {
        return;
    }
    let base = headers.wrapping_sub(FILE_HEADER).wrapping_sub(file);

    let mut table = 0;
    let mut table_size = 0;
    let mut relr = 0;
    let mut relr_size = 0;
    let mut entry = base.wrapping_add(dynamic) as *const usize;
    loop {
        // SAFETY: the dynamic section of the program, whose entries are pairs of a tag
        // and a value; the loop ends at the tag zero, which ends the section.
        let tag = unsafe { *entry };
        // SAFETY: the second word of the entry.
        let value = unsafe { *entry.wrapping_add(1) };
        if tag == TABLE {
            table = value;
        } else if tag == TABLE_SIZE {
            table_size = value;
        } else if tag == DT_RELR {
            relr = value;
        } else if tag == DT_RELRSZ {
            relr_size = value;
        } else if tag == 0 {
            break;
        }
        entry = entry.wrapping_add(2);
    }

    // SAFETY: the table of the program's dynamic section. The linker lists words of the
    // program's own writable segment; no other code has run, so nothing refers to them.
    let is_relative = unsafe { add_base(base, table, table_size) };
    // SAFETY: as for the other table, whose words are other ones.
    unsafe { add_base_packed(base, relr, relr_size) };
    if !is_relative {
        let message = b"linked against a shared library\n";
        loop {
            // SAFETY: the kernel reads the message, and writes no memory; exit_group(2)
            // accesses none, and ends the process.
            unsafe {
                let address = message.as_ptr() as usize;
                let _ = stubs::syscall3(ABI.base.write as usize, STDERR, address, message.len());
                let _ = stubs::syscall1(ABI.base.exit_group as usize, STATUS);
            }
        }
    }
    // Pages are protected whole: the first is that of the segment's start, and the last
    // must hold nothing else.
    let mask = page.wrapping_neg();
    let start = base.wrapping_add(constants) & mask;
    let end = base.wrapping_add(constants_end) & mask;
    if start < end {
        // The stubs are prepared before the first system call.
        // SAFETY: `stack` points to the initial layout, by the `# Safety` section.
        let process = unsafe { Process::from_stack(stack) };
        arch::started(|kind| process.aux(kind));
        // SAFETY: the linker has laid out these pages for this protection: they hold
        // only constants, all of which are relocated now. A failure leaves them writable.
        let _ = unsafe {
            stubs::syscall3(
                ABI.base.mprotect as usize,
                start,
                end.wrapping_sub(start),
                PROT_READ,
            )
        };
    }
}

/// Applies a table of relocations. Returns whether all of them were relative.
///
/// # Safety
/// `table` is the link-time address of a table of `size` bytes in a program with the load
/// address `base`. Nothing refers to the words that it lists.
#[inline(always)]
unsafe fn add_base(base: usize, table: usize, size: usize) -> bool {
    let mut entry = base.wrapping_add(table) as *const usize;
    let end = base.wrapping_add(table).wrapping_add(size) as *const usize;
    while entry != end {
        // SAFETY: an entry of the table: the address, and the symbol and type.
        let offset = unsafe { *entry };
        // SAFETY: the second word of the entry.
        let info = unsafe { *entry.wrapping_add(1) };
        // A relative relocation has no symbol, so the type is the whole word.
        if info != RELATIVE {
            return false;
        }
        let place = base.wrapping_add(offset) as *mut usize;
        // SAFETY: the linker has listed this word, which is in a writable segment. The
        // third word of an entry is the addend; otherwise the word itself holds it.
        unsafe {
            let addend = if HAS_ADDENDS {
                *entry.wrapping_add(2)
            } else {
                *place
            };
            *place = base.wrapping_add(addend);
        }
        entry = entry.wrapping_add(if HAS_ADDENDS { 3 } else { 2 });
    }
    true
}

/// Applies a packed table. An even entry is the address of a word. An odd one is a bitmap
/// of the words behind those of the entry before.
///
/// # Safety
/// `table` is the link-time address of a table of `size` bytes in a program with the load
/// address `base`. Nothing refers to the words that it lists.
#[inline(always)]
unsafe fn add_base_packed(base: usize, table: usize, size: usize) {
    let mut entry = base.wrapping_add(table) as *const usize;
    let end = base.wrapping_add(table).wrapping_add(size) as *const usize;
    let mut next = base as *mut usize;
    while entry != end {
        // SAFETY: an entry of the table.
        let value = unsafe { *entry };
        let mut bits = if value & 1 == 0 {
            next = base.wrapping_add(value) as *mut usize;
            1
        } else {
            value >> 1
        };
        let mut place = next;
        while bits != 0 {
            if bits & 1 != 0 {
                // SAFETY: the linker has listed this word, which holds its addend and is
                // in a writable segment.
                unsafe { *place = base.wrapping_add(*place) };
            }
            place = place.wrapping_add(1);
            bits >>= 1;
        }
        next = next.wrapping_add(if value & 1 == 0 {
            1
        } else {
            usize::BITS as usize - 1
        });
        entry = entry.wrapping_add(1);
    }
}
