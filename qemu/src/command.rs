//! Running other programs: output, time limits, and complete reports of failures.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::clock::Clock;

/// Returns a program's output, or an error with its error output if it fails.
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

/// The process groups that run now.
///
/// Each program runs in a separate group, so that it can be killed together with its
/// descendants. A terminal's interrupt therefore reaches only this process.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Installs a handler that kills the groups on an interrupt or a termination request.
pub(crate) fn end_together() -> Result<()> {
    Ok(ctrlc::set_handler(|| {
        // The lock is held until the process exits, so no other program is started.
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        for &group in groups.iter() {
            // A failure cannot be reported any more.
            let _ = kill(group);
        }
        std::process::exit(130);
    })?)
}

fn kill(group: u32) -> Result<()> {
    signal("-KILL", group)
}

fn signal(option: &str, group: u32) -> Result<()> {
    let group = format!("-{group}");
    output(Command::new("kill").args([option, "--", &group])).map(drop)
}

/// The time limit of a stop: a system call on a file that does not respond delays it.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Stops a program of [`watched`], calls `act` when no thread of it runs, not even in a
/// system call, and continues it.
pub(crate) fn while_stopped<T>(program: u32, act: impl FnOnce() -> Result<T>) -> Result<T> {
    signal("-STOP", program)?;
    let done = all_stopped(program, STOP_LIMIT).and_then(|()| act());
    signal("-CONT", program)?;
    done
}

/// Waits until each thread of a process is stopped.
fn all_stopped(process: u32, limit: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        let mut all = true;
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may have ended meanwhile.
            let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
            // The state follows the name, which may have any characters.
            let state = stat.rsplit_once(") ").map_or("T", |(_, rest)| rest);
            all &= state.starts_with(['T', 'Z', 'X']);
        }
        if all {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    bail!("a thread of process {process} did not stop within {limit:?}")
}

/// Runs a program with its output in a file.
///
/// Returns `None` if it exceeded its limit, measured by its [`Clock`], and was killed
/// with its descendants.
pub(crate) fn bounded(
    command: &mut Command,
    out: File,
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    watched(command, out, |counted, _| counted > limit)
}

/// Runs a program with its output in a file until it exits or `stop` returns true.
///
/// `stop` is called repeatedly with the time that the program's [`Clock`] counts, and the
/// program's process ID.
/// Returns `None` if the program was killed.
pub(crate) fn watched(
    command: &mut Command,
    out: File,
    stop: impl FnMut(Duration, u32) -> bool,
) -> Result<Option<ExitStatus>> {
    let name = command.get_program().display().to_string();
    command
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .process_group(0);
    let groups = || GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = {
        let mut groups = groups();
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot run {name}"))?;
        groups.push(child.id());
        child
    };
    let ended = wait(&mut child, stop);
    groups().retain(|&group| group != child.id());
    ended
}

fn wait(
    child: &mut Child,
    mut stop: impl FnMut(Duration, u32) -> bool,
) -> Result<Option<ExitStatus>> {
    let mut clock = Clock::new(child.id());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if stop(clock.counted(), child.id()) {
            kill(child.id())?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(5));
    }
}

/// Writes an executable script, unless it is there already.
pub(crate) fn write_script(path: &Path, script: &str) -> Result<()> {
    if !fs::read_to_string(path).is_ok_and(|old| old == script) {
        // The file is replaced atomically: another process may be running it.
        let new = path.with_extension(std::process::id().to_string());
        fs::write(&new, script)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(new, path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_stops_or_is_given_up() {
        let mut child = Command::new("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .unwrap();
        let limit = Duration::from_millis(50);
        assert!(all_stopped(child.id(), limit).is_err());
        while_stopped(child.id(), || all_stopped(child.id(), limit)).unwrap();
        // It goes on after an error as well.
        let failed = while_stopped(child.id(), || -> Result<()> { bail!("no") });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert!(all_stopped(child.id(), limit).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_timeout_kills_the_command_and_its_children() {
        let name = format!("linux-aio-bounded-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let out = File::create(&path).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & echo $!; wait"]);
        let ended = bounded(&mut shell, out, Duration::from_millis(300)).unwrap();
        assert_eq!(ended, None);
        let child = std::fs::read_to_string(&path).unwrap();
        // The process does not exist any more, or is a zombie that its new parent has
        // not reaped. Its signal was sent, and takes effect when a processor is free.
        let stat = format!("/proc/{}/stat", child.trim());
        let dead = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let begin = Instant::now();
        while !dead() && begin.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(5));
        }
        assert!(dead());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_command_that_ends_in_time_keeps_its_status() {
        let out = File::create("/dev/null").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "exit 3"]);
        let ended = bounded(&mut shell, out, Duration::from_secs(30)).unwrap();
        assert_eq!(ended.and_then(|status| status.code()), Some(3));
    }
}
