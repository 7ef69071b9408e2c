//! The block backend of a virtual-machine monitor: a virtio disk that transfers between
//! guest memory and an image without a copy. `Disk` has no lifetime, and an eventfd wakes
//! its event loop. `main` plays the guest:
//! `cargo run --features std --example vmm_block -- [DIRECTORY]`.

use std::os::{fd::FromRawFd, unix::fs::OpenOptionsExt};
use std::{collections::VecDeque, fs::File, io::Error, io::Read as _, mem, ptr};
use std::{sync::Arc, sync::OnceLock};

use linux_aio::op::{Fdsync, Op, Read, Write};
use linux_aio::{Errno, Queue, WaitOptions, abi::IoVec, buffer::RawVectored};

// The types and the statuses of requests: VIRTIO_BLK_T_*, VIRTIO_BLK_S_*.
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

/// An address in guest memory, and a length.
type Segment = (u64, u32);
/// The owner of an operation's descriptor, the guest's request id, and the expected result.
type Data = (Arc<File>, (u16, u64));

/// Guest memory. It is never unmapped, and no reference to it exists.
struct Memory(*mut [u8]);

impl Memory {
    fn map(len: usize) -> Result<Memory, Error> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel chooses an unused address for the new mapping.
        match unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) } {
            libc::MAP_FAILED => Err(Error::last_os_error()),
            start => Ok(Memory(ptr::slice_from_raw_parts_mut(start.cast(), len))),
        }
    }

    /// Returns a range of guest memory, or `None` if a part of it is outside.
    fn range(&self, (address, len): Segment) -> Option<IoVec> {
        let (at, len) = (usize::try_from(address).ok()?, len as usize);
        let base = self.0.cast::<u8>().wrapping_add(at).cast();
        (at.checked_add(len)? <= self.0.len()).then_some(IoVec { base, len })
    }

    fn buffer(&self, segments: &[Segment]) -> Option<RawVectored<'static>> {
        let ranges: Option<Box<[_]>> = segments.iter().map(|&s| self.range(s)).collect();
        // SAFETY: `range` returns memory that stays mapped for writing until the process
        // ends. The program accesses it only in `swap`, by volatile accesses.
        Some(unsafe { RawVectored::new(ranges?) })
    }

    /// Stores a byte as the guest does, and returns the previous one.
    fn swap(&self, address: u64, value: u8) -> u8 {
        let byte = self.range((address, 1)).unwrap().base.cast::<u8>();
        // SAFETY: `range` returns memory that is mapped for reading and writing.
        unsafe { (byte.read_volatile(), byte.write_volatile(value)).0 }
    }
}

struct Disk {
    file: Arc<File>,
    size: u64,
    memory: Memory,
    queue: Queue<'static, RawVectored<'static>, Data>,
    /// Operations that wait for a free slot of the queue.
    backlog: VecDeque<Op<'static, RawVectored<'static>, Data>>,
    /// The eventfd that completions signal. Operations borrow it for `'static`.
    event: &'static File,
    /// Completed requests, for the used ring.
    used: Vec<(u16, u8)>,
}

impl Disk {
    /// Accepts a request, which `turn` submits. Returns the status of an invalid one.
    fn push(&mut self, id: u16, kind: u32, sector: u64, to: &[Segment]) -> Result<(), u8> {
        let buffer = self.memory.buffer(to).ok_or(IOERR)?;
        let (at, event) = (sector.saturating_mul(512), self.event);
        let len = to.iter().map(|&(_, len)| u64::from(len)).sum();
        if len % 512 != 0 || at.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(IOERR);
        }
        let data = (self.file.clone(), (id, len));
        self.backlog.push_back(match kind {
            IN => Read::owned(data, buffer).offset(at).eventfd(event).into(),
            OUT => Write::owned(data, buffer).offset(at).eventfd(event).into(),
            FLUSH => Fdsync::owned(data).eventfd(event).into(),
            _ => return Err(UNSUPP),
        });
        Ok(())
    }

    /// Takes completions, and submits as much of the backlog as has slots. The event loop
    /// calls it after `push`, and after the eventfd was signalled. It does not wait.
    fn turn(&mut self) -> Result<(), Errno> {
        loop {
            while let Some(done) = self.queue.pop()? {
                let (id, len) = done.data.1;
                let whole = done.result.is_ok_and(|count| count as u64 == len);
                self.used.push((id, if whole { OK } else { IOERR }));
            }
            while let Some(operation) = self.backlog.pop_front() {
                if let Err(full) = self.queue.push(operation) {
                    self.backlog.push_front(full.0);
                    break;
                }
            }
            // Submits. A refused operation completes without signalling the eventfd.
            if self.queue.wait_with(0, WaitOptions::poll())? == 0 {
                return Ok(());
            }
        }
    }

    /// Runs the event loop until all requests have completed. A monitor that has other
    /// descriptors waits with epoll instead.
    fn serve(&mut self) -> Result<Vec<(u16, u8)>, Error> {
        self.turn()?;
        while self.queue.in_flight() > 0 {
            self.event.read_exact(&mut [0; 8])?;
            self.turn()?;
        }
        Ok(mem::take(&mut self.used))
    }

    /// Completes all requests, without the event loop.
    fn shut_down(mut self) -> Result<Vec<(u16, u8)>, Errno> {
        self.turn()?;
        while self.queue.in_flight() > 0 {
            self.queue.drain()?;
            self.turn()?;
        }
        Ok(self.used)
    }
}

fn main() -> Result<(), Error> {
    const HALF: u64 = 1 << 20;
    static EVENT: OnceLock<File> = OnceLock::new();
    let directory = std::env::args_os().nth(1);
    let directory = directory.unwrap_or_else(|| std::env::temp_dir().into());
    // Only direct I/O is asynchronous. Some file systems do not have it.
    let mut image = File::options();
    image.read(true).write(true);
    let mut open = |flags| image.custom_flags(libc::O_TMPFILE | flags).open(&directory);
    let file = Arc::new(open(libc::O_DIRECT).or_else(|_| open(0))?);
    file.set_len(HALF)?;
    let queue = Queue::with_capacity(8).unwrap_or_else(|errno| {
        eprintln!("vmm_block: AIO is unavailable: {errno}");
        std::process::exit(1)
    });
    // SAFETY: the call has no memory arguments.
    let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(event >= 0, "eventfd: {}", Error::last_os_error());
    // SAFETY: the descriptor is new, so nothing else owns it.
    let event = unsafe { File::from_raw_fd(event) };
    let mut disk = Disk {
        file: file.clone(),
        size: HALF,
        memory: Memory::map(2 * HALF as usize)?,
        queue,
        backlog: VecDeque::new(),
        event: EVENT.get_or_init(|| event),
        used: Vec::new(),
    };

    // The guest writes from one half of its memory, and reads into the other half.
    let pattern = |address| (address % 251 + 1) as u8;
    (0..HALF).for_each(|at| _ = disk.memory.swap(at, pattern(at)));
    let push_all = |disk: &mut Disk, kind, half| {
        for id in 0..32 {
            let at = half + u64::from(id) * 0x8000;
            let to = [(at + 0x4000, 0x1000), (at, 0x2000), (at + 0x6000, 0x1000)];
            assert_eq!(disk.push(id, kind, u64::from(id) * 64, &to), Ok(()));
        }
    };
    let ok = |used: Vec<_>| used.iter().filter(|&&(_, status)| status == OK).count();
    push_all(&mut disk, OUT, 0);
    assert_eq!(ok(disk.serve()?), 32);
    assert_eq!(disk.push(0, FLUSH, 0, &[]), Ok(()));
    assert_eq!(disk.serve()?, [(0, OK)]);
    push_all(&mut disk, IN, HALF);
    assert_eq!(ok(disk.serve()?), 32);
    let equal = |&at: &u64| disk.memory.swap(HALF + at, 0) == pattern(at);
    let equal = (0..HALF).filter(equal).count();
    assert_eq!(equal, 32 * 0x4000);

    // Requests with a valid first segment, which is not accessed.
    for second in [(2 * HALF - 511, 512), (u64::MAX, 512), (512, 100)] {
        assert_eq!(disk.push(0, IN, 0, &[(0, 512), second]), Err(IOERR));
    }
    assert_eq!(disk.push(0, IN, u64::MAX, &[(0, 512)]), Err(IOERR));
    assert_eq!(disk.push(0, OUT + FLUSH, 0, &[(0, 512)]), Err(UNSUPP));
    assert!((0..512).all(|at| disk.memory.swap(at, pattern(at)) == pattern(at)));

    // A short read, as the image is truncated. Then a shutdown completes what is queued.
    file.set_len(0x1000)?;
    assert_eq!(disk.push(0, IN, 0, &[(HALF, 0x2000)]), Ok(()));
    assert_eq!(disk.serve()?, [(0, IOERR)]);
    push_all(&mut disk, OUT, 0);
    assert_eq!(ok(disk.shut_down()?), 32);
    assert_eq!(Arc::strong_count(&file), 1);
    println!("64 writes, 32 reads and a flush completed; {equal} bytes are equal");
    Ok(())
}
