//! A growing list without a heap, and its sorting.

use core::slice;

use linux_aio::Errno;

use crate::os::Memory;

/// A list of values that need no drop, in memory of its own.
pub(super) struct List<T: Copy> {
    memory: Memory,
    filled: usize,
    most: usize,
    _kind: core::marker::PhantomData<T>,
}

impl<T: Copy> List<T> {
    pub(super) fn new() -> Result<List<T>, Errno> {
        List::with_room(64)
    }

    fn with_room(most: usize) -> Result<List<T>, Errno> {
        let memory = Memory::new(most * size_of::<T>())?;
        Ok(List {
            memory,
            filled: 0,
            most,
            _kind: core::marker::PhantomData,
        })
    }

    pub(super) fn push(&mut self, value: T) -> Result<(), Errno> {
        if self.filled == self.most {
            let mut larger = List::with_room(self.most * 2)?;
            for &value in self.as_slice().iter() {
                larger.push(value)?;
            }
            *self = larger;
        }
        let end = self.memory.address().cast::<T>().wrapping_add(self.filled);
        // SAFETY: the memory is aligned to a page and has room for `most` values, which
        // exceeds `filled`.
        unsafe { end.write(value) };
        self.filled += 1;
        Ok(())
    }

    pub(super) fn as_slice(&mut self) -> &mut [T] {
        // SAFETY: the first `filled` values were written by `push`, and the memory lives
        // as long as the list, which is borrowed.
        unsafe { slice::from_raw_parts_mut(self.memory.address().cast::<T>(), self.filled) }
    }
}

/// Sorts by a key, ascending (heapsort: `sort_unstable_by` of core is larger than all of
/// `aio who`).
pub(super) fn sort<T: Copy>(values: &mut [T], key: &dyn Fn(&T) -> [u64; 2]) {
    let sink = |values: &mut [T], mut at: usize| {
        loop {
            let mut child = 2 * at + 1;
            if child >= values.len() {
                return;
            }
            if child + 1 < values.len() && key(&values[child]) < key(&values[child + 1]) {
                child += 1;
            }
            if key(&values[at]) >= key(&values[child]) {
                return;
            }
            values.swap(at, child);
            at = child;
        }
    };
    for at in (0..values.len() / 2).rev() {
        sink(values, at);
    }
    for end in (1..values.len()).rev() {
        values.swap(0, end);
        sink(&mut values[..end], 0);
    }
}
