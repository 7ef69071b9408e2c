//! Kernels that run as a process of this machine: User-Mode Linux and gVisor. Debian builds
//! both for x86_64 alone, and they run no 32-bit programs.

use std::env::consts::ARCH;

use anyhow::{Result, bail};

use crate::targets::{Abi, Linker, Target};

/// The architecture of the hosts and of the programs.
const HOST: &str = "x86_64";

/// Returns the reason why such a kernel on this machine does not run an ABI's programs, if it
/// does not. `kernel` is its name.
pub(crate) fn obstacle(kernel: &str, abi: &Abi) -> Option<String> {
    obstacle_on(ARCH, kernel, abi)
}

fn obstacle_on(host: &str, kernel: &str, abi: &Abi) -> Option<String> {
    if host != HOST {
        return Some(format!(
            "{kernel} runs on x86_64 hosts alone, and this one is {host}"
        ));
    }
    match abi.arch.as_str() {
        HOST if abi.linker != Linker::None => None,
        HOST => Some(abi.obstacle().unwrap_or("no linker").to_owned()),
        "x86" | "x32" => Some(format!("{kernel} runs no 32-bit programs")),
        _ => Some(format!("{kernel} runs x86_64 programs alone")),
    }
}

/// Returns the targets that it runs. A requested target that it does not run is an
/// error.
pub(crate) fn targets<'a>(
    kernel: &str,
    targets: Vec<Target<'a>>,
    named: bool,
) -> Result<Vec<Target<'a>>> {
    let mut runs = Vec::new();
    for target in targets {
        match obstacle(kernel, target.abi) {
            None => runs.push(target),
            Some(why) if named || ARCH != HOST => bail!("{}: {why}", target.triple),
            Some(_) => {}
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Table;

    #[test]
    fn a_named_target_that_it_cannot_run_is_refused() {
        let table = Table::load().unwrap();
        let why = |name: &str, host| {
            let abi = table.abis().iter().find(|abi| abi.name == name).unwrap();
            obstacle_on(host, "K", abi)
        };
        assert_eq!(why("x86_64", "x86_64"), None);
        for (name, host, part) in [
            ("x86_64", "aarch64", "this one is aarch64"),
            ("x86", "x86_64", "no 32-bit programs"),
            ("x32", "x86_64", "no 32-bit programs"),
            ("s390x", "x86_64", "x86_64 programs alone"),
            ("x86_64-asan", "x86_64", "sanitizer"),
        ] {
            let why = why(name, host).unwrap();
            assert!(why.contains(part), "{name} on {host}: {why}");
        }
    }

    #[test]
    fn without_names_all_targets_that_it_can_run_are_selected() {
        let table = Table::load().unwrap();
        if ARCH != HOST {
            assert!(targets("K", table.targets(true), false).is_err());
            return;
        }
        let runs = targets("K", table.targets(true), false).unwrap();
        assert!(!runs.is_empty() && runs.iter().all(|target| target.abi.name == "x86_64"));
        let error = targets("K", table.targets(true), true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("x86_64-unknown-linux-gnuasan: "), "{error}");
    }
}
