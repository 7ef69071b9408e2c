//! The functions that other functions of the library call, as undefined symbols.
//!
//! In libaio these calls go through the symbol, so a definition in the program, in a
//! library that was loaded before (`LD_PRELOAD`), or behind the linker's `--wrap` takes
//! them. A call of the Rust function would be inlined. `cargo capi-install` renames each
//! `linux_aio_symbol_NAME` to `NAME` in the objects that it links.

use core::ffi::{c_int, c_long};

use linux_aio::abi::OldTimespec;
use linux_aio::{AioContext, Event, Iocb};

unsafe extern "C" {
    /// Calls [`io_setup`](crate::io_setup), or the function that replaces it.
    ///
    /// # Safety
    /// `ctxp` obeys the contract of [`io_setup`](crate::io_setup).
    #[link_name = "linux_aio_symbol_io_setup"]
    pub fn io_setup(maxevents: c_int, ctxp: *mut AioContext) -> c_int;

    /// Calls [`io_destroy`](crate::io_destroy), or the function that replaces it.
    ///
    /// # Safety
    /// `ctx` obeys the contract of [`io_destroy`](crate::io_destroy).
    #[link_name = "linux_aio_symbol_io_destroy"]
    pub fn io_destroy(ctx: AioContext) -> c_int;

    /// Calls [`io_cancel`](crate::io_cancel), or the function that replaces it.
    ///
    /// # Safety
    /// `event` obeys the contract of [`io_cancel`](crate::io_cancel).
    #[link_name = "linux_aio_symbol_io_cancel"]
    pub fn io_cancel(ctx: AioContext, iocb: *const Iocb, event: *mut Event) -> c_int;

    /// Calls [`io_getevents`](crate::io_getevents), or the function that replaces it.
    ///
    /// # Safety
    /// `events`, `timeout` and `ctx` obey the contract of
    /// [`io_getevents`](crate::io_getevents).
    #[link_name = "linux_aio_symbol_io_getevents"]
    pub fn io_getevents(
        ctx: AioContext,
        min_nr: c_long,
        nr: c_long,
        events: *mut Event,
        timeout: *const OldTimespec,
    ) -> c_int;
}
