//! The output of the conformance program.

use std::process::ExitStatus;

/// A call that the program announced.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) number: u32,
    /// The arguments, empty where the program did not announce them.
    pub(crate) arguments: Vec<u64>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct TestReport {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    pub(crate) calls: Vec<Announced>,
    /// Whether AIO was available.
    pub(crate) aio: bool,
    /// Whether it ran in gVisor, which has part of AIO.
    pub(crate) gvisor: bool,
    /// The kernel's release.
    pub(crate) kernel: Option<String>,
    /// A further remark.
    pub(crate) note: Option<String>,
}

/// The program's first line as a kernel's first process, on a console.
const BEGUN: &str = "\ninit\r\n";

/// Returns whether the kernel has started the program.
pub(crate) fn begun(output: &str) -> bool {
    output.contains(BEGUN)
}

/// Returns the program's output as a kernel's first process: the firmware and the
/// kernel print before it, and the kernel after it.
pub(crate) fn console(output: &str) -> &str {
    let begin = output.split_once(BEGUN).map_or(output, |(_, rest)| rest);
    let end = begin
        .split_inclusive('\n')
        .scan(0, |end, line| {
            *end += line.len();
            Some((*end, line))
        })
        .find(|(_, line)| line.contains(" passed, ") && line.contains(" failed"));
    end.map_or(begin, |(end, _)| &begin[..end])
}

impl TestReport {
    /// Parses the output. Returns an error with the reason if it is no verdict.
    ///
    /// The counts must be those of the lines, and the exit status, where there is one,
    /// must agree.
    pub(crate) fn read(output: &str, status: Option<ExitStatus>) -> Result<TestReport, String> {
        let mut verdict = TestReport::default();
        let mut last = None;
        for line in output.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("ok", _) => verdict.passed += 1,
                ("FAILED", _) => verdict.failed += 1,
                ("skipped", _) => verdict.skipped += 1,
                ("mode", mode) => {
                    verdict.aio = mode == "kernel";
                    verdict.gvisor = mode == "gvisor";
                }
                ("kernel", names) => {
                    verdict.kernel = names.split(' ').next().map(str::to_owned);
                }
                ("trace", call) => verdict.calls.push(
                    announced(call).ok_or_else(|| format!("no announcement of a call: {line}"))?,
                ),
                _ => {}
            }
            last = Some(line);
        }
        let expected = verdict.line();
        if last != Some(&expected) {
            let ended = status.map_or(String::new(), |status| format!(" ({status})"));
            return Err(format!(
                "it ended{ended} with {:?}, not with {expected:?}",
                last.unwrap_or_default()
            ));
        }
        if verdict.passed == 0 {
            return Err("it passed nothing".to_owned());
        }
        let code = i32::from(verdict.failed != 0);
        match status {
            Some(status) if status.code() != Some(code) => {
                Err(format!("{expected}, but it ended with {status}"))
            }
            _ => Ok(verdict),
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            line += &format!(", {} skipped", self.skipped);
        }
        line
    }
}

fn announced(call: &str) -> Option<Announced> {
    let mut words = call.split(' ');
    Some(Announced {
        name: words.next()?.to_owned(),
        number: words.next()?.parse().ok()?,
        arguments: words
            .map(|word| u64::from_str_radix(word, 16).ok())
            .collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn read(output: &str, code: i32) -> Result<TestReport, String> {
        TestReport::read(output, Some(ExitStatus::from_raw(code << 8)))
    }

    #[test]
    fn counts_and_calls_are_read() {
        let output = "mode enosys\nok a\ntrace io_setup 206 11 ff\nok b c\nskipped d: why\n\
                      2 passed, 0 failed, 1 skipped\n";
        let verdict = read(output, 0).unwrap();
        assert_eq!((verdict.passed, verdict.failed, verdict.skipped), (2, 0, 1));
        let call = Announced {
            name: "io_setup".to_owned(),
            number: 206,
            arguments: vec![0x11, 0xff],
        };
        assert_eq!(verdict.calls, [call]);
        let failed = read("ok a\nFAILED b: 1\n1 passed, 1 failed\n", 1).unwrap();
        assert_eq!(failed.failed, 1);
    }

    #[test]
    fn anything_else_is_no_verdict() {
        assert!(read("", 0).is_err());
        assert!(read("0 passed, 0 failed\n", 0).is_err(), "nothing passed");
        assert!(read("ok a\n", 0).is_err(), "cut off");
        assert!(read("ok a\n2 passed, 0 failed\n", 0).is_err(), "miscounted");
        assert!(read("ok a\n1 passed, 0 failed\nmore\n", 0).is_err());
        assert!(read("ok a\n1 passed, 0 failed\n", 1).is_err(), "status");
        assert!(read("ok a\nFAILED b: c\n1 passed, 1 failed\n", 0).is_err());
        assert!(read("ok a\ntrace io_setup x\n1 passed, 0 failed\n", 0).is_err());
        let killed = Some(ExitStatus::from_raw(11));
        let killed = TestReport::read("ok a\n1 passed, 0 failed\n", killed);
        assert!(killed.is_err(), "a signal");
    }

    #[test]
    fn other_output_of_a_console_is_ignored() {
        let said = "ok a\r\n1 passed, 0 failed\r\n";
        let output = format!("BIOS\r\nok boot\r\ninit\r\n{said}[ 1.0] reboot: Power down\r\n");
        assert_eq!(console(&output), said);
        assert_eq!(TestReport::read(console(&output), None).unwrap().passed, 1);
        // Truncated output, or that of another program, is no verdict.
        let panic = "init\r\nok a\r\nKernel panic - not syncing\r\n";
        assert!(TestReport::read(console(panic), None).is_err());
        assert!(TestReport::read(console("BIOS\r\n"), None).is_err());
    }
}
