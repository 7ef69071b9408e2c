//! The description and the load of the machine.

use std::process::Command;

use crate::command::run;

/// Returns a line on the processor, the kernel and the compiler.
pub(crate) fn machine() -> String {
    let word = |program: &str, arguments: &[&str]| {
        let said = run(Command::new(program).args(arguments));
        said.map_or_else(|_| "?".to_owned(), |said| said.trim().to_owned())
    };
    format!(
        "{}, Linux {}, {}; {}",
        processor(),
        word("uname", &["-r", "-m"]),
        word("rustc", &["--version"]),
        word("date", &["+%Y-%m-%d %H:%M"]),
    )
}

/// Returns the processor's name and what identifies it beside, as far as the system
/// reports them. (A hypervisor may report a name that several models share.)
fn processor() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        });
        line.filter(|value| !value.is_empty())
    };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let virtual_one = if cpuinfo.contains(" hypervisor") {
        " virtual"
    } else {
        ""
    };
    // x86, s390x and riscv; others only have numbers, or the name of the board.
    let board = || std::fs::read_to_string("/proc/device-tree/model").ok();
    let name = field("model name")
        .or_else(|| field("uarch"))
        .or_else(board);
    let name = name.unwrap_or_else(|| "a processor without a name".to_owned());
    let details: Vec<String> = [
        "cpu family",
        "model",
        "stepping",
        "microcode",
        "CPU implementer",
        "CPU part",
        "CPU revision",
        "cache size",
    ]
    .iter()
    .filter_map(|&key| Some(format!("{key} {}", field(key)?)))
    .collect();
    let frequency = field("cpu MHz").map(|mhz| format!(", {mhz} MHz"));
    format!(
        "{count}{virtual_one} processors: {} ({}{})",
        name.trim_end_matches('\0'),
        details.join(", "),
        frequency.unwrap_or_default()
    )
}

/// Returns the processor's weaknesses for which the kernel has a mitigation in effect,
/// which make system calls slower, or those that are left open.
pub(crate) fn mitigations() -> String {
    let folder = "/sys/devices/system/cpu/vulnerabilities";
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let state = std::fs::read_to_string(entry.path()).ok()?;
            let state = state.trim().to_owned();
            let name = entry.file_name().to_string_lossy().into_owned();
            (state != "Not affected").then(|| format!("{name} ({state})"))
        })
        .collect();
    found.sort();
    if found.is_empty() {
        "none reported".to_owned()
    } else {
        found.join(", ")
    }
}

/// Returns the load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or(f64::NAN)
}
