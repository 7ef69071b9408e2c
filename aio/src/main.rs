//! `aio`: Linux native AIO at the command line.
//!
//! A static binary without libc and without a heap: the library's `rt` feature provides
//! the entry point, and the library's functions make the system calls. `copy` copies
//! files, `probe` reports whether AIO works on this system and, if not, why, and `who`
//! lists the processes that hold AIO contexts.
#![no_std]
#![no_main]

mod args;
mod copy;
mod diagnosis;
mod json;
mod os;
mod path;
mod print;
mod probe;
mod proc;
mod who;

use core::fmt::Write;

use linux_aio::rt::Process;

use crate::args::{Arguments, Done, Grammar, USAGE};

linux_aio::rt::start!(main);
linux_aio::rt::memory_functions!();
linux_aio::rt::unwind_symbols!();

/// Reports an internal error and exits with status 101.
///
/// No panic is meant to be reachable. The library's handler would also print the
/// location, but it would take a tenth of the binary and embed paths of the build
/// machine.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let _ = os::write_all(
        os::STDERR,
        b"aio: internal error (panic); please report it\n",
    );
    linux_aio::rt::exit(101)
}

const TOOL: Grammar = Grammar {
    command: "",
    flags: &[("version", false)],
    help: "\
Linux native AIO at the command line.

Usage: aio COMMAND [ARGUMENTS]

Commands:
  copy   copy files, each whole or not at all
  probe  report whether AIO works here and, if not, why
  who    list the processes that hold AIO contexts

Flags:
  -h, --help     print this help; 'aio COMMAND --help' prints more
      --version  print the version
",
};

/// A command: its grammar and the function that runs it.
type Command = (Grammar, fn(Arguments) -> Result<i32, Done>);

const COMMANDS: [Command; 3] = [
    (copy::GRAMMAR, copy::run),
    (probe::GRAMMAR, probe::run),
    (who::GRAMMAR, who::run),
];

fn main(process: Process) -> i32 {
    let mut arguments = Arguments::new(process);
    let Some(first) = arguments.next() else {
        TOOL.wrong(format_args!("a command is missing"));
        return USAGE;
    };
    if let Some((grammar, run)) = COMMANDS
        .iter()
        .find(|(grammar, _)| grammar.command.as_bytes() == first)
    {
        return match run(arguments) {
            Ok(status) => status,
            Err(Done::Help) => print::stdout(|out| out.write_str(grammar.help)),
            Err(Done::Wrong) => USAGE,
        };
    }
    if !first.starts_with(b"-") {
        let shown = path::Shown(first);
        let names = COMMANDS.iter().map(|(grammar, _)| grammar.command);
        match args::nearest(first, names) {
            Some(meant) => TOOL.wrong(format_args!(
                "unknown command '{shown}'; did you mean '{}'?",
                print::Text(meant)
            )),
            None => TOOL.wrong(format_args!("unknown command '{shown}'")),
        };
        return USAGE;
    }
    let mut version = false;
    let parsed = TOOL.parse(
        &mut core::iter::once(first).chain(arguments),
        &mut |_, _| {
            version = true;
            Ok(())
        },
        &mut |_| Err(TOOL.wrong(format_args!("a flag stands before the command"))),
    );
    match parsed {
        Err(Done::Help) => print::stdout(|out| out.write_str(TOOL.help)),
        Err(Done::Wrong) => USAGE,
        Ok(()) if version => {
            print::stdout(|out| out.write_str(concat!("aio ", env!("CARGO_PKG_VERSION"), "\n")))
        }
        Ok(()) => {
            TOOL.wrong(format_args!("a command is missing"));
            USAGE
        }
    }
}
