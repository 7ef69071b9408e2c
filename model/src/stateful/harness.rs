//! Where a play is performed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::user::Data;
use super::{BLOCK, BLOCKS, MOST_SLOTS, POLLED, Plan};
use crate::fake_kernel::{self, Ended, Faults, Kernel};
use crate::sys::abi::{AioContext, Event};
use crate::{Errno, Fd, IdleContext, Iocb};

/// A kernel, and what there is to read, write and poll.
pub enum Harness {
    /// Plain Rust, of this thread.
    Model,
    /// The real one.
    Real(Real),
}

/// Files and descriptors of the real kernel's.
pub struct Real {
    path: PathBuf,
    /// The buffered and the direct one, each with a second descriptor to look
    /// at it without AIO.
    files: [(File, File); 2],
    polled: Vec<OwnedFd>,
    pool: Option<IdleContext>,
}

impl Real {
    /// Files in this folder, which must be on a disk with direct I/O.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(folder: &Path) -> io::Result<Real> {
        let path = folder.join(format!("play-{}", std::process::id()));
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
    // SAFETY: a fresh descriptor, or −1, which the assertion catches.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

/// No two files, and no two blocks of one, have the same bytes.
pub(super) fn content(file: usize) -> Vec<u8> {
    (0..BLOCKS * BLOCK)
        .map(|at| (at / 251 * 7 + at % 251 + 101 * file) as u8)
        .collect()
}

impl Harness {
    /// Makes all fresh. The files' content.
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

    /// The play is over. What the files hold now.
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

    /// The descriptor of a file: the direct one is the second.
    pub(super) fn file(&self, number: usize) -> Fd<'static> {
        borrow(match self {
            Harness::Model => [fake_kernel::BUFFERED, fake_kernel::DIRECT][number],
            Harness::Real(real) => real.files[number].0.as_raw_fd(),
        })
    }

    /// The descriptor of something to poll.
    pub(super) fn polled(&self, number: usize) -> Fd<'static> {
        borrow(match self {
            Harness::Model => fake_kernel::POLLED + number as i32,
            Harness::Real(real) => real.polled[number].as_raw_fd(),
        })
    }

    /// Data that owns another descriptor of the same file.
    pub(super) fn data(&self, fd: Fd<'_>) -> Data {
        match self {
            Harness::Model => Data::new(fd.as_raw()),
            Harness::Real(_) => Data::real(fd.as_raw()),
        }
    }

    /// What no descriptor has as its number.
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
                // SAFETY: eight bytes, which is what such a descriptor takes.
                assert_eq!(unsafe { libc::write(fd, one.as_ptr().cast(), 8) }, 8);
            }
        }
    }

    /// A context: a used one, where that is dear.
    pub(super) fn context(&mut self, slots: usize) -> Result<IdleContext, Errno> {
        match self {
            Harness::Model => IdleContext::new(slots as u32),
            Harness::Real(real) => match real.pool.take() {
                Some(drained) => Ok(drained),
                None => new_context(),
            },
        }
    }

    pub(super) fn give_back(&mut self, drained: IdleContext) {
        if let Harness::Real(real) = self {
            real.pool = Some(drained);
        }
    }

    /// What the next call will meet; the real kernel is as it is.
    pub(super) fn faults(&self, faults: Faults) {
        if self.is_model() {
            fake_kernel::with_next(|kernel| kernel.faults = faults);
        }
    }

    /// How many operations the context could be given, by a queue that has taken
    /// so many events, whether it has told of them or not.
    pub(super) fn room(&self, ctx: AioContext, taken: usize) -> usize {
        let late = taken.saturating_sub(self.taken(ctx));
        match self {
            Harness::Model => fake_kernel::with_next(|kernel| kernel.room(ctx, late)).unwrap_or(0),
            // A ring has twice what was asked for.
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

    /// The words of the polls in flight that are cancelled.
    pub(super) fn cancelled(&self, ctx: AioContext) -> Vec<u64> {
        fake_kernel::with_next(|kernel| kernel.cancelled(ctx)).unwrap_or_default()
    }

    /// Whether the model has destroyed the context.
    pub(super) fn is_gone(&self, ctx: AioContext) -> bool {
        fake_kernel::with_next(|kernel| !kernel.has(ctx)).unwrap_or(false)
    }

    pub(super) fn ended(&self, ctx: AioContext, from: usize) -> Vec<Ended> {
        fake_kernel::with_next(|kernel| kernel.ended(ctx, from)).unwrap_or_default()
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

    /// What a leaked context is doing still comes to its end.
    pub(super) fn destroy(&self, ctx: AioContext) {
        fake_kernel::with_next(|kernel| kernel.destroy(ctx).ok());
    }
}

/// A descriptor of a harness's.
fn borrow(number: i32) -> Fd<'static> {
    // SAFETY: the model's stay as they are. The real ones are closed when
    // the next play begins, or the harness ends; each play ends its queues before.
    // −1 is no descriptor.
    unsafe { Fd::borrow_raw(number) }
}

/// Other programs may have all of `fs.aio-max-nr` for a moment.
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
