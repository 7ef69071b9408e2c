//! Announcements for the host's tool, which compares them with QEMU's log of all system
//! calls. The log is an independent check of the numbers and of the order of arguments.
//!
//! Just before each AIO system call a line is printed:
//!
//! ```text
//! trace NAME NR A B C
//! ```
//!
//! It contains the kernel's name of the system call, its number in decimal, and the
//! arguments, if they are known here, in hexadecimal. A system call that the target
//! lacks is not made, and so not announced.

use linux_aio::nr;

use crate::line::Line;

/// The name and the number of a system call.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) number: Option<u32>,
}

macro_rules! calls {
    ($($call:ident $name:literal)+) => {$(
        pub(crate) const $call: Call = Call { name: $name, number: nr::$call };
    )+};
}

calls! {
    IO_SETUP "io_setup"
    IO_DESTROY "io_destroy"
    IO_SUBMIT "io_submit"
    IO_CANCEL "io_cancel"
    IO_GETEVENTS "io_getevents"
    IO_PGETEVENTS "io_pgetevents"
    IO_PGETEVENTS_TIME64 "io_pgetevents_time64"
}

impl Call {
    /// Announces the system call. Returns its number, if there is one.
    pub(crate) fn trace(self, arguments: &[usize]) -> Option<u32> {
        let number = self.number?;
        let line = Line::new().with("trace ").with(self.name);
        let mut line = line.with(" ").decimal(number);
        for &argument in arguments {
            line = line.with(" ").hex(argument as u64);
        }
        line.print();
        Some(number)
    }
}
