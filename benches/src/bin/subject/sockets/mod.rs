//! One ring that watches many sockets, of which some become readable.

mod aio;
mod baselines;
mod futures;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::meter::{Meter, note};
use aio::{ByContext, ByQueue};
use baselines::{ByEpoll, ByUring};
use futures::ByReactor;

/// Reports which sockets are readable, at least one of them, and continues to watch
/// those.
trait Watch {
    fn ready(&mut self, each: &mut dyn FnMut(usize));
}

/// Receives `meter.count` bytes by `many` sockets. Of the bytes, `at_once` arrive between
/// two calls.
pub(crate) fn sockets(baseline: &str, at_once: usize, many: u64, meter: &mut Meter) -> Option<()> {
    let most = 2 * many + 100;
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: `limit` is only read. If the limit is refused, a socket will be refused
    // too.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let pairs: Result<Vec<_>, _> = (0..many).map(|_| UnixStream::pair()).collect();
    let pairs = pairs.inspect_err(|error| note(format!("{many} pairs of sockets: {error}")));
    let (ours, theirs): (Vec<_>, Vec<_>) = pairs.ok()?.into_iter().unzip();
    match baseline {
        "context" => run(ByContext::new(&ours), at_once, &ours, theirs, meter),
        "queue" => run(ByQueue::new(&ours), at_once, &ours, theirs, meter),
        "reactor" => run(ByReactor::new(&ours), at_once, &ours, theirs, meter),
        "epoll" => run(ByEpoll::new(&ours), at_once, &ours, theirs, meter),
        "uring" => run(ByUring::new(&ours)?, at_once, &ours, theirs, meter),
        _ => return None,
    }
    Some(())
}

fn run(
    mut watch: impl Watch,
    at_once: usize,
    ours: &[UnixStream],
    mut theirs: Vec<UnixStream>,
    meter: &mut Meter,
) {
    let (rounds, mut at) = (meter.count / at_once as u64, 0);
    let mut readable = Vec::new();
    // The writes are measured too: waking a watcher is part of the cost of watching.
    meter.time(|| {
        for _ in 0..rounds {
            for _ in 0..at_once {
                theirs[at].write_all(&[1]).unwrap();
                // A prime that divides no number of sockets: each in its turn, and no two
                // neighbours.
                at = (at + 389) % theirs.len();
            }
            let mut left = at_once;
            while left > 0 {
                // The bytes are read before the sockets are watched again.
                watch.ready(&mut |socket| readable.push(socket));
                for socket in readable.drain(..) {
                    let mut byte = [0; 8];
                    assert_eq!((&ours[socket]).read(&mut byte).unwrap(), 1);
                    left -= 1;
                }
            }
        }
    });
}
