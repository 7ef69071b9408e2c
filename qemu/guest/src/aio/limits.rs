//! Checks the limits: on the slots of a ring, on the number of contexts, and on the
//! number of operations that all processes together may request.

use core::ffi::CStr;

use linux_aio::{AioContext, Context, Errno, sys};

use crate::check::Check;
use crate::nr;
use crate::os;

/// The file of the limit on the operations of all processes.
const MOST: &CStr = c"/proc/sys/fs/aio-max-nr";

#[inline(never)]
pub(crate) fn run(check: &mut Check) {
    capacity(check);
    many(check);
    counted(check);
}

fn capacity(check: &mut Check) {
    /// The assumed maximum number of processors. The kernel reserves four operations
    /// per processor, twice.
    const PROCESSORS: u32 = 512;
    /// The number of slots in the largest page, 256 KiB.
    const PAGE: u32 = 8192;
    let mut before = 0;
    for (name, requested) in [
        ("limit ring for 1", 1),
        ("limit ring for 16", 16),
        ("limit ring for 128", 128),
        ("limit ring for 1000", 1000),
        ("limit ring for 4096", 4096),
    ] {
        let slots = Context::new(requested).map(|mut context| context.ring().slots());
        let Some(slots) = check.needs(name, slots) else {
            continue;
        };
        let slots = slots.unwrap_or(0);
        // One slot stays empty, and the header is as long as another.
        let least = slots > requested && slots >= before && (slots + 1) & 127 == 0;
        let most = slots <= 2 * requested.max(4 * PROCESSORS) + 2 + PAGE;
        check.holds("limit slots are enough", least);
        check.holds("limit slots are not too many", most);
        before = slots;
    }
}

/// Makes sixteen contexts at a time, in a child. Its exit destroys those that remain:
/// destroying them one after another takes long.
fn many(check: &mut Check) {
    const MANY: usize = 16;
    let status = os::in_child(|| {
        let mut names = [AioContext::NONE; MANY];
        for name in &mut names {
            // SAFETY: `name` may be written.
            if unsafe { sys::io_setup(4, name) }.is_err() {
                return 1;
            }
        }
        for (index, name) in names.iter().enumerate() {
            let alone = names.iter().filter(|other| *other == name).count() == 1;
            if !alone || super::contexts::known(*name) != Ok(0) {
                return 2 + index;
            }
        }
        // In another order than they were made.
        for name in names.iter().step_by(5) {
            // SAFETY: the context was made here, and no code reads its ring.
            let first = unsafe { sys::io_destroy(*name) };
            // SAFETY: the context is destroyed already, so the kernel refuses the call.
            let second = unsafe { sys::io_destroy(*name) };
            if (first, second) != (Ok(()), Err(Errno::INVAL)) {
                return 30;
            }
        }
        let left = names
            .iter()
            .filter(|name| super::contexts::known(**name) == Ok(0));
        left.count() + 40
    });
    check.equal("limit many contexts", status, Ok((40 + MANY - 4) << 8));
}

/// Checks that the requested number of operations is counted, and returned on
/// destruction.
fn counted(check: &mut Check) {
    const REQUESTED: u32 = 100;
    let name = "limit io_setup is counted";
    let Some(most) = read(MOST) else {
        check.skip(name, "no /proc/sys/fs");
        return;
    };
    // Other processes count too: one undisturbed attempt is enough.
    let (mut risen, mut given_back) = (false, false);
    for _ in 0..20 {
        let before = read(c"/proc/sys/fs/aio-nr");
        let context = Context::new(REQUESTED);
        let during = read(c"/proc/sys/fs/aio-nr");
        let destroyed = context.and_then(Context::destroy);
        let after = read(c"/proc/sys/fs/aio-nr");
        risen |= during == before.map(|before| before + REQUESTED);
        given_back |= after == before && destroyed == Ok(());
        if risen && given_back {
            break;
        }
    }
    check.holds(name, risen);
    check.holds("limit io_destroy gives it back", given_back);
    let over = Context::new(most.saturating_add(1)).map(drop);
    let want = if most < 4_194_304 {
        Errno::AGAIN
    } else {
        Errno::INVAL
    };
    check.equal("limit aio-max-nr", over, Err(want));
    internal(check, most);
    all(check, most);
    raised(check, most);
}

/// Checks the limit that no setting raises: 4,194,304 operations, with rings of 256 MiB.
/// The kernel compares the doubled number, of 32 bits, with it.
fn internal(check: &mut Check, most: u32) {
    const LARGEST: u32 = 1 << 22;
    let over = Context::new(LARGEST + 1).map(drop);
    check.equal("limit internal", over, Err(Errno::INVAL));
    let name = "limit internal is not exceeded";
    if most < LARGEST {
        let within = Context::new(LARGEST).map(drop);
        check.equal(name, within, Err(Errno::AGAIN));
        let wraps = Context::new(1 << 31).map(drop);
        check.equal("limit internal wraps around", wraps, Err(Errno::AGAIN));
    } else {
        check.skip(name, "fs.aio-max-nr allows as many");
    }
}

/// Checks that the limit can be raised and lowered at any time, that this changes no
/// context, and that the kernel reserves nothing for it: rings for all the operations
/// would be larger than the machine. It is the limit of all processes, so this runs
/// only as a kernel's first process.
fn raised(check: &mut Check, most: u32) {
    const HUGE: u32 = 1 << 30;
    let name = "limit raised";
    if !os::is_first_process() {
        check.skip(name, "the limit is that of all processes");
        return;
    }
    let Some(mut context) = check.needs("limit context", Context::new(64)) else {
        return;
    };
    let mut text = [0; 16];
    let Some(length) = check.needs("limit text", read_text(MOST, &mut text)) else {
        return;
    };
    let slots = context.ring().slots();
    let before = read(c"/proc/sys/fs/aio-nr");
    let written = write_limit(b"1073741824");
    check.equal(name, written.map(|_| ()), Ok(()));
    check.holds("limit raised is read back", read(MOST) == Some(HUGE));
    check.holds(
        "limit raised reserves nothing",
        read(c"/proc/sys/fs/aio-nr") == before && context.ring().slots() == slots,
    );
    let more = Context::new(most + 1).and_then(Context::destroy);
    check.equal("limit raised allows more", more, Ok(()));

    // Below what is in use: contexts stay, and none is added.
    let written = write_limit(b"1");
    check.equal("limit lowered", written.map(|_| ()), Ok(()));
    check.equal("limit lowered keeps contexts", context.check(), Ok(()));
    let more = Context::new(1).map(drop);
    check.equal("limit lowered allows no more", more, Err(Errno::AGAIN));
    let restored = write_limit(&text[..length]);
    check.equal("limit restored", restored.map(|_| ()), Ok(()));
    check.holds("limit restored is read back", read(MOST) == Some(most));
}

/// Sets `fs.aio-max-nr`.
fn write_limit(text: &[u8]) -> os::Result<usize> {
    let file = os::open(nr::AT_FDCWD, MOST, nr::O_WRONLY, 0)?;
    let written = os::write(file, text);
    let _ = os::close(file);
    written
}

/// Checks that all operations that the limit allows can be requested, at once and in
/// parts. That leaves none for other processes, so it runs only as a kernel's first
/// process.
fn all(check: &mut Check, most: u32) {
    const PARTS: u32 = 16;
    let name = "limit all of aio-max-nr";
    if !os::is_first_process() {
        check.skip(name, "other processes would have none");
        return;
    }
    let status = os::in_child(|| {
        let free = most - read(c"/proc/sys/fs/aio-nr").unwrap_or(most);
        let none = || Context::new(1).map(drop) == Err(Errno::AGAIN);
        let whole = Context::new(free).map(|whole| (none(), whole.destroy()));
        let mut parts = 0;
        let part = free >> PARTS.trailing_zeros();
        while parts < PARTS && Context::new(part).map(Context::into_raw).is_ok() {
            parts += 1;
        }
        // The remainder of the division.
        let rest = free - (part << PARTS.trailing_zeros());
        let rest = rest == 0 || Context::new(rest).map(Context::into_raw).is_ok();
        match (whole, parts, rest && none()) {
            (Ok((true, Ok(()))), PARTS, true) => 1,
            (Ok((true, Ok(()))), parts, _) => 2 + parts as usize,
            _ => 99,
        }
    });
    check.equal(name, status, Ok(1 << 8));
}

/// Reads a decimal number from a file.
fn read(path: &CStr) -> Option<u32> {
    let mut text = [0; 16];
    let length = read_text(path, &mut text).ok()?;
    let digits = text.get(..length)?.iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number: u32, digit| {
        // Multiplies by ten without a multiplication.
        let eightfold = number << 3;
        eightfold + (number << 1) + u32::from(digit - b'0')
    }))
}

/// Reads a file that is shorter than the buffer, and returns its length.
fn read_text(path: &CStr, text: &mut [u8]) -> os::Result<usize> {
    let file = os::open(nr::AT_FDCWD, path, 0, 0)?;
    let length = os::read(file, text);
    let _ = os::close(file);
    length
}
