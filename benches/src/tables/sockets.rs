//! A context as a reactor: sockets that are waited for.

use super::{Bench, times};
use crate::command::Result;
use crate::stats::{CPU, find};
use crate::subject::Case;
use crate::svg::brief;

impl Bench<'_> {
    /// Measures one ring as a reactor of a thousand sockets, and of nine thousand.
    pub(crate) fn sockets(&mut self) -> Result<()> {
        self.page.heading("A thousand sockets");
        self.page.say(
            "One byte arrives at 1 or at 64 of 1,000 sockets, the baseline reports which sockets \
             are readable, and the byte is read. AIO and io_uring polls are submitted again each \
             time; epoll continues to watch. Processor time for each byte, including the write and \
             the read, as a ratio to epoll, and in nanoseconds. One thread writes and reads, and \
             never sleeps: the rate is the reciprocal.",
        );
        self.watched("1000", 48_000)?;
        self.page.heading("Nine thousand sockets");
        self.page.say("The same with 9,000 sockets:");
        self.watched("9000", 32_000)
    }

    fn watched(&mut self, sockets: &str, count: u64) -> Result<()> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for size in [1, 64] {
            let more = [sockets];
            let case = Case {
                group: "sockets",
                baseline: "",
                size,
                more: &more,
            };
            let baselines = ["epoll", "context", "queue", "reactor", "uring"];
            let all = self.runs(case, &baselines, count)?;
            let epoll = find(&all, "epoll").ok_or("no epoll")?;
            for runs in &all {
                let at = rows.iter().position(|row| row[0] == runs.baseline);
                let at = at.unwrap_or_else(|| {
                    rows.push(vec![runs.baseline.clone()]);
                    rows.len() - 1
                });
                rows[at].extend([times(runs.ratio(epoll, CPU)), brief(runs.median(CPU))]);
            }
            if let (Some(queue), Some(uring)) = (find(&all, "queue"), find(&all, "uring")) {
                let [epoll, uring] = [epoll, uring].map(|other| queue.sure_ratio(other, CPU));
                self.goal(
                    &format!(
                        "{sockets} sockets, {size} readable at a time: processor time the lowest or \
                         within the noise"
                    ),
                    format!("queue {epoll} of epoll's, {uring} of uring's"),
                    epoll.least <= 1.0 && uring.least <= 1.0,
                );
            }
        }
        self.page
            .table(&["", "1 at a time", "ns", "64 at a time", "ns"], &rows);
        self.say_notes();
        Ok(())
    }
}
