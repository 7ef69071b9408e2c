//! io_uring, with the crate of that name: as most programs use it, and tuned.

use std::fs::File;
use std::os::fd::AsRawFd;

use io_uring::types::{Fd, Fixed};
use io_uring::{IoUring, opcode, squeue};

use super::{Baseline, Buffer, Op};
use crate::meter::note;

pub(super) struct ByUring {
    ring: IoUring,
    fd: Fd,
    buffers: Vec<Buffer>,
    /// The expected result of each slot's operation.
    wanted: Vec<usize>,
}

impl ByUring {
    pub(super) fn new(file: &File, buffers: Vec<Buffer>) -> Option<ByUring> {
        let ring = IoUring::new(buffers.len() as u32);
        Some(ByUring {
            ring: ring
                .inspect_err(|error| note(format!("io_uring: {error}")))
                .ok()?,
            fd: Fd(file.as_raw_fd()),
            wanted: vec![0; buffers.len()],
            buffers,
        })
    }
}

impl Baseline for ByUring {
    fn stage(&mut self, slot: usize, op: Op) {
        let buffer = &mut self.buffers[slot];
        let (start, len) = (buffer.as_mut_ptr(), buffer.len());
        self.wanted[slot] = len;
        let entry = match op {
            Op::Read(offset) => {
                let read = opcode::Read::new(self.fd, start, len as u32);
                read.offset(offset).build()
            }
            Op::Write(offset) => {
                let write = opcode::Write::new(self.fd, start, len as u32);
                write.offset(offset).build()
            }
            Op::Fsync => {
                self.wanted[slot] = 0;
                opcode::Fsync::new(self.fd).build()
            }
        };
        push(&mut self.ring, entry, slot);
    }

    fn submit(&mut self) {
        self.ring.submit().unwrap();
    }

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        while reap(&mut self.ring, &self.wanted, each) == 0 {
            self.ring.submit_and_wait(1).unwrap();
        }
    }
}

/// The file and the buffers are registered, completions are processed inside the system
/// call that waits, and one system call submits and waits.
pub(super) struct ByTunedUring {
    ring: IoUring,
    buffers: Vec<Buffer>,
    wanted: Vec<usize>,
}

impl ByTunedUring {
    pub(super) fn new(file: &File, mut buffers: Vec<Buffer>) -> Option<ByTunedUring> {
        let depth = buffers.len() as u32;
        let tuned = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(depth);
        let ring = tuned.or_else(|error| {
            if error.raw_os_error() != Some(libc::EINVAL) {
                return Err(error);
            }
            // Kernels before 6.1.
            note(format!(
                "uring-tuned: IORING_SETUP_DEFER_TASKRUN with SINGLE_ISSUER: {error}; without them"
            ));
            IoUring::new(depth)
        });
        let ring = ring.inspect_err(|error| note(format!("io_uring: {error}")));
        let ring = ring.ok()?;
        let registered = ring.submitter().register_files(&[file.as_raw_fd()]);
        registered
            .inspect_err(|error| note(format!("uring-tuned: register_files: {error}")))
            .ok()?;
        let vectors: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        // SAFETY: the buffers are never freed.
        let registered = unsafe { ring.submitter().register_buffers(&vectors) };
        registered
            .inspect_err(|error| note(format!("uring-tuned: register_buffers: {error}")))
            .ok()?;
        Some(ByTunedUring {
            ring,
            wanted: vec![0; buffers.len()],
            buffers,
        })
    }
}

impl Baseline for ByTunedUring {
    fn stage(&mut self, slot: usize, op: Op) {
        let buffer = &mut self.buffers[slot];
        let (start, len) = (buffer.as_mut_ptr(), buffer.len());
        self.wanted[slot] = len;
        let (fd, index) = (Fixed(0), slot as u16);
        let entry = match op {
            Op::Read(offset) => {
                let read = opcode::ReadFixed::new(fd, start, len as u32, index);
                read.offset(offset).build()
            }
            Op::Write(offset) => {
                let write = opcode::WriteFixed::new(fd, start, len as u32, index);
                write.offset(offset).build()
            }
            Op::Fsync => {
                self.wanted[slot] = 0;
                opcode::Fsync::new(fd).build()
            }
        };
        push(&mut self.ring, entry, slot);
    }

    fn submit(&mut self) {}

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        self.ring.submit_and_wait(1).unwrap();
        while reap(&mut self.ring, &self.wanted, each) == 0 {
            self.ring.submit_and_wait(1).unwrap();
        }
    }
}

fn push(ring: &mut IoUring, entry: squeue::Entry, slot: usize) {
    // SAFETY: the buffers are not accessed or freed until their completions have been
    // taken.
    unsafe { ring.submission().push(&entry.user_data(slot as u64)) }.unwrap();
}

/// Takes the available completions, and returns their number.
fn reap(ring: &mut IoUring, wanted: &[usize], each: &mut dyn FnMut(usize)) -> usize {
    let mut taken = 0;
    for done in ring.completion() {
        let slot = done.user_data() as usize;
        assert_eq!(done.result(), wanted[slot] as i32);
        each(slot);
        taken += 1;
    }
    taken
}
