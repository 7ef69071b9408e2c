//! Submission of the staged operations, in batches.

use core::mem::MaybeUninit;

use super::{BATCH, Backend, Engine, Extra};
use crate::context::SubmitError;
use crate::sys::errno::Errno;

/// The number of operations of a system call where more than [`BATCH`] are staged, or
/// where they are given an eventfd. Their addresses are on the stack: 4 KiB.
const LARGE: usize = 512;

/// The outcome of a submission in the short way.
enum Short {
    /// Nothing is staged any more. So many operations were submitted.
    All(usize),
    /// The kernel did not take a whole batch: its length, and the unchecked answer.
    Part(usize, i32),
    /// The submission takes more than one system call, or a default eventfd.
    Long,
}

impl<P, X: Extra, K: Backend> Engine<'_, P, X, K> {
    /// Submits the staged operations in order, until all are taken or the kernel
    /// refuses one. The refused operation and all behind it stay staged.
    ///
    /// # Safety
    /// For each staged operation, the memory that its iocb describes stays valid and is
    /// not accessed in conflict with the operation until the operation has completed.
    /// Either the payload in the slot owns that memory, or the caller guarantees it
    /// otherwise.
    #[inline(always)]
    pub(crate) unsafe fn submit(&mut self) -> Result<usize, SubmitError> {
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
        match unsafe { self.submit_short() } {
            Short::All(submitted) => Ok(submitted),
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            Short::Part(nr, answer) => unsafe { self.submit_after(nr, answer) },
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            Short::Long => unsafe { self.submit_rest(None) },
        }
    }

    /// Submits the staged operations if one system call in the short way is enough.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline(always)]
    unsafe fn submit_short(&mut self) -> Short {
        let staged = self.slots.staged();
        if staged == 0 {
            return Short::All(0);
        }
        if !self.defaults.is_short(staged) {
            return Short::Long;
        }
        let mut places = [const { MaybeUninit::uninit() }; BATCH];
        let batch = self.slots.batch(&mut places, None);
        // SAFETY: `batch` returns pointers to iocbs in the slots, which are exclusively
        // borrowed. The operations were staged, so the promise of `Engine::submit`
        // covers the memory that they describe.
        let result = unsafe { self.backend.submit(batch.iocbs) };
        // An unchecked error is less than any count, so one comparison covers both.
        let answer = Errno::uncheck_count(result);
        if answer >= batch.iocbs.len() as i32 {
            self.slots.submitted(&batch);
            return Short::All(staged);
        }
        Short::Part(batch.iocbs.len(), answer)
    }

    /// Continues after a system call that did not take the whole batch. It is rare, so it
    /// stays out of line.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    #[inline(never)]
    unsafe fn submit_after(&mut self, nr: usize, answer: i32) -> Result<usize, SubmitError> {
        let result = Errno::check_count(answer as isize);
        self.slots.refused(nr, result.unwrap_or(0));
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
        unsafe { self.submit_rest(Some(result)) }
    }

    /// Submits what is staged, in large batches and with the default eventfd. `first` is the
    /// result of a system call before, if there was one.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    #[inline(never)]
    unsafe fn submit_rest(
        &mut self,
        mut first: Option<Result<usize, Errno>>,
    ) -> Result<usize, SubmitError> {
        let mut submitted = 0;
        loop {
            let result = first.take().unwrap_or_else(|| {
                // SAFETY: this function requires the promise of `Engine::submit`. It covers
                // every staged operation, and no other is submitted.
                unsafe { self.submit_large() }
            });
            let errno = match result {
                // This is not known to happen; without the error it would be an endless
                // loop.
                Ok(0) => Errno::AGAIN,
                Ok(taken) => {
                    submitted += taken;
                    if self.slots.staged() == 0 {
                        return Ok(submitted);
                    }
                    continue;
                }
                // Events that were taken may not have been published to the kernel yet;
                // that makes room.
                Err(Errno::AGAIN) if self.backend.make_room() => continue,
                Err(errno) => errno,
            };
            return Err(SubmitError { submitted, errno });
        }
    }

    /// Submits the first [`LARGE`] staged operations with one system call, with the default
    /// eventfd. Returns the number taken.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    unsafe fn submit_large(&mut self) -> Result<usize, Errno> {
        let mut places = [const { MaybeUninit::uninit() }; LARGE];
        let batch = self.slots.batch(&mut places, self.defaults.eventfd());
        // SAFETY: as in `submit`, the pointers lead to iocbs in the slots, and this function
        // requires the promise of `Engine::submit`.
        let result = unsafe { self.backend.submit(batch.iocbs) };
        match result {
            Ok(taken) if taken >= batch.iocbs.len() => self.slots.submitted(&batch),
            _ => self.slots.refused(batch.iocbs.len(), result.unwrap_or(0)),
        }
        result
    }

    /// Submits the staged operations. An operation that the kernel refuses is completed
    /// with the error as its result. It stops early only if the kernel has no room
    /// while something is in flight, whose completion makes room.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline]
    pub(crate) unsafe fn flush(&mut self) {
        if self.slots.staged() > 0 {
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            unsafe { self.flush_staged() };
        }
    }

    /// Submits as [`flush`](Engine::flush) does, with at least one operation staged.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline(always)]
    pub(crate) unsafe fn flush_staged(&mut self) {
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
        match unsafe { self.submit_short() } {
            Short::All(_) => {}
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            other => unsafe { self.flush_rest(other) },
        }
    }

    /// Continues where [`submit_short`](Engine::submit_short) has left operations staged.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    #[inline(never)]
    unsafe fn flush_rest(&mut self, short: Short) {
        let submitted = match short {
            Short::All(submitted) => Ok(submitted),
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            Short::Part(nr, answer) => unsafe { self.submit_after(nr, answer) },
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            Short::Long => unsafe { self.submit_rest(None) },
        };
        if let Err(SubmitError { errno, .. }) = submitted {
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            unsafe { self.flush_refused(errno) };
        }
    }

    /// Continues after the kernel has refused the first staged operation.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    unsafe fn flush_refused(&mut self, mut errno: Errno) {
        while !self.waits_for_room(errno) {
            if let Some(at) = self.slots.first_staged() {
                self.complete_staged(at, errno);
            }
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            match unsafe { self.submit() } {
                Ok(_) => return,
                Err(error) => errno = error.errno,
            }
        }
    }
}
