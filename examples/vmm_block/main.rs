//! The block backend of a virtual-machine monitor (`disk.rs`), and a guest that uses it:
//! `cargo run --features std --example vmm_block -- [DIRECTORY]`.

mod disk;

use std::os::{fd::FromRawFd, unix::fs::OpenOptionsExt};
use std::sync::{Arc, OnceLock};
use std::{collections::VecDeque, fs::File, io::Error};

use disk::{Disk, FLUSH, IN, IOERR, Memory, OK, OUT, UNSUPP};
use linux_aio::Queue;

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
