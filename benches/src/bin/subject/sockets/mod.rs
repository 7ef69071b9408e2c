//! One ring that watches a thousand sockets, of which some become readable.

mod aio;
mod baselines;
mod futures;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::meter::Meter;
use aio::{ByContext, ByQueue};
use baselines::{ByEpoll, ByUring};
use futures::ByReactor;

const SOCKETS: usize = 1000;

/// Reports which sockets are readable, at least one of them, and continues to watch
/// those.
trait Watch {
    fn ready(&mut self, each: &mut dyn FnMut(usize));
}

/// Receives `meter.count` bytes, of which `at_once` arrive between two calls.
pub(crate) fn sockets(baseline: &str, at_once: usize, meter: &mut Meter) -> Option<()> {
    let limit = libc::rlimit {
        rlim_cur: 4096,
        rlim_max: 4096,
    };
    // SAFETY: `limit` is only read. If the limit is refused, a socket will be refused
    // too.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let pairs: Result<Vec<_>, _> = (0..SOCKETS).map(|_| UnixStream::pair()).collect();
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
                // Coprime to a thousand: each socket in its turn, and no two
                // neighbours.
                at = (at + 387) % SOCKETS;
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
