//! How much there is: of slots in a ring, of contexts, and of the operations
//! that all processes together may ask for.

use linux_aio::{AioContext, Context, Errno, sys};

use crate::check::Check;
use crate::nr;
use crate::os;

#[inline(never)]
pub(crate) fn run(check: &mut Check) {
    capacity(check);
    many(check);
    counted(check);
}

fn capacity(check: &mut Check) {
    /// The kernel makes room for four operations a processor, twice.
    const PROCESSORS: u32 = 512;
    /// Slots in the largest page, 256 KiB.
    const PAGE: u32 = 8192;
    let mut before = 0;
    for (name, asked) in [
        ("limit ring for 1", 1),
        ("limit ring for 16", 16),
        ("limit ring for 128", 128),
        ("limit ring for 1000", 1000),
        ("limit ring for 4096", 4096),
    ] {
        let slots = Context::new(asked).map(|mut context| context.ring().slots());
        let Some(slots) = check.needs(name, slots) else {
            continue;
        };
        let slots = slots.unwrap_or(0);
        // One slot stays empty, and the header is as long as another.
        let least = slots > asked && slots >= before && (slots + 1) & 127 == 0;
        let most = slots <= 2 * asked.max(4 * PROCESSORS) + 2 + PAGE;
        check.holds("limit slots are enough", least);
        check.holds("limit slots are not too many", most);
        before = slots;
    }
}

/// Sixteen at a time, in a child, whose end destroys those that are left: one
/// after the other takes long.
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
        // Not in their order.
        for name in names.iter().step_by(5) {
            // SAFETY: ours, and nobody reads its ring.
            let first = unsafe { sys::io_destroy(*name) };
            // SAFETY: gone.
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

/// What is asked for counts, and is given back.
fn counted(check: &mut Check) {
    const ASKED: u32 = 100;
    let name = "limit io_setup is counted";
    let Some(most) = read(c"/proc/sys/fs/aio-max-nr") else {
        check.skip(name, "no /proc/sys/fs");
        return;
    };
    // Other processes count too: one undisturbed time is enough.
    let (mut risen, mut given_back) = (false, false);
    for _ in 0..20 {
        let before = read(c"/proc/sys/fs/aio-nr");
        let context = Context::new(ASKED);
        let during = read(c"/proc/sys/fs/aio-nr");
        let destroyed = context.and_then(Context::destroy);
        let after = read(c"/proc/sys/fs/aio-nr");
        risen |= during == before.map(|before| before + ASKED);
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
    all(check, most);
}

/// All that may be asked for can be had, at once and in parts. That leaves
/// nothing for others, so there must be none: a kernel's first process does it.
fn all(check: &mut Check, most: u32) {
    const PARTS: u32 = 16;
    let name = "limit all of aio-max-nr";
    if !crate::init::is_first() {
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
        // The rest of a division.
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

/// A number in decimal from a file.
fn read(path: &core::ffi::CStr) -> Option<u32> {
    let file = os::open(nr::AT_FDCWD, path, 0, 0).ok()?;
    let mut text = [0; 16];
    let length = os::read(file, &mut text);
    let _ = os::close(file);
    let digits = text.get(..length.ok()?)?.iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number: u32, digit| {
        // By ten, without a multiplication.
        let eightfold = number << 3;
        eightfold + (number << 1) + u32::from(digit - b'0')
    }))
}
