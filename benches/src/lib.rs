//! One instance of each library function that is inlined into its callers, as a caller
//! would contain it. `nm` prints their sizes.
#![allow(
    missing_docs,
    non_snake_case,
    clippy::missing_safety_doc,
    reason = "each is what its name says"
)]

use linux_aio::abi::OldTimespec;
use linux_aio::op::Read;
use linux_aio::{
    AioContext, Completion, Context, Errno, Event, Iocb, Queue, Ring, SubmitError, Ticket,
    WaitOptions, sys,
};

type Buffer = &'static mut [u8];

macro_rules! sized {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)+) => {$(
        #[unsafe(no_mangle)]
        pub unsafe fn $name($($argument: $type),*) -> $result {
            // SAFETY: the function is never called: it is only compiled and measured.
            #[allow(unused_unsafe, reason = "some are safe")]
            unsafe { $body }
        }
    )+};
}

sized! {
    size_of__sys__io_setup(nr: u32, ctx: *mut AioContext) -> Result<(), Errno> {
        sys::io_setup(nr, ctx)
    }
    size_of__sys__io_destroy(ctx: AioContext) -> Result<(), Errno> {
        sys::io_destroy(ctx)
    }
    size_of__sys__io_submit(ctx: AioContext, nr: isize, iocbs: *const *mut Iocb)
        -> Result<usize, Errno> {
        sys::io_submit(ctx, nr, iocbs)
    }
    size_of__sys__io_cancel(ctx: AioContext, iocb: *const Iocb, result: *mut Event)
        -> Result<(), Errno> {
        sys::io_cancel(ctx, iocb, result)
    }
    size_of__sys__io_getevents(ctx: AioContext, min: isize, nr: isize, events: *mut Event,
        time: *const OldTimespec) -> Result<usize, Errno> {
        sys::io_getevents(ctx, min, nr, events, time)
    }
    size_of__Context__new(nr: u32) -> Result<Context, Errno> {
        Context::new(nr)
    }
    size_of__Context__submit(context: &Context, iocbs: &mut [&mut Iocb])
        -> Result<usize, Errno> {
        context.submit(iocbs)
    }
    size_of__Context__submit_all(context: &Context, iocbs: &mut [&mut Iocb])
        -> Result<(), SubmitError> {
        context.submit_all(iocbs)
    }
    size_of__Context__wait(context: &Context, events: &mut [Event]) -> usize {
        context.wait(1, events).map_or(0, |events| events.len())
    }
    size_of__Context__wait_with(context: &Context, events: &mut [Event], wait: WaitOptions<'_>) -> usize {
        context.wait_with(1, events, wait).map_or(0, |events| events.len())
    }
    size_of__Context__cancel(context: &Context, iocb: *const Iocb) -> Result<(), Errno> {
        context.cancel(iocb)
    }
    size_of__Context__destroy(context: Context) -> Result<(), Errno> {
        context.destroy()
    }
    size_of__Ring__pop(ring: &mut Ring<'_>) -> Result<Option<Event>, Errno> {
        ring.pop()
    }
    size_of__Ring__reap(ring: &mut Ring<'_>, events: &mut [Event]) -> usize {
        ring.reap(events).map_or(0, |events| events.len())
    }
    size_of__Ring__wait(ring: &mut Ring<'_>, events: &mut [Event]) -> usize {
        ring.wait(1, events).map_or(0, |events| events.len())
    }
    size_of__Queue__push(queue: &mut Queue<'static, Buffer>, read: Read<'static, Buffer>)
        -> Option<Ticket> {
        queue.push(read).ok()
    }
    size_of__Queue__submit(queue: &mut Queue<'_, Buffer>) -> Result<usize, SubmitError> {
        queue.submit()
    }
    size_of__Queue__pop(queue: &mut Queue<'_, Buffer>)
        -> Result<Option<Completion<Option<Buffer>>>, Errno> {
        queue.pop()
    }
    size_of__Queue__wait(queue: &mut Queue<'_, Buffer>)
        -> Result<Option<Completion<Option<Buffer>>>, Errno> {
        queue.wait()
    }
}
