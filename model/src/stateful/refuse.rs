//! The system calls that the kernel refuses while a step runs.

use proptest::prelude::*;

use crate::Errno;
use crate::fake_kernel::Faults;

/// The calls of the next step that the kernel refuses, and the errors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refuse {
    /// The number of operations that the kernel accepts before EAGAIN.
    pub capacity: Option<u8>,
    /// The error of io_cancel: EINVAL, ENOSYS or EPERM.
    pub cancel: Option<u8>,
    /// The error of io_getevents and io_pgetevents: ENOSYS or EPERM.
    pub wait: Option<u8>,
    /// True if a signal arrives.
    pub signal: bool,
}

impl Refuse {
    /// Returns the corresponding faults of the kernel model.
    pub(super) fn faults(self) -> Faults {
        let errnos = [Errno::NOSYS, Errno::PERM, Errno::INVAL];
        Faults {
            capacity: self.capacity.map(usize::from),
            cancel: self.cancel.map(|pick| errnos[usize::from(pick) % 3]),
            wait: self.wait.map(|pick| (0, errnos[usize::from(pick) % 2])),
            signal: self.signal,
            ..Faults::default()
        }
    }
}

/// Generates refusals: none in most cases.
pub(super) fn refuse() -> impl Strategy<Value = Refuse> {
    let rarely = |most: u8| prop_oneof![9 => Just(None), 1 => (0..most).prop_map(Some)];
    (rarely(4), rarely(3), rarely(2), prop::bool::weighted(0.1)).prop_map(
        |(capacity, cancel, wait, signal)| Refuse {
            capacity,
            cancel,
            wait,
            signal,
        },
    )
}
