//! Compares QEMU's log of system calls with the calls that the program announced.
//!
//! The log verifies the system call numbers and the order of arguments independently of
//! the library's tables.

use numbers::nr::{self, Numbers};

use crate::targets::Abi;
use crate::test_report::Announced;

const CALLS: [&str; 7] = [
    "io_setup",
    "io_destroy",
    "io_submit",
    "io_cancel",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
];

fn number(row: &Numbers, call: &str) -> Option<u32> {
    match call {
        "io_setup" => row.io_setup,
        "io_destroy" => row.io_destroy,
        "io_submit" => row.io_submit,
        "io_cancel" => row.io_cancel,
        "io_getevents" => row.io_getevents,
        "io_pgetevents" => row.io_pgetevents,
        "io_pgetevents_time64" => row.io_pgetevents_time64,
        _ => None,
    }
}

/// An AIO call in the log: its name and arguments, or its number alone where QEMU has
/// no name for it.
#[derive(Debug, PartialEq)]
enum Logged<'a> {
    Known(&'a str, Vec<u64>),
    Unknown(u32),
}

/// Returns the AIO calls of a log, in order. A call without a name is identified by its
/// number: the program also makes calls that no kernel has.
fn calls<'a>(row: &Numbers, log: &'a str) -> impl Iterator<Item = Logged<'a>> {
    let ours = CALLS.map(|call| number(row, call));
    log.lines().filter_map(move |line| {
        let (_pid, call) = line.split_once(' ')?;
        if let Some(number) = call.strip_prefix("Unknown syscall ") {
            let number = number.trim().parse().ok()?;
            return ours
                .contains(&Some(number))
                .then_some(Logged::Unknown(number));
        }
        let (name, rest) = call.split_once('(')?;
        if !CALLS.contains(&name) {
            return None;
        }
        let (arguments, _) = rest.split_once(')')?;
        let numbers = arguments.split(',').map(|word| {
            let word: i128 = word.trim().parse().ok()?;
            Some(word as u64)
        });
        Some(Logged::Known(name, numbers.collect::<Option<_>>()?))
    })
}

/// Compares the log with the announced calls, each of which is one check. Returns the
/// number of confirmed calls, and a message for each of the others.
pub(crate) fn compare(abi: &Abi, log: &str, announced: &[Announced]) -> (u32, Vec<String>) {
    let Some(row) = nr::every().find(|row| row.abi == abi.arch) else {
        return (0, vec![format!("no numbers for {}", abi.arch)]);
    };
    let mut logged = calls(&row, log);
    let (mut passed, mut complaints) = (0, Vec::new());
    for call in announced {
        let judged = match number(&row, &call.name) {
            number if number != Some(call.number) => {
                logged.next();
                Err(format!("{} has the number {number:?}", show(call)))
            }
            _ => match logged.next() {
                Some(logged) => judge(abi, call, &logged),
                None => Err(format!("{} is not in QEMU's log", show(call))),
            },
        };
        match judged {
            Ok(()) => passed += 1,
            Err(complaint) => complaints.push(complaint),
        }
    }
    complaints.extend(logged.map(|call| format!("QEMU's log has {call:x?} unannounced")));
    (passed, complaints)
}

fn judge(abi: &Abi, call: &Announced, logged: &Logged<'_>) -> Result<(), String> {
    let mask = u64::MAX >> (64 - abi.bits);
    let agrees = match logged {
        Logged::Unknown(number) => *number == call.number,
        Logged::Known(name, arguments) => {
            let pairs = call.arguments.iter().zip(arguments).take(abi.traced);
            *name == call.name
                && arguments.len() >= call.arguments.len().min(abi.traced)
                && pairs
                    .into_iter()
                    .all(|(ours, theirs)| ours & mask == theirs & mask)
        }
    };
    if agrees {
        Ok(())
    } else {
        Err(format!("{}, but QEMU saw {logged:x?}", show(call)))
    }
}

fn show(call: &Announced) -> String {
    let Announced {
        name,
        number,
        arguments,
    } = call;
    format!("{name} (number {number}) with {arguments:x?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Table;

    fn call(name: &str, number: u32, arguments: &[u64]) -> Announced {
        Announced {
            name: name.to_owned(),
            number,
            arguments: arguments.to_vec(),
        }
    }

    fn check(abi: &str, log: &str, announced: &[Announced]) -> (u32, usize) {
        let table = Table::load().unwrap();
        let abi = table.abis().iter().find(|row| row.name == abi).unwrap();
        let (passed, complaints) = compare(abi, log, announced);
        (passed, complaints.len())
    }

    const LOG: &str = "\
5 write(1,0x1000,3) = 3
5 io_setup(17,34,51,68,85,102) = -1 errno=38 (Function not implemented)
5 io_submit(-2,0,4294967295,0,0,0) = -1 errno=38 (Function not implemented)
5 Unknown syscall 399
";

    #[test]
    fn announced_calls_are_found() {
        let announced = [
            call("io_setup", 243, &[17, 34, 51, 68, 85, 102]),
            call("io_submit", 246, &[0xffff_fffe, 0, 0xffff_ffff]),
            call("io_pgetevents", 399, &[1, 2]),
        ];
        assert_eq!(check("armhf", LOG, &announced), (3, 0));
        // Without arguments, only the name is compared.
        let names = announced.map(|call| Announced {
            arguments: vec![],
            ..call
        });
        assert_eq!(check("armhf", LOG, &names), (3, 0));
    }

    #[test]
    fn differences_are_found() {
        let right = [
            call("io_setup", 243, &[17, 34, 51, 68, 85, 102]),
            call("io_submit", 246, &[]),
            call("io_pgetevents", 399, &[]),
        ];
        let with = |index: usize, wrong: Announced| {
            let mut calls = right.clone();
            calls[index] = wrong;
            check("armhf", LOG, &calls)
        };
        let swapped = call("io_setup", 243, &[34, 17, 51, 68, 85, 102]);
        assert_eq!(with(0, swapped), (2, 1));
        assert_eq!(with(0, call("io_setup", 244, &[17])), (2, 1), "number");
        assert_eq!(with(0, call("io_destroy", 244, &[17])), (2, 1), "name");
        assert_eq!(with(2, call("io_pgetevents_time64", 416, &[])), (2, 1));
        assert_eq!(check("armhf", LOG, &right[..2]), (2, 1), "unannounced");
        let mut four = right.to_vec();
        four.push(call("io_setup", 243, &[]));
        assert_eq!(check("armhf", LOG, &four), (3, 1), "not made");
    }
}
