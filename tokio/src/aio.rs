//! [`Aio`]: the driver of a runtime.

use std::io::Result;
use std::sync::Arc;

use linux_aio::Errno;

use crate::Builder;
use crate::builder::current;
use crate::driver::{Closed, Driver};
use crate::registry;

/// The AIO driver of a runtime: one AIO context, one task, one eventfd.
///
/// It starts at the first use in the runtime, or by [`Builder::start`], and ends with the
/// runtime. Clones are the same driver.
#[derive(Clone, Debug)]
pub struct Aio(pub(crate) Arc<Driver>);

impl Aio {
    /// Returns the options of a driver.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the driver of the current runtime. Starts one with the default options if
    /// it has none.
    ///
    /// # Errors
    /// Those of [`Builder::start`], except `AlreadyExists`.
    ///
    /// # Panics
    /// Panics if the runtime was built without `enable_io`, as tokio's sockets do.
    pub fn current() -> Result<Aio> {
        let runtime = current()?;
        if let Some(driver) = registry::get(runtime.id()) {
            return Ok(Aio(driver));
        }
        let (driver, _) = Driver::start(&Builder::default(), runtime)?;
        Ok(Aio(driver))
    }

    /// Returns the error for which operations run on the blocking pool instead, or `None`
    /// if AIO is in use.
    ///
    /// ENOSYS: this kernel has no AIO, or a sandbox says so. EPERM: a sandbox forbids it.
    /// EAGAIN: `fs.aio-max-nr` was used up.
    pub fn unavailable(&self) -> Option<Errno> {
        self.0.absent()
    }

    /// Returns the number of operations that can be in flight at the same time, or 0 where
    /// AIO was unavailable from the start.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns the number of operations whose completions have not been found yet. It
    /// includes those whose futures were dropped, and excludes those on the blocking pool.
    pub fn in_flight(&self) -> usize {
        self.0.reactor().map_or(0, |reactor| reactor.in_flight())
    }

    /// Ends the driver, and waits until every operation in flight has completed and the
    /// context has been destroyed.
    ///
    /// From the call on, not from the first poll, no operation of its files begins: each
    /// fails with `Other`. Operations that have begun, or that wait for a slot, are
    /// completed; **their futures must be polled or dropped** for this to return. The
    /// runtime starts another driver at the next use.
    ///
    /// Without it a runtime that is dropped ends its driver in the same way, on a thread
    /// of its own.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        let destroyed = self.0.close(Closed::ShutDown);
        async move {
            // The sender is dropped where there is nothing to wait for.
            let _ = destroyed.await;
        }
    }
}
