//! The drivers of the process, one for each runtime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Id;

use crate::driver::Driver;

static DRIVERS: Mutex<Option<HashMap<Id, Weak<Driver>>>> = Mutex::new(None);

/// Returns the driver of a runtime.
pub(crate) fn get(runtime: Id) -> Option<Arc<Driver>> {
    lock().as_ref()?.get(&runtime)?.upgrade()
}

/// Registers a driver. Returns the one that the runtime has already, if it has one.
pub(crate) fn insert(runtime: Id, driver: &Arc<Driver>) -> Option<Arc<Driver>> {
    let mut drivers = lock();
    let drivers = drivers.get_or_insert_default();
    if let Some(other) = drivers.get(&runtime).and_then(Weak::upgrade) {
        return Some(other);
    }
    drivers.insert(runtime, Arc::downgrade(driver));
    None
}

/// Removes this driver of a runtime.
pub(crate) fn remove(runtime: Id, driver: &Arc<Driver>) {
    if let Some(drivers) = lock().as_mut() {
        let found = drivers.get(&runtime).map(Weak::as_ptr);
        if found == Some(Arc::as_ptr(driver)) {
            drivers.remove(&runtime);
        }
    }
}

fn lock() -> MutexGuard<'static, Option<HashMap<Id, Weak<Driver>>>> {
    DRIVERS.lock().unwrap_or_else(PoisonError::into_inner)
}
