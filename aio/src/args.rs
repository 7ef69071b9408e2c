//! Parsing of the command line: the flags of a subcommand, with a suggestion for a
//! mistyped one.

use core::fmt;

use getargs::{Arg, Opt, Options};
use linux_aio::rt::{Process, Strings};

use crate::path::Shown;
use crate::print::{self, Text, complain};

/// An argument as the user gave it.
pub(crate) type Bytes = &'static [u8];

/// An iterator over the remaining arguments.
#[derive(Clone)]
pub(crate) struct Arguments(Strings);

impl Arguments {
    /// Creates an iterator over the arguments after the program's name.
    pub(crate) fn new(process: Process) -> Arguments {
        let mut strings = process.args();
        strings.next();
        Arguments(strings)
    }
}

impl Iterator for Arguments {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.0.next().map(|argument| argument.to_bytes())
    }
}

/// The flags and the help text of one subcommand.
pub(crate) struct Grammar {
    /// The subcommand's name, such as `copy`; empty for the tool itself.
    pub(crate) command: &'static str,
    /// The flags without the two dashes; `true` for a flag that takes a value.
    pub(crate) flags: &'static [(&'static str, bool)],
    pub(crate) help: &'static str,
}

/// Exit status of a wrong command line.
pub(crate) const USAGE: i32 = 2;

/// The reason why a command does not run.
pub(crate) enum Done {
    /// Help was requested.
    Help,
    /// The command line is invalid, and the error has been printed.
    Wrong,
}

impl Grammar {
    /// Reports an argument that the command does not accept.
    pub(crate) fn unexpected(&self, argument: Bytes) -> Done {
        self.wrong(format_args!("unexpected argument '{}'", Shown(argument)))
    }

    /// Passes each flag to `flag` and each other argument to `other`.
    pub(crate) fn parse(
        &self,
        arguments: &mut dyn Iterator<Item = Bytes>,
        flag: &mut dyn FnMut(&'static str, Bytes) -> Result<(), Done>,
        other: &mut dyn FnMut(Bytes) -> Result<(), Done>,
    ) -> Result<(), Done> {
        let mut options = Options::new(arguments);
        loop {
            match options.next_arg() {
                Ok(None) => return Ok(()),
                Ok(Some(Arg::Positional(argument))) => other(argument)?,
                Ok(Some(Arg::Short(b'h'))) => return Err(Done::Help),
                Ok(Some(Arg::Short(letter))) => {
                    let name = match letter {
                        b'V' => "version",
                        b'q' => "quiet",
                        b'v' => "verbose",
                        _ => "",
                    };
                    if !self.flags.contains(&(name, false)) {
                        return Err(self.unknown("-", &[letter]));
                    }
                    flag(name, b"")?;
                }
                Ok(Some(Arg::Long(b"help"))) => return Err(Done::Help),
                Ok(Some(Arg::Long(name))) => {
                    let known = self.flags.iter().find(|known| known.0.as_bytes() == name);
                    match known {
                        None => return Err(self.unknown("--", name)),
                        Some(&(name, false)) => flag(name, b"")?,
                        Some(&(name, true)) => match options.value() {
                            Ok(value) if name == "color" => self.choose_color(value)?,
                            Ok(value) => flag(name, value)?,
                            Err(_) => {
                                return Err(self
                                    .wrong(format_args!("flag '--{}' needs a value", Text(name))));
                            }
                        },
                    }
                }
                Err(error) => {
                    let (getargs::Error::DoesNotRequireValue(opt)
                    | getargs::Error::RequiresValue(opt)) = error
                    else {
                        return Err(self.wrong(format_args!("a flag that cannot be read")));
                    };
                    let (dashes, name) = match &opt {
                        Opt::Long(name) => ("--", *name),
                        Opt::Short(letter) => ("-", core::slice::from_ref(letter)),
                    };
                    return Err(self.wrong(format_args!(
                        "flag '{}{}' takes no value",
                        Text(dashes),
                        Shown(name)
                    )));
                }
            }
        }
    }

    /// Obeys `--color`, which all commands share.
    fn choose_color(&self, value: Bytes) -> Result<(), Done> {
        match value {
            b"auto" => {}
            b"always" => print::use_colors(true),
            b"never" => print::use_colors(false),
            _ => {
                let value = Shown(value);
                return Err(self.wrong(format_args!(
                    "'--color' is 'auto', 'always' or 'never', not '{value}'"
                )));
            }
        }
        Ok(())
    }

    fn unknown(&self, dashes: &str, name: &[u8]) -> Done {
        let flags = self.flags.iter().map(|flag| flag.0);
        let (dashes, shown) = (Text(dashes), Shown(name));
        match nearest(name, flags.chain(core::iter::once("help"))) {
            Some(meant) => self.wrong(format_args!(
                "unknown flag '{dashes}{shown}'; did you mean '--{}'?",
                Text(meant)
            )),
            None => self.wrong(format_args!("unknown flag '{dashes}{shown}'")),
        }
    }

    /// Prints the error, with a reference to the help.
    pub(crate) fn wrong(&self, what: fmt::Arguments<'_>) -> Done {
        let space = if self.command.is_empty() { "" } else { " " };
        let command = self.command;
        let end = if ends_as_question(what) { "" } else { ";" };
        let (end, space, command) = (Text(end), Text(space), Text(command));
        complain(format_args!("{what}{end} see 'aio{space}{command} --help'"));
        Done::Wrong
    }
}

/// Returns whether a message ends in a question mark, which no semicolon may follow.
fn ends_as_question(message: fmt::Arguments<'_>) -> bool {
    struct Last(u8);
    impl fmt::Write for Last {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if let Some(&last) = text.as_bytes().last() {
                self.0 = last;
            }
            Ok(())
        }
    }
    let mut last = Last(0);
    let _ = fmt::write(&mut last, message);
    last.0 == b'?'
}

/// Returns the name closest to a mistyped one, if any is close enough.
pub(crate) fn nearest<'a>(typed: &[u8], names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    for name in names {
        let beginning = !typed.is_empty() && name.as_bytes().starts_with(typed);
        let away = if beginning {
            1
        } else {
            distance(typed, name.as_bytes())
        };
        if away <= 2 && away < name.len() && best.is_none_or(|(least, _)| away < least) {
            best = Some((away, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Returns the number of bytes to add, drop or change (Levenshtein distance). All long
/// words have the same, maximal distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    const MOST: usize = 16;
    if a.len() >= MOST || b.len() >= MOST {
        return usize::MAX;
    }
    let mut row = [0; MOST];
    for (column, cell) in row.iter_mut().enumerate() {
        *cell = column;
    }
    for (line, &from) in a.iter().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], line + 1);
        for (column, &to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

/// Parses a whole number with an optional unit: K, M, G, T or KiB, MiB, … for powers of
/// 1024, and KB, MB, … for powers of 1000.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor: u64 = match unit {
        [] | [_] | [_, b'i', b'B'] => 1024,
        [_, b'B'] => 1000,
        _ => return None,
    };
    let power = match unit.first() {
        None => 0,
        Some(b'K' | b'k') => 1,
        Some(b'M' | b'm') => 2,
        Some(b'G' | b'g') => 3,
        Some(b'T' | b't') => 4,
        Some(_) => return None,
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add((digit - b'0').into())
    })?;
    value.checked_mul(factor.pow(power))
}
