//! The harness in which a scenario is performed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::user::Data;
use super::{BLOCK, BLOCKS, MOST_SLOTS, POLLED, Plan};
use crate::fake_kernel::{self, Faults, Kernel, LoggedEvent};
use crate::sys::abi::{AioContext, Event};
use crate::{Errno, Fd, IdleContext, Iocb};

/// A kernel, with the files and descriptors to read, write and poll.
pub enum Harness {
    /// The kernel model of this thread.
    Model,
    /// The real kernel.
    Real(Real),
}

/// Files and descriptors of the real kernel.
pub struct Real {
    path: PathBuf,
    /// The buffered and the direct file, each with a second descriptor for access
    /// without AIO.
    files: [(File, File); 2],
    polled: Vec<OwnedFd>,
    pool: Option<IdleContext>,
}

impl Real {
    /// Creates the files in this folder, which must be on a disk with direct I/O.
    ///
    /// # Errors
    /// The errors of the file system.
    pub fn new(folder: &Path) -> io::Result<Real> {
        let path = folder.join(format!("scenario-{}", std::process::id()));
        let open = |number: usize, flags: i32| {
            let path = path.with_extension(number.to_string());
            let plain = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            plain.set_len((BLOCKS * BLOCK) as u64)?;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(flags)
                .open(&path)?;
            Ok::<_, io::Error>((file, plain))
        };
        Ok(Real {
            files: [open(0, 0)?, open(1, libc::O_DIRECT)?],
            path,
            polled: Vec::new(),
            pool: None,
        })
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for number in 0..2 {
            let _ = std::fs::remove_file(self.path.with_extension(number.to_string()));
        }
    }
}

pub(super) fn event_counter() -> OwnedFd {
    // SAFETY: a new descriptor, or −1, which the assertion catches.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

/// Returns the initial content of a file. No two files, and no two blocks of one, have
/// the same bytes.
pub(super) fn content(file: usize) -> Vec<u8> {
    (0..BLOCKS * BLOCK)
        .map(|at| (at / 251 * 7 + at % 251 + 101 * file) as u8)
        .collect()
}

impl Harness {
    /// Resets the harness, and returns the files' content.
    pub(super) fn begin(&mut self, plan: &Plan) -> [Vec<u8>; 2] {
        let files = [content(0), content(1)];
        match self {
            Harness::Model => {
                let kernel = Kernel::new(files.clone(), POLLED, plan.ring, plan.chance);
                fake_kernel::install(kernel);
            }
            Harness::Real(real) => {
                for ((_, plain), bytes) in real.files.iter().zip(&files) {
                    plain.write_all_at(bytes, 0).expect("a file to write to");
                }
                real.polled = (0..POLLED).map(|_| event_counter()).collect();
            }
        }
        files
    }

    /// Ends a scenario, and returns the files' content.
    pub(super) fn end(&mut self) -> [Vec<u8>; 2] {
        match self {
            Harness::Model => {
                let files = fake_kernel::with_next(|kernel| core::mem::take(&mut kernel.files));
                fake_kernel::uninstall();
                files.unwrap_or_default()
            }
            Harness::Real(real) => {
                let read = |at: usize| {
                    let mut bytes = vec![0; BLOCKS * BLOCK];
                    let plain = &real.files[at].1;
                    plain
                        .read_exact_at(&mut bytes, 0)
                        .expect("as long as it was");
                    bytes
                };
                [read(0), read(1)]
            }
        }
    }

    pub(super) fn is_model(&self) -> bool {
        matches!(self, Harness::Model)
    }

    /// Returns the descriptor of a file: the direct one is the second.
    pub(super) fn file(&self, number: usize) -> Fd<'static> {
        borrow(match self {
            Harness::Model => [fake_kernel::BUFFERED, fake_kernel::DIRECT][number],
            Harness::Real(real) => real.files[number].0.as_raw_fd(),
        })
    }

    /// Returns a pollable descriptor.
    pub(super) fn polled(&self, number: usize) -> Fd<'static> {
        borrow(match self {
            Harness::Model => fake_kernel::POLLED + number as i32,
            Harness::Real(real) => real.polled[number].as_raw_fd(),
        })
    }

    /// Creates data that owns another descriptor of the same file.
    pub(super) fn data(&self, fd: Fd<'_>) -> Data {
        match self {
            Harness::Model => Data::new(fd.as_raw()),
            Harness::Real(_) => Data::real(fd.as_raw()),
        }
    }

    /// Returns a number that no descriptor has.
    pub(super) fn none(&self) -> Fd<'static> {
        borrow(-1)
    }

    pub(super) fn make_ready(&mut self, number: usize) {
        match self {
            Harness::Model => {
                fake_kernel::with_next(|kernel| kernel.ready[number] = true);
            }
            Harness::Real(real) => {
                let one = 1_u64.to_ne_bytes();
                let fd = real.polled[number].as_raw_fd();
                // SAFETY: `one` is valid for reads of eight bytes, which is the size an
                // eventfd accepts.
                assert_eq!(unsafe { libc::write(fd, one.as_ptr().cast(), 8) }, 8);
            }
        }
    }

    /// Returns a context: a reused one on the real kernel, where creation is expensive.
    pub(super) fn context(&mut self, slots: usize) -> Result<IdleContext, Errno> {
        match self {
            Harness::Model => IdleContext::new(slots as u32),
            Harness::Real(real) => match real.pool.take() {
                Some(idle) => Ok(idle),
                None => new_context(),
            },
        }
    }

    pub(super) fn give_back(&mut self, idle: IdleContext) {
        if let Harness::Real(real) = self {
            real.pool = Some(idle);
        }
    }

    /// Sets the faults of the next system call, on the kernel model only.
    pub(super) fn faults(&self, faults: Faults) {
        if self.is_model() {
            fake_kernel::with_next(|kernel| kernel.faults = faults);
        }
    }

    /// Returns the number of operations that the context would accept from a queue that
    /// has taken `taken` events, including those for which it has not yet published the
    /// head.
    pub(super) fn capacity(&self, ctx: AioContext, taken: usize) -> usize {
        let late = taken.saturating_sub(self.taken(ctx));
        match self {
            Harness::Model => {
                fake_kernel::with_next(|kernel| kernel.capacity(ctx, late)).unwrap_or(0)
            }
            // The real ring has twice the requested slots.
            Harness::Real(_) => usize::MAX,
        }
    }

    pub(super) fn newest(&self) -> AioContext {
        fake_kernel::with_next(|kernel| kernel.newest())
            .flatten()
            .unwrap_or(AioContext::NONE)
    }

    pub(super) fn given(&self, ctx: AioContext, from: usize) -> Vec<Iocb> {
        fake_kernel::with_next(|kernel| kernel.given(ctx, from)).unwrap_or_default()
    }

    /// Returns the `data` words of the polls in flight that are cancelled.
    pub(super) fn cancelled(&self, ctx: AioContext) -> Vec<u64> {
        fake_kernel::with_next(|kernel| kernel.cancelled(ctx)).unwrap_or_default()
    }

    /// Returns whether the model has destroyed the context.
    pub(super) fn is_gone(&self, ctx: AioContext) -> bool {
        fake_kernel::with_next(|kernel| !kernel.has(ctx)).unwrap_or(false)
    }

    pub(super) fn logged(&self, ctx: AioContext, from: usize) -> Vec<LoggedEvent> {
        fake_kernel::with_next(|kernel| kernel.logged(ctx, from)).unwrap_or_default()
    }

    pub(super) fn taken(&self, ctx: AioContext) -> usize {
        fake_kernel::with_next(|kernel| kernel.taken(ctx)).unwrap_or(0)
    }

    pub(super) fn complete(&self, ctx: AioContext, pick: usize, verdict: fake_kernel::Verdict) {
        fake_kernel::with_next(|kernel| kernel.complete(ctx, pick, verdict));
    }

    pub(super) fn add_foreign(&self, ctx: AioContext, data: u64) {
        let event = Event {
            data,
            obj: data,
            res: 1,
            res2: 1,
        };
        fake_kernel::with_next(|kernel| kernel.add_foreign(ctx, event));
    }

    /// Completes the operations of a leaked context by destroying it in the model.
    pub(super) fn destroy(&self, ctx: AioContext) {
        fake_kernel::with_next(|kernel| kernel.destroy(ctx).ok());
    }
}

/// Borrows a descriptor of a harness.
fn borrow(number: i32) -> Fd<'static> {
    // SAFETY: the model's descriptors stay open. The real ones are closed when the next
    // scenario begins or the harness is dropped, and each scenario ends its queues
    // before. −1 is no descriptor.
    unsafe { Fd::borrow_raw(number) }
}

/// Creates a context, and retries for a while if other programs use all of
/// `fs.aio-max-nr`.
fn new_context() -> Result<IdleContext, Errno> {
    let begin = Instant::now();
    loop {
        match IdleContext::new(MOST_SLOTS as u32) {
            Err(Errno::AGAIN) if begin.elapsed() < Duration::from_secs(60) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            answer => return answer,
        }
    }
}
