//! The blocking pool of a runtime, for what the kernel does not do asynchronously.

use std::io::{Error, Result};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

/// Runs `work` on a thread of the pool, with a value that is returned in any case.
///
/// Once the runtime has shut down it does not run, and the result is an error.
///
/// If the future is dropped, work that has begun continues to its end.
pub(crate) async fn run<B, R>(
    runtime: &Handle,
    value: B,
    work: impl FnOnce(&mut B) -> Result<R> + Send + 'static,
) -> (Result<R>, B)
where
    B: Send + 'static,
    R: Send + 'static,
{
    // Work that a runtime drops must not drop the value.
    let place = Arc::new(Mutex::new(Some(value)));
    let taken = Arc::clone(&place);
    let joined = runtime
        .spawn_blocking(move || {
            let mut value = take(&taken)?;
            let result = work(&mut value);
            Some((result, value))
        })
        .await;
    match joined {
        Ok(Some(ended)) => ended,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Ok(None) | Err(_) => match take(&place) {
            Some(value) => (Err(shut_down()), value),
            None => unreachable!("work that was cancelled has not begun"),
        },
    }
}

fn take<B>(place: &Mutex<Option<B>>) -> Option<B> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

pub(crate) fn shut_down() -> Error {
    Error::other("the runtime has shut down")
}
