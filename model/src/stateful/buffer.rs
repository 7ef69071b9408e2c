//! Memory that records how it was used.

use core::cell::RefCell;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::BLOCK;
use crate::buffer::{IoBuf, IoBufMut, Vectored};
use crate::fake_kernel;

/// The content of every buffer before it is read into.
pub(super) const FRESH: u8 = 0xa5;
/// The content of the guards around every buffer.
const GUARD: u8 = 0xc3;
const GUARDS: usize = 64;
/// The content of every buffer after its drop.
const DEAD: u8 = 0xdd;

/// Memory with guards before and behind.
struct Block {
    base: *mut u8,
    len: usize,
}

impl Block {
    fn layout(len: usize) -> Layout {
        Layout::from_size_align(BLOCK + len + GUARDS, BLOCK).expect("a small size")
    }

    fn new(len: usize) -> Block {
        let layout = Block::layout(len);
        // SAFETY: not of size zero; all bytes are written before they are read.
        unsafe {
            let base = alloc(layout);
            if base.is_null() {
                handle_alloc_error(layout);
            }
            base.add(BLOCK - GUARDS).write_bytes(GUARD, GUARDS);
            base.add(BLOCK).write_bytes(FRESH, len);
            base.add(BLOCK + len).write_bytes(GUARD, GUARDS);
            Block { base, len }
        }
    }

    fn start(&self) -> *mut u8 {
        self.base.wrapping_add(BLOCK)
    }

    /// Returns whether the guards are unmodified.
    fn guarded(&self) -> bool {
        // SAFETY: both were written by `new`.
        let (before, behind) = unsafe {
            (
                core::slice::from_raw_parts(self.start().sub(GUARDS), GUARDS),
                core::slice::from_raw_parts(self.start().add(self.len), GUARDS),
            )
        };
        before.iter().chain(behind).all(|&byte| byte == GUARD)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: written by `new`; a reference to the block grants access to its
        // bytes.
        unsafe { core::slice::from_raw_parts(self.start(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: written by `new`; the exclusive reference to the block grants access
        // to its bytes.
        unsafe { core::slice::from_raw_parts_mut(self.start(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.base, Block::layout(self.len)) };
    }
}

/// The record of a scenario's buffers.
#[derive(Default)]
struct Registry {
    drops: Vec<u32>,
    /// The memory of dropped buffers, kept so that late writes are detected.
    dead: Vec<Block>,
    faults: Vec<String>,
}

thread_local! {
    static REGISTRY: RefCell<Registry> = RefCell::default();
}

/// Begins a scenario.
pub(super) fn begin() {
    REGISTRY.take();
}

/// Returns how often each of these buffers was dropped.
pub(super) fn drops(of: &[usize]) -> Vec<u32> {
    REGISTRY.with_borrow(|registry| of.iter().map(|&id| registry.drops[id]).collect())
}

/// Returns the number of all drops.
pub(super) fn all_drops() -> u32 {
    REGISTRY.with_borrow(|registry| registry.drops.iter().sum())
}

/// Returns the greatest number of drops of any buffer.
pub(super) fn most_drops() -> u32 {
    REGISTRY.with_borrow(|registry| registry.drops.iter().copied().max().unwrap_or(0))
}

/// Returns the faults found in buffers so far.
pub(super) fn faults() -> Vec<String> {
    REGISTRY.with_borrow(|registry| registry.faults.clone())
}

/// Verifies that no buffer was written to after its drop. Returns the number of bytes
/// compared.
pub(super) fn check_buffers() -> Result<u64, String> {
    REGISTRY.with_borrow(|registry| {
        let mut count = 0;
        for block in &registry.dead {
            if !block.guarded() || block.bytes().iter().any(|&byte| byte != DEAD) {
                return Err("a buffer was written to after its drop".into());
            }
            count += block.len as u64;
        }
        Ok(count)
    })
}

/// A buffer whose drops are counted.
pub(super) struct Tracked {
    id: usize,
    /// `None` after the buffer was dropped.
    block: Option<Block>,
}

impl Tracked {
    pub(super) fn new(len: usize) -> Tracked {
        let id = REGISTRY.with_borrow_mut(|registry| {
            registry.drops.push(0);
            registry.drops.len() - 1
        });
        Tracked {
            id,
            block: Some(Block::new(len)),
        }
    }

    pub(super) fn id(&self) -> usize {
        self.id
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], Block::bytes)
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.block.as_mut().map_or(&mut [], Block::bytes_mut)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let Some(mut block) = self.block.take() else {
            return;
        };
        let held = fake_kernel::is_held(block.start(), block.len);
        REGISTRY.with_borrow_mut(|registry| {
            registry.drops[self.id] += 1;
            if registry.drops[self.id] > 1 {
                registry.faults.push("a buffer was dropped twice".into());
                // The first drop has taken the memory.
                core::mem::forget(block);
                return;
            }
            if held {
                registry
                    .faults
                    .push("a buffer was dropped that the kernel holds".into());
            }
            if !block.guarded() {
                registry
                    .faults
                    .push("something was written beside a buffer".into());
            }
            block.bytes_mut().fill(DEAD);
            registry.dead.push(block);
        });
    }
}

// SAFETY: the memory is on the heap, and owned.
unsafe impl IoBuf for Tracked {
    fn region(&mut self) -> (*mut u8, usize) {
        let block = self.block.as_ref();
        block.map_or((core::ptr::null_mut(), 0), |b| (b.start(), b.len))
    }
}
// SAFETY: the memory is on the heap and owned, and any byte value is valid.
unsafe impl IoBufMut for Tracked {}

/// The kind of buffer of a scenario.
pub(super) trait Held: IoBufMut + Sized + 'static {
    /// Returns the lengths of its parts, for `total` bytes in all.
    fn lengths(total: usize) -> Vec<usize>;
    fn new(parts: Vec<Tracked>) -> Self;
    fn parts(&self) -> &[Tracked];

    /// Returns its bytes, one part after the other.
    fn content(&self) -> Vec<u8> {
        self.parts()
            .iter()
            .flat_map(Tracked::bytes)
            .copied()
            .collect()
    }
}

impl Held for Tracked {
    fn lengths(total: usize) -> Vec<usize> {
        vec![total]
    }

    fn new(mut parts: Vec<Tracked>) -> Tracked {
        parts.remove(0)
    }

    fn parts(&self) -> &[Tracked] {
        core::slice::from_ref(self)
    }
}

impl Held for Vectored<Tracked> {
    fn lengths(total: usize) -> Vec<usize> {
        // Direct I/O requires whole sectors.
        match total.checked_sub(1024) {
            Some(rest @ 1..) => vec![1024, rest],
            _ => vec![total],
        }
    }

    fn new(parts: Vec<Tracked>) -> Vectored<Tracked> {
        Vectored::new(parts)
    }

    fn parts(&self) -> &[Tracked] {
        self.segments()
    }
}
