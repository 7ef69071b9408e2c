//! Other programs: run, waited for, their failure told whole.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a program prints; an error if it fails, with what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{name}: {}\n{}", output.status, complaint.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed no text"))
}

/// Runs a program with its output in a file; `None` if it took too long and
/// was killed, and with it what it had started.
pub(crate) fn bounded(
    command: &mut Command,
    out: File,
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    let name = command.get_program().display().to_string();
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > limit {
            let group = format!("-{}", child.id());
            output(Command::new("kill").args(["-KILL", "--", &group]))?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(5));
    }
}
