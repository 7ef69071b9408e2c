//! libaio as a shared object: Debian's, or one named by `LIBAIO`.

use std::ffi::{c_int, c_long};

use libloading::os::unix::{Library, Symbol};
use linux_aio::abi::OldTimespec;
use linux_aio::{Event, Iocb};

use crate::meter::note;

type Submit = unsafe extern "C" fn(usize, c_long, *mut *mut Iocb) -> c_int;
type GetEvents =
    unsafe extern "C" fn(usize, c_long, c_long, *mut Event, *const OldTimespec) -> c_int;

/// The functions of libaio. They return negated error numbers.
pub(crate) struct LibAio {
    pub(crate) setup: Symbol<unsafe extern "C" fn(c_int, *mut usize) -> c_int>,
    pub(crate) destroy: Symbol<unsafe extern "C" fn(usize) -> c_int>,
    pub(crate) submit: Symbol<Submit>,
    pub(crate) getevents: Symbol<GetEvents>,
    _library: Library,
}

impl LibAio {
    /// Opens the library. Returns `None` if there is none, and records that.
    pub(crate) fn open() -> Option<LibAio> {
        let named = std::env::var("LIBAIO").ok();
        let names = match &named {
            Some(path) => &[path.as_str()][..],
            // Debian renamed it with 64-bit time on 32-bit machines.
            None => &["libaio.so.1", "libaio.so.1t64"],
        };
        // SAFETY: libaio has no initialisers that matter.
        let open = |name: &&str| unsafe { Library::new(*name) }.ok();
        let Some(library) = names.iter().find_map(open) else {
            note(format!("libaio: none of {}", names.join(", ")));
            return None;
        };
        // SAFETY: the types are those of libaio.h; iocbs, events and timespecs have the
        // kernel's layout.
        unsafe {
            Some(LibAio {
                setup: library.get(b"io_setup\0").ok()?,
                destroy: library.get(b"io_destroy\0").ok()?,
                submit: library.get(b"io_submit\0").ok()?,
                getevents: library.get(b"io_getevents\0").ok()?,
                _library: library,
            })
        }
    }

    pub(crate) fn context(&self, nr: usize) -> usize {
        let mut ctx = 0;
        // SAFETY: `ctx` is valid for writes.
        let result = unsafe { (self.setup)(nr as c_int, &raw mut ctx) };
        assert_eq!(result, 0);
        ctx
    }
}
