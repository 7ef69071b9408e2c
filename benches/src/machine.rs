//! The description and the load of the machine.

use std::process::Command;

use crate::command::run;

/// Returns a line on the processor, the kernel and the compiler.
pub(crate) fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let count = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let virtual_one = if cpuinfo.contains(" hypervisor") {
        " virtual"
    } else {
        ""
    };
    let word = |program: &str, arguments: &[&str]| {
        let said = run(Command::new(program).args(arguments));
        said.map_or_else(|_| "?".to_owned(), |said| said.trim().to_owned())
    };
    format!(
        "{count}{virtual_one} processors of an {model}, Linux {}, {}; {}",
        word("uname", &["-r"]),
        word("rustc", &["--version"]),
        word("date", &["+%Y-%m-%d %H:%M"]),
    )
}

/// Returns the load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or(f64::NAN)
}
