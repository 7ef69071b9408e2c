//! `aio who`: lists the processes that hold AIO contexts.
//!
//! The kernel maps the ring of each context into its process under the name `/[aio]`,
//! so `/proc/*/maps` lists all rings. A ring is a file of an internal file system: its
//! inode identifies the context, also in a forked child that inherited the mapping.

mod find;
mod lines;
mod list;
mod range;
mod report;
mod rings;

use core::fmt::Write;

use crate::args::{Arguments, Done, Grammar};
use crate::os;
use crate::print::{self, complain};
use find::Found;

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "who",
    flags: &[("json", false), ("watch", false), ("color", true)],
    help: include_str!("../../help/who.txt"),
};

/// The time between two lists of `--watch`, in milliseconds.
const PERIOD: u32 = 2000;

/// The time between two attempts, in milliseconds.
const PAUSE: u32 = 20;

/// A list is made again so many times while contexts come and go.
const ATTEMPTS: u32 = 5;

pub(crate) fn run(mut arguments: Arguments) -> Result<i32, Done> {
    let (mut json, mut watch) = (false, false);
    GRAMMAR.parse(
        &mut arguments,
        &mut |flag, _| {
            match flag {
                "json" => json = true,
                _ => watch = true,
            }
            Ok(())
        },
        &mut |argument| Err(GRAMMAR.unexpected(argument)),
    )?;
    let clears = watch && !json && os::is_terminal(os::STDOUT);
    let mut device = None;
    loop {
        let mut attempts = ATTEMPTS;
        let mut found = loop {
            let found = match Found::now(&mut device) {
                Ok(found) => found,
                Err(errno) => {
                    let hint = match errno {
                        linux_aio::Errno::NOENT => "; it must be mounted",
                        _ => "",
                    };
                    complain(format_args!("who: /proc: {errno}{}", print::Text(hint)));
                    return Ok(1);
                }
            };
            attempts -= 1;
            if attempts == 0 || !found.was_disturbed() {
                break found;
            }
            // The pages of a destroyed context stay for tens of milliseconds.
            os::sleep(PAUSE);
        };
        let status = print::stdout(|out| {
            if clears {
                out.write_str("\x1b[H\x1b[2J")?;
            }
            if json {
                report::json(&mut found, out)?;
                out.write_char('\n')
            } else {
                report::text(&mut found, out)
            }
        });
        if !json {
            report::complain_about(&found);
        }
        if !watch || status != 0 {
            let incomplete = i32::from(!found.is_complete());
            return Ok(status.max(incomplete));
        }
        os::sleep(PERIOD);
        if !json && !clears {
            print::stdout(|out| out.write_char('\n'));
        }
    }
}
