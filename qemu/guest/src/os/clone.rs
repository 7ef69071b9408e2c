//! The system call clone(2), by which a thread starts. It returns twice, on different
//! stacks, so that no stub can make it: the library's architecture emits the function.

use linux_aio::abi::Long;

linux_aio::__thread_start!(
    guest_clone,
    crate::nr::__NR_clone,
    crate::os::threads::begin
);

unsafe extern "C" {
    /// Starts a thread, which calls [`begin`](super::threads::begin) with `stack`.
    /// `word` is the address of the thread's word.
    ///
    /// Each argument fills a register, which is wider than a pointer on x32 and ilp32.
    ///
    /// # Safety
    /// `stack` ends a stack on which [`Start`](super::threads::Start) lies. `flags`
    /// request a thread. The kernel may write to `word` until the thread has ended.
    pub(super) fn guest_clone(flags: Long, stack: Long, word: Long) -> Long;
}
