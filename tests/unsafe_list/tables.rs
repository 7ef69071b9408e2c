//! The parts of `docs/unsafe.md` that are not in the sources.

/// The introduction of the page.
pub(super) const INTRODUCTION: &str = "\
# Unsafe code, destructors and user code

All places of the library (`src/`, `arch/`) whose soundness the compiler does not
check, with their arguments and their tests. `tests/unsafe_list.rs` makes this page
of the sources and of its own tables, and fails where they differ.

Sanitizers run over the tests of the safe layers (`tests/run`, the steps
`sanitizer …`).

The stubs in `arch/` are `unsafe fn` with one promise: the call must be sound with
these arguments (`linux_aio::syscall`). They are not listed one by one.
";

/// The tests of each file with unsafe code.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "src/engine/storage.rs",
        "tests/owned.rs::dropping_an_owned_queue_waits_and_drops_every_buffer, \
         tests/owned.rs::a_forked_child_drops_an_inherited_queue",
    ),
    (
        "src/address_space.rs",
        "tests/fork.rs, src/address_space.rs",
    ),
    (
        "src/buffer/aligned.rs",
        "tests/direct.rs::memory_of_the_caller_is_cut_to_aligned_blocks",
    ),
    (
        "src/buffer/aligned_box.rs",
        "tests/direct.rs::allocated_memory_is_aligned",
    ),
    (
        "src/buffer/mod.rs",
        "tests/queue.rs, tests/scope.rs, tests/reactor.rs",
    ),
    ("src/buffer/aligned_buf.rs", "tests/buffers.rs"),
    ("src/buffer/append.rs", "tests/buffers.rs"),
    ("src/buffer/bytes.rs", "tests/buffers.rs"),
    ("src/buffer/owned.rs", "tests/buffers.rs"),
    ("src/buffer/raw.rs", "tests/buffers.rs"),
    ("src/buffer/slice.rs", "tests/buffers.rs"),
    (
        "src/buffer/vectored.rs",
        "tests/buffers.rs, tests/queue.rs::segments_are_one_operation",
    ),
    (
        "src/buffer/segments.rs",
        "tests/scope.rs::vectored_operations_and_a_refusal",
    ),
    (
        "src/sys/getevents/call.rs",
        "tests/signals.rs, tests/context.rs, qemu/guest/src/aio/masks.rs, src/sys/getevents/call.rs",
    ),
    ("src/context/mod.rs", "tests/context.rs, tests/fork.rs"),
    ("src/direct_io.rs", "tests/direct.rs"),
    ("src/context/idle.rs", "tests/idle_context.rs"),
    (
        "src/engine/backend.rs",
        "tests/queue.rs, tests/fork.rs, model/tests/properties.rs",
    ),
    ("src/engine/mod.rs", ENGINE),
    (
        "src/engine/slot.rs",
        "tests/queue.rs, tests/scope.rs, tests/reactor.rs",
    ),
    ("src/engine/defaults.rs", "tests/queue_eventfd.rs"),
    ("src/engine/fields.rs", "tests/reactor.rs, tests/eventfd.rs"),
    ("src/engine/submit.rs", ENGINE),
    ("src/engine/table.rs", ENGINE),
    ("src/engine/table/clear.rs", ENGINE),
    (
        "src/engine/table/futures.rs",
        "tests/reactor.rs, tests/user_code",
    ),
    (
        "src/fd.rs",
        "src/lib.rs, tests/user_code/layers.rs, tests/user_code/reactor.rs",
    ),
    (
        "src/op/mod.rs",
        "tests/user_code/reactor.rs::a_region_is_computed, tests/queue.rs",
    ),
    (
        "src/files.rs",
        "tests/rt.rs, tests/probe.rs::a_context_is_idle_after_each_probe",
    ),
    ("src/pages.rs", "tests/fork.rs"),
    ("src/completion.rs", "tests/buffers.rs"),
    (
        "src/probe.rs",
        "tests/probe.rs::flags_are_found_without_a_transfer, src/probe/tests.rs, \
         qemu/guest/src/aio/probe.rs",
    ),
    ("src/queue.rs", "tests/queue.rs, model/tests/properties.rs"),
    (
        "src/sys/getevents/masked.rs",
        "tests/raw.rs::missing_calls_have_fallbacks, qemu/guest/src/aio/masks.rs",
    ),
    (
        "src/sys/getevents/mod.rs",
        "tests/raw.rs, qemu/guest/src/aio/raw.rs",
    ),
    (
        "src/reactor/eventfd.rs",
        "tests/reactor.rs, tests/shared.rs, tests/user_code/panics.rs",
    ),
    (
        "src/reactor/lock.rs",
        "tests/user_code/reactor.rs::a_lock_calls_the_reactor",
    ),
    (
        "src/reactor/awaited.rs",
        "tests/reactor.rs, tests/eventfd.rs, tests/user_code",
    ),
    ("src/reactor/inner.rs", "tests/reactor.rs, tests/user_code"),
    ("src/reactor/mod.rs", "tests/reactor.rs, tests/user_code"),
    ("src/reactor/push.rs", "tests/reactor.rs, tests/user_code"),
    ("src/reactor/turn.rs", "tests/reactor.rs, tests/user_code"),
    ("src/reactor/future.rs", "tests/reactor.rs, tests/user_code"),
    ("src/reactor/wait_idle.rs", "tests/wait_idle.rs"),
    ("src/split/mod.rs", "tests/split.rs"),
    ("src/split/submit.rs", "tests/split.rs"),
    ("src/split/reap.rs", "tests/split.rs"),
    (
        "src/op/kind.rs",
        "tests/reactor.rs, tests/scope.rs, tests/user_code",
    ),
    (
        "src/engine/submission.rs",
        "tests/submission.rs, tests/split.rs",
    ),
    (
        "src/reactor/waiters.rs",
        "tests/reactor.rs, tests/user_code/reactor.rs",
    ),
    ("src/ring/map.rs", "tests/ring.rs"),
    ("src/ring/mod.rs", "tests/ring.rs, tests/fork.rs"),
    ("src/ring/peek.rs", "tests/raw.rs, model/tests/checker.rs"),
    (
        "src/ring/reader.rs",
        "tests/ring.rs, model/tests/checker.rs, fuzz",
    ),
    (
        "src/ring/batch_reader.rs",
        "tests/queue.rs, model/tests/checker.rs, model/tests/hostile.rs",
    ),
    ("src/rt/mem/mod.rs", "src/rt/mem/tests.rs, tests/rt.rs"),
    (
        "src/rt/mem/vectors/compare.rs",
        "src/rt/mem/tests.rs, tests/rt.rs",
    ),
    (
        "src/rt/mem/vectors/copy.rs",
        "src/rt/mem/tests.rs, tests/rt.rs",
    ),
    (
        "src/rt/mem/vectors/fill.rs",
        "src/rt/mem/tests.rs, tests/rt.rs",
    ),
    (
        "src/rt/mem/vectors/length.rs",
        "src/rt/mem/tests.rs, tests/rt.rs",
    ),
    (
        "src/rt/mem/vectors/mod.rs",
        "src/rt/mem/tests.rs, tests/rt.rs",
    ),
    ("src/rt/mem/words.rs", "src/rt/mem/tests.rs, tests/rt.rs"),
    ("src/rt/mod.rs", "tests/rt.rs"),
    ("src/rt/process.rs", "src/rt/process.rs, tests/rt.rs"),
    (
        "src/rt/relocate.rs",
        "tests/rt.rs::constants_are_relocated, \
         tests/rt.rs::a_shared_library_is_reported",
    ),
    (
        "src/rt/signal.rs",
        "tests/rt.rs::a_signal_handler_returns, qemu/guest/src/signals.rs",
    ),
    ("src/rt/stdio.rs", "tests/rt.rs"),
    ("src/scope/mod.rs", "tests/scope.rs"),
    (
        "src/scope/operation.rs",
        "tests/scope.rs, tests/user_code/layers.rs",
    ),
    ("src/sys/calls.rs", "tests/calls.rs"),
    ("src/sys/syscall.rs", "tests/syscall.rs"),
    (
        "src/sys/getevents/typed.rs",
        "tests/context.rs, tests/signals.rs",
    ),
];

/// The tests of every architecture file.
pub(super) const STUBS: &str =
    "tests/syscall.rs, qemu/guest/src/stubs.rs, qemu/guest/src/registers.rs";
const ENGINE: &str =
    "tests/queue.rs, tests/user_code, model/tests/properties.rs, model/tests/hostile.rs";

/// The effects of destructors: a part of the item, the text, and its tests.
pub(super) const DROPS: &[(&str, &str, &str)] = &[
    (
        "AlignedBox",
        "frees the memory.",
        "tests/direct.rs::allocated_memory_is_aligned",
    ),
    (
        "AlignedBuf",
        "frees the memory.",
        "tests/buffers.rs::alignment_at_run_time",
    ),
    (
        "Context",
        "destroys the context, which blocks until no operation is in flight; in a forked child it \
         does nothing.",
        "tests/context.rs::drop_blocks_until_the_reads_have_completed, \
         tests/fork.rs::an_inherited_context_is_left_alone",
    ),
    (
        "Engine",
        "destroys the context, then drops the payloads (user code, while no other reference to \
         the engine exists). If the context cannot be destroyed, the payloads in flight are leaked.",
        "tests/queue.rs::dropping_waits_and_then_drops_every_buffer, \
         tests/queue.rs::a_child_leaks_what_its_parent_has_in_flight, \
         tests/user_code/layers.rs::a_queue_drops_everything_whichever_destructor_panics",
    ),
    (
        "Opened",
        "closes the descriptor that a probe has opened.",
        "tests/probe.rs::a_context_is_idle_after_each_probe",
    ),
    (
        "Rest",
        "goes on with the other payloads after a destructor has panicked.",
        "tests/user_code/layers.rs::a_queue_drops_everything_whichever_destructor_panics",
    ),
    (
        "Notification",
        "takes the lock and signals the eventfd. No user code but the lock.",
        "tests/user_code/panics.rs::a_panic_leaves_the_eventfd_readable_for_what_is_left",
    ),
    (
        "OwnedSlots",
        "frees the array of slots that an engine owns. Every slot is empty by then. No user code.",
        "tests/growth.rs::nothing_grows_with_the_number_of_queues",
    ),
    (
        "OpFuture",
        "leaves the list of waiters under the lock, or detaches the operation; then, outside the \
         lock, drops wakers and the payload and wakes the next waiter.",
        "tests/reactor.rs::a_dropped_read_keeps_its_buffer_until_it_has_completed, \
         tests/user_code/reactor.rs::a_waiters_waker_is_dropped_with_it, \
         tests/user_code/reactor.rs::the_buffer_of_a_staged_future_is_dropped_with_it",
    ),
    (
        "ScopeGuard",
        "waits until no operation of the scope is in flight. If that is impossible, the process \
         is aborted. No user code.",
        "tests/scope.rs::a_panic_waits_for_the_reads, \
         tests/scope.rs::returning_leaves_nothing_in_flight, tests/scope.rs::a_forked_child_leaves_the_scope",
    ),
    (
        "ScopedOp",
        "drops the payload of a completed operation, after the engine's borrow has ended; leaks \
         that of any other.",
        "tests/user_code/layers.rs::a_scope_may_be_called_by_the_destructor_of_a_buffer",
    ),
    (
        "WaitIdle",
        "leaves the list of waiters under the lock; then, outside the lock, drops its waker.",
        "tests/wait_idle.rs::every_waiter_is_woken_once_nothing_is_in_flight",
    ),
];

/// The reasons why user code may run where it is called: the file, the item (`*`: any),
/// a part of the line, the reason, and the tests.
pub(super) const CALLBACKS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "src/buffer/aligned.rs",
        "*",
        "region()",
        "The slice's own, which is none of the user's.",
        "",
    ),
    (
        "src/buffer/mod.rs",
        "*",
        "region()",
        "Within the caller's own call of `region`.",
        "",
    ),
    (
        "src/buffer/mod.rs",
        "*",
        "region_mut()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/mod.rs",
        "*",
        "set_filled(",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/mod.rs",
        "*",
        "is_vectored()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/append.rs",
        "*",
        "region()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/owned.rs",
        "*",
        "region()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/bytes.rs",
        "*",
        "region()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/slice.rs",
        "*",
        "region()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/slice.rs",
        "*",
        "region_mut()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/slice.rs",
        "*",
        "set_filled(",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/vectored.rs",
        "*",
        "region()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/vectored.rs",
        "*",
        "region_mut()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/vectored.rs",
        "*",
        "set_filled(",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/vectored.rs",
        "*",
        "is_vectored()",
        "Within the caller's own call of the same method.",
        "",
    ),
    (
        "src/buffer/slice.rs",
        "*",
        ".as_ref();",
        "Within the caller's own call: no layer dereferences a buffer.",
        "",
    ),
    (
        "src/buffer/vectored.rs",
        "Vectored::new",
        "segments.into()",
        "Before anything else.",
        "",
    ),
    (
        "src/buffer/raw.rs",
        "RawVectored::new",
        "segments.into()",
        "Before anything else.",
        "",
    ),
    (
        "src/completion.rs",
        "fill",
        "set_filled(",
        "The slot is free, and the lock or the borrow of the engine has ended. A panic drops the \
         buffer and the data, which are local.",
        "tests/buffers.rs::a_panic_of_set_filled_loses_no_other_operation",
    ),
    (
        "src/op/mod.rs",
        "region_for",
        "region()",
        "The layers call `prepare` before they borrow the engine. A panic leaks the payload.",
        "tests/user_code/reactor.rs::a_region_is_computed, \
         tests/user_code/layers.rs::a_scope_may_be_called_by_the_region_of_a_buffer, \
         tests/user_code/layers.rs::a_queue_survives_the_user_code_of_push",
    ),
    (
        "src/op/mod.rs",
        "region_for",
        "region_mut()",
        "As `region`.",
        "",
    ),
    (
        "src/op/mod.rs",
        "*",
        "is_vectored()",
        "Outside every layer: the operation is not built yet.",
        "",
    ),
    (
        "src/direct_io.rs",
        "*",
        "is_vectored()",
        "The operation belongs to the caller, who lends it exclusively.",
        "",
    ),
    (
        "src/context/destroy_all.rs",
        "destroy_all",
        "context.into()",
        "Before the threads begin: a panic drops the contexts that were converted.",
        "",
    ),
    (
        "src/context/destroy_later.rs",
        "*",
        "drop(self)",
        "The destructor of a context, which is none of the user's.",
        "",
    ),
    (
        "src/direct_io.rs",
        "Alignment::of",
        "fd.into()",
        "Before anything else.",
        "",
    ),
    (
        "src/engine/table/clear.rs",
        "Slots::clear_all::Rest::drop_all",
        "drop(",
        "Payloads and wakers, in the destructor of the engine: the slot is free already, and no \
         other reference to the engine exists.",
        "tests/user_code/layers.rs::a_queue_drops_everything_whichever_destructor_panics, \
         tests/user_code/ends.rs::leaked_futures_end_with_the_reactor",
    ),
    (
        "src/fd.rs",
        "DefaultEventfd::own",
        "raw_fd()",
        "Before anything else; the queue or the reactor is owned.",
        "tests/queue_eventfd.rs, tests/descriptors.rs",
    ),
    (
        "src/fd.rs",
        "*",
        "raw_fd()",
        "Outside every layer: the operation is not built yet.",
        "tests/user_code/reactor.rs::an_owner_returns_its_descriptor",
    ),
    (
        "src/fd.rs",
        "*",
        "as_fd()",
        "Outside every layer: the operation is not built yet.",
        "",
    ),
    (
        "src/op/mod.rs",
        "*",
        "fd.into()",
        "Outside every layer: the operation is not built yet.",
        "",
    ),
    (
        "src/op/mod.rs",
        "*",
        "raw_fd()",
        "Outside every layer: the operation is not built yet, and a panic drops the owner.",
        "tests/user_code/reactor.rs::an_owner_returns_its_descriptor",
    ),
    (
        "src/op/mod.rs",
        "Op::into_buffer",
        "drop(data)",
        "Outside every layer. A panic drops the buffer, too.",
        "tests/user_code/ends.rs::into_buffer_leaks_no_buffer",
    ),
    (
        "src/opcode.rs",
        "*",
        "fd.into()",
        "Outside every layer: the operation is not built yet.",
        "",
    ),
    (
        "src/opcode.rs",
        "*",
        "as_fd()",
        "Outside every layer: the operation is not built yet.",
        "",
    ),
    (
        "src/probe.rs",
        "Probe::file_flags",
        "fd.into()",
        "Before anything else.",
        "",
    ),
    (
        "src/queue.rs",
        "Queue::push",
        "op.into()",
        "Before anything else; the queue is exclusively borrowed.",
        "tests/user_code/layers.rs::a_queue_survives_the_user_code_of_push",
    ),
    (
        "src/queue.rs",
        "Queue::eventfd",
        "eventfd.into()",
        "Before anything else; the queue is owned.",
        "",
    ),
    (
        "src/queue.rs",
        "Queue::into_idle_context",
        "drop(self)",
        "The queue is owned, and nothing is in flight. A panic destroys the context.",
        "tests/user_code/ends.rs::a_panic_of_into_idle_context_destroys_the_context",
    ),
    (
        "src/reactor/deferred.rs",
        "Deferred::run",
        "drop(",
        "After the lock was released, with the state up to date. It is the only one, so its panic \
         keeps nothing else from being run.",
        "tests/user_code/panics.rs::every_waker_is_called_whichever_panics",
    ),
    (
        "src/reactor/deferred.rs",
        "Deferred::run_all",
        "wake",
        "After the lock was released, with the state up to date. A panic does not keep the others \
         from being woken and dropped.",
        "tests/user_code/panics.rs::every_waker_is_called_whichever_panics",
    ),
    (
        "src/engine/storage.rs",
        "free",
        "drop(",
        "No user code: the slots are empty.",
        "",
    ),
    (
        "src/reactor/mod.rs",
        "Reactor::from_engine",
        "L::NEW",
        "A constant.",
        "",
    ),
    (
        "src/reactor/mod.rs",
        "Reactor::eventfd",
        "eventfd.into()",
        "Before anything else; the reactor is owned.",
        "",
    ),
    (
        "src/reactor/whole.rs",
        "*",
        "fd.into()",
        "Before anything else, and outside the lock.",
        "",
    ),
    (
        "src/reactor/mod.rs",
        "Reactor::into_idle_context",
        "drop(self)",
        "The reactor is owned, and nothing is in flight. A panic destroys the context.",
        "tests/user_code/ends.rs::a_panic_of_into_idle_context_destroys_the_context",
    ),
    (
        "src/reactor/mod.rs",
        "Reactor::with",
        "lock.with(",
        "A lock may call the reactor, but not within the closure; `Lock` is an `unsafe` trait.",
        "tests/user_code/reactor.rs::a_lock_calls_the_reactor",
    ),
    (
        "src/reactor/turn.rs",
        "Reactor::notify_from",
        "wake()",
        "After the lock was released; the operation is notified already. No other has completed, \
         and the reactor has no eventfd, so a panic leaves nothing undone.",
        "tests/user_code/reactor.rs::a_completion_wakes, tests/user_code/panics.rs",
    ),
    (
        "src/reactor/turn.rs",
        "Reactor::notify",
        "wake()",
        "After the lock was released; the operation is notified already. A panic leaves the others \
         in the ring or in the completed list, and the turn goes on with them.",
        "tests/user_code/reactor.rs::a_completion_wakes, \
         tests/user_code/panics.rs::every_waker_is_called_whichever_panics",
    ),
    (
        "src/reactor/turn.rs",
        "Notification::notify_next",
        "wake()",
        "After the lock was released; the operation is notified already. A panic leaves the others \
         in the ring or in the completed list, and the turn goes on with them.",
        "tests/user_code/reactor.rs::a_completion_wakes, \
         tests/user_code/panics.rs::every_waker_is_called_whichever_panics",
    ),
    (
        "src/reactor/inner.rs",
        "Notice::run",
        "wake()",
        "After the lock was released; the operation, if there is one, is notified already.",
        "tests/user_code/reactor.rs::a_completion_whose_future_is_gone_wakes_a_waiter",
    ),
    (
        "src/reactor/inner.rs",
        "Notice::run",
        "drop(",
        "After the lock was released; the slot is free already.",
        "tests/user_code/reactor.rs::the_data_of_a_dropped_future_is_dropped_at_completion",
    ),
    (
        "src/reactor/future.rs",
        "Future for OpFuture<R, K>::poll",
        "clone()",
        "Before the lock is taken. The future keeps the operation if it panics.",
        "tests/user_code/reactor.rs::a_waker_is_cloned",
    ),
    (
        "src/reactor/future.rs",
        "OpFuture::poll_ready",
        "clone()",
        "Before anything else, and outside the lock.",
        "tests/user_code/reactor.rs::a_waker_is_cloned",
    ),
    (
        "src/reactor/future.rs",
        "OpFuture::poll_any",
        "clone()",
        "Outside the lock. The poll has changed nothing so far, and looks at the operation again \
         afterwards.",
        "tests/user_code/reactor.rs::a_waker_in_flight_is_replaced",
    ),
    (
        "src/reactor/wait_idle.rs",
        "Future for WaitIdle<R>::poll",
        "clone()",
        "Before anything else, and outside the lock.",
        "tests/wait_idle.rs::a_waker_that_panics_keeps_no_other_waiter_asleep",
    ),
    (
        "src/reactor/wait_idle.rs",
        "*",
        "drop(",
        "After the lock was released; the waiter is in its place in the list.",
        "tests/wait_idle.rs::a_waker_that_panics_keeps_no_other_waiter_asleep",
    ),
    (
        "src/split/mod.rs",
        "SplitQueue::new",
        "L::NEW",
        "A constant.",
        "",
    ),
    (
        "src/split/mod.rs",
        "SplitQueue::with",
        "lock.with(",
        "The closures run no user code, and calls are not nested.",
        "tests/split.rs",
    ),
    (
        "src/split/submit.rs",
        "SubmitHalf::push",
        "op.into()",
        "Before anything else, and outside the lock.",
        "tests/split.rs",
    ),
    (
        "src/rt/mod.rs",
        "write_all",
        "fd.into()",
        "Before anything else.",
        "",
    ),
    (
        "src/rt/process.rs",
        "Process::var",
        "as_ref()",
        "Before anything else.",
        "",
    ),
    (
        "src/scope/mod.rs",
        "run",
        "f(&scope)",
        "The scope is shared with it, and nothing of it is borrowed. `End` runs however it ends.",
        "tests/scope.rs::a_panic_waits_for_the_reads",
    ),
    (
        "src/scope/mod.rs",
        "run",
        "drop(guard)",
        "No user code: the end of the scope.",
        "",
    ),
    (
        "src/scope/operation.rs",
        "wait_for",
        "drop(engine)",
        "No user code: the end of a borrow.",
        "",
    ),
    (
        "src/scope/operation.rs",
        "Drop for ScopedOp<'_, B, T, K>::drop",
        "assume_init_drop(",
        "The payload of a completed operation: its slot is free, and the engine is not borrowed.",
        "tests/user_code/layers.rs::a_scope_may_be_called_by_the_destructor_of_a_buffer",
    ),
];
