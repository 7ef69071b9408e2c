//! Separates the kernel's records on a console from the program's output, and detects
//! faults in them.
//!
//! Both write to the same console. A kernel record is a whole line that begins with a
//! time (`printk.time=1`). It may begin in the middle of a line that the program is
//! writing: once the record is removed, that line is whole again.

/// The output on a console.
pub(crate) struct Console {
    /// The output of the firmware and the program, without the kernel's records.
    pub(crate) program: String,
    /// The kernel's messages, without their times.
    pub(crate) kernel: Vec<String>,
}

impl Console {
    pub(crate) fn read(output: &str) -> Console {
        let (mut program, mut kernel) = (String::new(), Vec::new());
        for line in output.split_inclusive('\n') {
            let record = line
                .match_indices('[')
                .find_map(|(at, _)| Some((at, at + time(&line[at..])?)));
            match record {
                None => program.push_str(line),
                Some((at, message)) => {
                    program.push_str(&line[..at]);
                    kernel.push(line[message..].trim_end().to_owned());
                }
            }
        }
        Console { program, kernel }
    }

    /// Returns the first message that no kernel should print while its machine is on.
    ///
    /// An emulator may need longer to exit than the kernel waits for it. The kernel
    /// then warns that its first process exits with interrupts disabled.
    pub(crate) fn complaint(&self) -> Option<&str> {
        let messages = self.kernel.iter().map(String::as_str);
        let mut messages = messages.take_while(|message| !OFF.contains(message));
        messages.find(|message| COMPLAINTS.iter().any(|text| message.contains(text)))
    }
}

/// Returns the length of a record's time, `[    1.234567] `, and of the thread or
/// processor that some kernels add: `[    1.234567][    T1] `.
fn time(text: &str) -> Option<usize> {
    let inside = |text: &str| -> Option<(String, usize)> {
        let (word, _) = text.strip_prefix('[')?.split_once(']')?;
        Some((word.trim_start().to_owned(), word.len() + 2))
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (stamp, mut length) = inside(text)?;
    let (seconds, micros) = stamp.split_once('.')?;
    if !digits(seconds) || !digits(micros) || micros.len() != 6 {
        return None;
    }
    if let Some((caller, more)) = inside(&text[length..])
        && let Some(number) = caller.strip_prefix(['T', 'C'])
        && digits(number)
    {
        length += more;
    }
    text[length..].starts_with(' ').then_some(length + 1)
}

/// The last messages of a kernel before it switches its machine off or restarts it.
const OFF: [&str; 2] = ["reboot: Power down", "reboot: Restarting system"];

/// The texts of faults, wherever they occur in a message.
///
/// They cover WARN() and lockdep, BUG() and the other checks, oopses under the names
/// that architectures give them, the end of any trace, RCU stalls, the two lockup
/// detectors, and hung tasks.
const COMPLAINTS: [&str; 17] = [
    "WARNING: ",
    "BUG: ",
    "kernel BUG at",
    "UBSAN: ",
    "Oops",
    "Internal error: ",
    "Unable to handle kernel",
    "Unhandled fault",
    "general protection fault",
    "possible recursive locking",
    "self-detected stall",
    "detected stalls on",
    "detected expedited stalls",
    "hard LOCKUP",
    "blocked for more than",
    "Kernel panic",
    "---[ end trace",
];

/// Returns whether a message is a warning, after which the kernel could have continued.
pub(crate) fn is_warning(message: &str) -> bool {
    message.contains("WARNING: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(output: &str) -> Option<String> {
        Console::read(output).complaint().map(str::to_owned)
    }

    #[test]
    fn records_are_removed_from_the_programs_lines() {
        let output = "SeaBIOS [1.16]\r\n[    0.000000] Linux version 6.12\r\n\
                      in[    0.912345] pci: a warning\r\nit\r\nok a[ 1.000001][    T1] b\r\n c\r\n\
                      ok d [1.5] e\r\n[   12.000000]\r\n";
        let console = Console::read(output);
        let program = "SeaBIOS [1.16]\r\ninit\r\nok a c\r\nok d [1.5] e\r\n[   12.000000]\r\n";
        assert_eq!(console.program, program);
        assert_eq!(
            console.kernel,
            ["Linux version 6.12", "pci: a warning", "b"]
        );
        assert_eq!(console.complaint(), None);
    }

    #[test]
    fn complaints_are_found() {
        for message in [
            "WARNING: CPU: 0 PID: 1 at fs/aio.c:349 aio_ring_mremap+0x1/0x2",
            "WARNING: fs/aio.c:349 at aio_ring_mremap+0x1/0x2, CPU#1: init/1",
            "WARNING: possible circular locking dependency detected",
            "BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [init:1]",
            "watchdog: Watchdog detected hard LOCKUP on cpu 0",
            "kernel BUG at fs/aio.c:1234!",
            "Internal error: Oops: 0000000096000004 [#1] SMP",
            "Unable to handle kernel paging request at virtual address 00000008",
            "Oops[#1]:",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "INFO: task init:1 blocked for more than 120 seconds.",
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000b",
            "illegal instruction: 0000 [#1]\r\n[    1.000001] ---[ end trace 0 ]---",
        ] {
            let output = format!("[    0.000000] Linux\r\ninit\r\n[    1.000000] {message}\r\n");
            let found = complaint(&output);
            let last = message.rsplit("] ").next().unwrap();
            assert!(
                found.is_some_and(|found| found.ends_with(last)),
                "{message}"
            );
        }
    }

    #[test]
    fn a_machine_that_was_switched_off_has_none() {
        let warning = "[    2.000000] WARNING: CPU: 0 PID: 1 at kernel/exit.c:813\r\n";
        let panic = "[    2.000001] Kernel panic - not syncing: panic_on_warn set\r\n";
        for last in ["Power down", "Restarting system"] {
            let off = format!("init\r\n[    1.000000] reboot: {last}\r\n");
            assert_eq!(complaint(&format!("{off}{warning}{panic}")), None);
            let before = complaint(&format!("{warning}{off}"));
            assert!(before.is_some(), "what it said before counts");
        }
        // The program prints this line itself, and continues.
        let program = format!("reboot: Power down\r\n{warning}");
        assert!(complaint(&program).is_some());
    }

    #[test]
    fn other_lines_are_no_complaints() {
        for line in [
            "[    1.000000] Warning: unable to open an initial console.\r\n",
            "[    1.000000] debug: installing the driver\r\n",
            // These lines are the program's own.
            "FAILED a: WARNING: b\r\n",
            "ok it is said BUG: here\r\n",
        ] {
            assert_eq!(complaint(line), None, "{line}");
        }
    }
}
