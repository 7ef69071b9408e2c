//! What the kernel refuses while a step runs.

use proptest::prelude::*;

use crate::Errno;
use crate::fake_kernel::Faults;

/// Which calls of the next step the kernel refuses, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refuse {
    /// Room for so many operations only (EAGAIN).
    pub room: Option<u8>,
    /// io_cancel: EINVAL, ENOSYS or EPERM.
    pub cancel: Option<u8>,
    /// io_getevents and io_pgetevents: ENOSYS or EPERM.
    pub wait: Option<u8>,
    /// A signal comes.
    pub signal: bool,
}

impl Refuse {
    /// What the kernel is told.
    pub(super) fn faults(self) -> Faults {
        let errnos = [Errno::NOSYS, Errno::PERM, Errno::INVAL];
        Faults {
            room: self.room.map(usize::from),
            cancel: self.cancel.map(|pick| errnos[usize::from(pick) % 3]),
            wait: self.wait.map(|pick| (0, errnos[usize::from(pick) % 2])),
            signal: self.signal,
            ..Faults::default()
        }
    }
}

/// Nothing, most of the time.
pub(super) fn refuse() -> impl Strategy<Value = Refuse> {
    let rarely = |most: u8| prop_oneof![9 => Just(None), 1 => (0..most).prop_map(Some)];
    (rarely(4), rarely(3), rarely(2), prop::bool::weighted(0.1)).prop_map(
        |(room, cancel, wait, signal)| Refuse {
            room,
            cancel,
            wait,
            signal,
        },
    )
}
