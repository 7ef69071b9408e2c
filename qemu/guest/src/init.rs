//! The program as the only process of a kernel: it mounts the kernel's file systems,
//! follows `/plan`, and switches the machine off.
//!
//! The host's tool writes `/plan`, one keyword and its arguments per line:
//!
//! ```text
//! module FILE PARAMETERS     load a module, in this order
//! disk PATH                  a disk that the tool has filled
//! late PATH                  a disk that answers late (null_blk)
//! slow PATH                  a disk of a few operations in a second
//! failing PATH               a disk with bad sectors
//! full PATH                  `aio copy` to a full file system
//! copy PATH                  `aio copy` on an ext4 disk, until the power goes
//! found PATH                 what is there afterwards
//! ```
//!
//! All checks that need no disk run first. They are left out if the plan contains
//! `slow`, `failing`, `full`, `copy` or `found`.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::rt::Process;

use crate::aio::disk::{self, Disk, Kind};
use crate::check::Check;
use crate::line::Line;
use crate::{copies, nr, os};

const DISKS: [(&str, Kind); 4] = [
    ("disk", Kind::Plain),
    ("late", Kind::Late),
    ("slow", Kind::Slow),
    ("failing", Kind::Failing),
];

type Copying = fn(&mut Check, &CStr);

const COPIES: [(&str, Copying); 3] = [
    ("full", copies::full),
    ("copy", copies::cut),
    ("found", copies::found),
];

/// Prints the release and the machine of the kernel.
pub(crate) fn report_to_kernel() {
    if let Ok(names) = os::uname() {
        let line = Line::new().with("kernel ").with(names.release());
        line.with(" ").with(names.machine()).print();
    }
}

/// Runs the whole plan as a kernel's first process, and switches the machine off.
pub(crate) fn run(process: Process) -> ! {
    // Ends the last line of the firmware and the kernel, so that it is not parsed as
    // output of this program.
    Line::new().print();
    Line::new().with("init").print();
    let check = &mut Check::new();
    home(check);
    let plan = Plan::read();
    plan.each("module", |name, parameters| module(check, name, parameters));
    if plan.is_of_faults() {
        report_to_kernel();
    } else {
        crate::conform(check, process);
    }
    for (word, kind) in DISKS {
        plan.each(word, |path, _| {
            if appears(check, path) {
                disk::run(check, &Disk { path, kind });
            }
        });
    }
    for (word, run) in COPIES {
        plan.each(word, |path, _| {
            if appears(check, path) {
                run(check, path);
            }
        });
    }
    check.verdict();
    os::power_off()
}

/// Mounts the file systems that the kernel provides.
fn home(check: &mut Check) {
    for (path, kind) in [
        (c"/proc", c"proc"),
        (c"/sys", c"sysfs"),
        (c"/dev", c"devtmpfs"),
        (c"/tmp", c"tmpfs"),
    ] {
        // The directory may exist already.
        let _ = os::mkdir(path);
        let mounted = os::mount(kind, path, kind, c"");
        match mounted {
            // The kernel has mounted it already.
            Err(Errno::BUSY) => {}
            Err(Errno::NODEV) => check.skip("init mount", "the kernel lacks a file system"),
            other => check.equal("init mount", other, Ok(0)),
        }
    }
}

fn module(check: &mut Check, name: &CStr, parameters: &CStr) {
    let loaded = os::open(nr::AT_FDCWD, name, nr::O_CLOEXEC, 0).and_then(|file| {
        let loaded = os::load_module(file, parameters);
        let _ = os::close(file);
        loaded
    });
    check.equal("init module", loaded, Ok(0));
}

/// Waits until a disk appears: drivers detect their devices in the background.
fn appears(check: &mut Check, path: &CStr) -> bool {
    let mut tries = 100;
    let found = loop {
        match os::open(nr::AT_FDCWD, path, nr::O_CLOEXEC, 0) {
            Ok(file) => break os::close(file),
            Err(Errno::NOENT | Errno::NXIO) if tries > 0 => tries -= 1,
            Err(errno) => break Err(errno),
        }
        let _ = os::futex_wait(50_000_000);
    };
    check.equal("init disk appears", found, Ok(0));
    found.is_ok()
}

/// The text of `/plan`.
struct Plan {
    text: [u8; 1024],
    filled: usize,
}

impl Plan {
    fn read() -> Plan {
        let mut plan = Plan {
            text: [0; 1024],
            filled: 0,
        };
        if let Ok(file) = os::open(nr::AT_FDCWD, c"/plan", nr::O_CLOEXEC, 0) {
            plan.filled = os::read(file, &mut plan.text).unwrap_or(0);
            let _ = os::close(file);
        }
        plan
    }

    /// Returns whether the plan contains a failing, slow or full disk or a copy, for
    /// which the other checks are left out.
    fn is_of_faults(&self) -> bool {
        let (mut faults, words) = (false, ["slow", "failing", "full", "copy", "found"]);
        for word in words {
            self.each(word, |_, _| faults = true);
        }
        faults
    }

    /// Calls `call` with the first argument and the remainder of each line of this
    /// kind.
    fn each(&self, kind: &str, mut call: impl FnMut(&CStr, &CStr)) {
        let text = self.text.get(..self.filled).unwrap_or_default();
        for line in text.split(|&byte| byte == b'\n') {
            let mut words = line.splitn(3, |&byte| byte == b' ');
            if words.next() != Some(kind.as_bytes()) {
                continue;
            }
            let first = Word::new(words.next().unwrap_or_default());
            let rest = Word::new(words.next().unwrap_or_default());
            call(first.as_c_str(), rest.as_c_str());
        }
    }
}

/// A copy of a string that ends with a zero byte.
struct Word([u8; 160]);

impl Word {
    fn new(bytes: &[u8]) -> Word {
        let mut word = Word([0; 160]);
        // The last byte stays zero.
        for (to, from) in word.0.iter_mut().take(159).zip(bytes) {
            *to = *from;
        }
        word
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
