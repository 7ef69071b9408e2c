//! The headlines: figures that are quoted elsewhere, each with a case in which it does
//! not hold.

use super::Bench;

/// A headline: the claim, its figure, the exception, its figure, and what the figures
/// depend on.
type Headline = [String; 4];

impl Bench<'_> {
    /// Returns the rows of the table.
    pub(crate) fn headlines(&self) -> Vec<Vec<String>> {
        let rows: [Headline; 6] = [
            [
                "a completion from the ring, by `Ring::pop`".to_owned(),
                format!(
                    "**{}** of the time of `io_getevents`",
                    self.figure("reap 1 ring context")
                ),
                format!(
                    "64 at a time: **{}**; an empty ring: **{}** of a hand-written poll",
                    self.figure("reap 64 ring context"),
                    self.figure("peek ring hand")
                ),
                "this processor: the cost of a system call depends on it and on the kernel's \
                 mitigations"
                    .to_owned(),
            ],
            [
                "cached reads of 512 bytes by `Queue`, 32 at a time".to_owned(),
                format!(
                    "**{}** of the time of an ideal hand-written loop, **{}** of an ordinary one",
                    self.figure("read 32 queue hand"),
                    self.figure("read 32 queue hand-runtime")
                ),
                format!(
                    "one at a time: **{}**, **{}**",
                    self.figure("read 1 queue hand"),
                    self.figure("read 1 queue hand-runtime")
                ),
                "this processor".to_owned(),
            ],
            [
                "direct reads of 4 KiB by `Queue`, depth 32".to_owned(),
                format!(
                    "**{}** of libaio's operations per second, at **{}** of its processor time",
                    self.figure("direct-4k 32 libaio rate"),
                    self.figure("direct-4k 32 libaio CPU")
                ),
                format!(
                    "cached data: pread costs less, `Queue` **{}** times its processor time",
                    self.figure("cached-4k 32 pread CPU")
                ),
                "this disk".to_owned(),
            ],
            [
                "the same, against pread in 32 threads".to_owned(),
                format!(
                    "**{}** of the processor time, at **{}** of the rate",
                    self.figure("direct-4k 32 pread-threads CPU"),
                    self.figure("direct-4k 32 pread-threads rate")
                ),
                format!(
                    "depth 1: **{}** of the processor time of pread",
                    self.figure("direct-4k 1 pread CPU")
                ),
                "this disk and this processor".to_owned(),
            ],
            [
                "the same, against io_uring".to_owned(),
                format!(
                    "**{}** of the processor time, at **{}** of the rate",
                    self.figure("direct-4k 32 uring CPU"),
                    self.figure("direct-4k 32 uring rate")
                ),
                format!(
                    "tuned io_uring: **{}** of its processor time",
                    self.figure("direct-4k 32 uring-tuned CPU")
                ),
                "this disk and this processor".to_owned(),
            ],
            [
                "`aio copy`, against `cp` and `sync`, 256 MiB in the page cache".to_owned(),
                format!("**{}** of the time", self.figure("copy warm aio copy")),
                format!(
                    "not in the page cache: **{}**; `--direct`: **{}**",
                    self.figure("copy cold aio copy"),
                    self.figure("copy warm aio copy --direct")
                ),
                "this disk".to_owned(),
            ],
        ];
        rows.into_iter().map(Vec::from).collect()
    }

    /// Returns a figure that a table has kept.
    fn figure(&self, name: &str) -> String {
        match self.figures.get(name) {
            Some(figure) if *figure < 0.1 => format!("{figure:.3}"),
            Some(figure) => format!("{figure:.2}"),
            None => "?".to_owned(),
        }
    }
}
