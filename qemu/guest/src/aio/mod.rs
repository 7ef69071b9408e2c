//! AIO itself: whether it is there, the raw calls, and then either that it is
//! absent in every layer, or everything it does.

use linux_aio::Errno;

use crate::check::Check;
use crate::line::Line;

mod absent;
mod raw;
mod trace;

pub(crate) fn run(check: &mut Check) {
    match raw::probe() {
        None | Some(Err(Errno::NOSYS)) => {
            Line::new().with("mode enosys").print();
            raw::run(check, true);
            absent::run(check);
        }
        Some(_) => {
            Line::new().with("mode kernel").print();
            raw::run(check, false);
        }
    }
}
