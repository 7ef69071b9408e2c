//! `aio`: Linux native AIO at the command line.
//!
//! A static binary without libc and without a heap: the library's `rt` feature provides
//! the entry point, and the library's functions make the system calls. `copy` copies
//! files, `bench` measures reads and writes, `probe` reports whether AIO works on this
//! system and, if not, why, and `who` lists the processes that hold AIO contexts.
//!
//! The help texts in `help/` are also the source of the manual pages and of the
//! completions of shells (`tests/pages.rs`).
#![no_std]
#![no_main]

mod args;
mod bench;
mod copy;
mod diagnosis;
mod json;
mod os;
mod path;
mod print;
mod probe;
mod proc;
mod random;
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

static TOOL: Grammar = Grammar {
    command: "",
    flags: &[("version", false)],
    help: include_str!("../help/aio.txt"),
};

/// A command: its grammar and the function that runs it.
type Command = (Grammar, fn(Arguments) -> Result<i32, Done>);

static COMMANDS: [Command; 4] = [
    (copy::GRAMMAR, copy::run),
    (bench::GRAMMAR, bench::run),
    (probe::GRAMMAR, probe::run),
    (who::GRAMMAR, who::run),
];

fn main(process: Process) -> i32 {
    let mut arguments = Arguments::new(process);
    const AT_PAGESZ: usize = 6;
    if let Some(size) = process.aux(AT_PAGESZ) {
        os::set_page_size(size);
    }
    let plain = |name, text: &[u8]| {
        process
            .var(name)
            .is_some_and(|value| value.to_bytes() == text)
    };
    let no_color = process
        .var("NO_COLOR")
        .is_some_and(|value| !value.is_empty());
    print::use_colors(!no_color && !plain("TERM", b"dumb") && os::is_terminal(os::STDOUT));
    let Some(first) = arguments.next() else {
        TOOL.wrong(format_args!("a command is missing"));
        return USAGE;
    };
    if let Some((grammar, run)) = find(first) {
        return match run(arguments) {
            Ok(status) => status,
            Err(Done::Help) => print::stdout(|out| out.write_str(grammar.help)),
            Err(Done::Wrong) => USAGE,
        };
    }
    if first == b"help" {
        return help(arguments);
    }
    if !first.starts_with(b"-") {
        return unknown(first);
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

/// Prints the help of a command, or of the tool.
fn help(mut arguments: Arguments) -> i32 {
    let grammar = match arguments.next() {
        None | Some(b"help") => &TOOL,
        Some(name) => match find(name) {
            Some((grammar, _)) => grammar,
            None => return unknown(name),
        },
    };
    print::stdout(|out| out.write_str(grammar.help))
}

fn find(name: &[u8]) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|(grammar, _)| grammar.command.as_bytes() == name)
}

/// Reports an unknown command.
fn unknown(name: &[u8]) -> i32 {
    let shown = path::Shown(name);
    let names = COMMANDS.iter().map(|(grammar, _)| grammar.command);
    match args::nearest(name, names.chain(core::iter::once("help"))) {
        Some(meant) => TOOL.wrong(format_args!(
            "unknown command '{shown}'; did you mean '{}'?",
            print::Text(meant)
        )),
        None => TOOL.wrong(format_args!("unknown command '{shown}'")),
    };
    USAGE
}
