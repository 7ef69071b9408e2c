//! The manual pages and the completions of shells are made from the texts of `--help`,
//! and this test compares them. `WRITE_PAGES=1 cargo test -p aio --test pages` writes them.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::*;

const COMMANDS: [&str; 4] = ["copy", "bench", "probe", "who"];

/// The date of the pages: that of the last change of a text.
const DATE: &str = "November 27, 2026";

/// One flag, as the help lists it.
struct Flag {
    short: Option<char>,
    long: String,
    argument: Option<String>,
    text: String,
}

impl Flag {
    /// Returns the words that the flag accepts: those in quotes, for flags with a choice.
    fn words(&self) -> Vec<&str> {
        let mut words = Vec::new();
        if matches!(self.argument.as_deref(), Some("WAY" | "WHEN" | "LIST")) {
            for word in self.text.split('\'').skip(1).step_by(2) {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        words
    }
}

/// The parts of a help text.
struct Help {
    /// The command, or `""` for the tool.
    command: &'static str,
    summary: String,
    usage: Vec<String>,
    paragraphs: Vec<String>,
    /// The commands and their summaries, for the tool.
    commands: Vec<(String, String)>,
    flags: Vec<Flag>,
    status: String,
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(command: &str) -> String {
    let name = if command.is_empty() { "aio" } else { command };
    fs::read_to_string(folder().join(format!("help/{name}.txt"))).unwrap()
}

fn joined(lines: &[&str]) -> String {
    let words = lines.iter().flat_map(|line| line.split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

impl Help {
    fn of(command: &'static str) -> Help {
        let text = text_of(command);
        let mut help = Help {
            command,
            summary: String::new(),
            usage: Vec::new(),
            paragraphs: Vec::new(),
            commands: Vec::new(),
            flags: Vec::new(),
            status: String::new(),
        };
        for (number, block) in text.split("\n\n").enumerate() {
            let lines: Vec<&str> = block.lines().collect();
            match lines[0] {
                _ if number == 0 => help.summary = joined(&lines),
                "Flags:" => help.flags = flags(&lines[1..]),
                "Commands:" => {
                    for line in &lines[1..] {
                        let (name, text) = line.trim().split_once(' ').unwrap();
                        help.commands
                            .push((name.to_owned(), text.trim().to_owned()));
                    }
                }
                first if first.starts_with("Usage: ") => {
                    for line in &lines {
                        let line = line.trim_start_matches("Usage:").trim();
                        if line.starts_with("aio ") {
                            help.usage.push(line.to_owned());
                        } else {
                            let last = help.usage.last_mut().unwrap();
                            *last = format!("{last} {line}");
                        }
                    }
                }
                first if first.starts_with("Exit status: ") => {
                    help.status = joined(&lines)["Exit status: ".len()..].to_owned();
                }
                _ => help.paragraphs.push(joined(&lines)),
            }
        }
        help
    }

    fn name(&self) -> String {
        if self.command.is_empty() {
            "aio".to_owned()
        } else {
            format!("aio-{}", self.command)
        }
    }
}

fn flags(lines: &[&str]) -> Vec<Flag> {
    let mut flags = Vec::<Flag>::new();
    for line in lines {
        let trimmed = line.trim();
        let indent = line.len() - line.trim_start().len();
        if indent > 6 || !trimmed.starts_with('-') {
            let text = &mut flags.last_mut().unwrap().text;
            *text = format!("{text} {trimmed}").trim().to_owned();
            continue;
        }
        let (names, text) = trimmed.split_once("  ").unwrap_or((trimmed, ""));
        let (short, names) = match names.split_once(", ") {
            Some((short, names)) => (short.chars().nth(1), names),
            None => (None, names),
        };
        let (long, argument) = match names.split_once(' ') {
            Some((long, argument)) => (long, Some(argument.to_owned())),
            None => (names, None),
        };
        flags.push(Flag {
            short,
            long: long.trim_start_matches("--").to_owned(),
            argument,
            text: text.trim().to_owned(),
        });
    }
    flags
}

/// Escapes a line of running text for roff.
fn roff(text: &str) -> String {
    let mut lines = String::new();
    // A new line for each sentence keeps differences small.
    for sentence in text.replace('\\', "\\e").replace(". ", ".\n").lines() {
        if sentence.starts_with(['.', '\'']) {
            lines += "\\&";
        }
        lines += sentence;
        lines += "\n";
    }
    lines
}

/// Converts a line of the usage to macros.
fn synopsis(line: &str) -> String {
    let mut page = String::new();
    let mut words = line.split(' ').skip(1).peekable();
    page += ".Nm aio\n";
    while let Some(word) = words.next() {
        let mut item = word.to_owned();
        while item.starts_with('[') && !item.ends_with(']') {
            item = format!("{item} {}", words.next().unwrap());
        }
        let optional = item.starts_with('[');
        let item = item.trim_matches(['[', ']']);
        let macros = match item.split_once(' ') {
            Some((flag, argument)) => {
                format!("Fl -{} Ar {argument}", flag.trim_start_matches("--"))
            }
            None if item.starts_with("--") => format!("Fl -{}", &item[2..]),
            None if item.chars().any(char::is_uppercase) => {
                format!("Ar {}", item.replace("...", " ..."))
            }
            None => format!("Cm {item}"),
        };
        let begin = if optional { ".Op " } else { "." };
        writeln!(page, "{begin}{macros}").unwrap();
    }
    page
}

fn manual_page(help: &Help) -> String {
    let name = help.name();
    let summary = help.summary.trim_end_matches('.');
    let mut page = format!(
        ".\\\" Made from help/ by tests/pages.rs.\n.Dd {DATE}\n.Dt {} 1\n.Os Linux\n.Sh NAME\n\
         .Nm {name}\n.Nd {}{}\n.Sh SYNOPSIS\n",
        name.to_uppercase(),
        if summary.starts_with("Linux") {
            "L".to_owned()
        } else {
            summary[..1].to_lowercase()
        },
        &summary[1..]
    );
    for line in &help.usage {
        page += &synopsis(line);
    }
    page += ".Sh DESCRIPTION\n";
    for (number, paragraph) in help.paragraphs.iter().enumerate() {
        if number > 0 {
            page += ".Pp\n";
        }
        page += &roff(paragraph);
    }
    if !help.commands.is_empty() {
        page += "The commands are:\n.Bl -tag -width indent\n";
        for (command, text) in &help.commands {
            let end = if text.ends_with('.') { "" } else { "." };
            write!(page, ".It Cm {command}\n{}", roff(&format!("{text}{end}"))).unwrap();
            if command != "help" {
                writeln!(page, "See\n.Xr aio-{command} 1 .").unwrap();
            }
        }
        page += ".El\n";
    }
    page += ".Sh OPTIONS\n.Bl -tag -width indent\n";
    for flag in &help.flags {
        page += ".It";
        if let Some(short) = flag.short {
            write!(page, " Fl {short} ,").unwrap();
        }
        write!(page, " Fl -{}", flag.long).unwrap();
        if let Some(argument) = &flag.argument {
            write!(page, " Ar {argument}").unwrap();
        }
        page += "\n";
        page += &roff(&flag.text);
    }
    write!(
        page,
        ".El\n.Sh EXIT STATUS\n{}.Sh SEE ALSO\n",
        roff(&help.status)
    )
    .unwrap();
    let others = [""]
        .into_iter()
        .chain(COMMANDS)
        .filter(|&other| other != help.command);
    for other in others {
        let dash = if other.is_empty() { "" } else { "-" };
        writeln!(page, ".Xr aio{dash}{other} 1 ,").unwrap();
    }
    page += ".Xr io_setup 2 ,\n.Xr io_submit 2\n";
    page
}

const HEADER: &str = "Made from help/ by tests/pages.rs.";

fn bash(tool: &Help, commands: &[Help]) -> String {
    let names: Vec<&str> = tool
        .commands
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let flags = |help: &Help| {
        let flags = help.flags.iter().map(|flag| format!("--{}", flag.long));
        flags.collect::<Vec<_>>().join(" ")
    };
    let mut script = format!(
        "# {HEADER}\n_aio() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words=\n    \
         local before=${{COMP_WORDS[COMP_CWORD - 1]}}\n    if [ \"$COMP_CWORD\" = 1 ]; then\n        \
         words=\"{} {}\"\n    else\n        case $command:$before in\n        help:*) words=\"{}\" ;;\n",
        names.join(" "),
        flags(tool),
        COMMANDS.join(" ")
    );
    for help in commands {
        for flag in help.flags.iter().filter(|flag| flag.argument.is_some()) {
            let (command, long, words) = (help.command, &flag.long, flag.words().join(" "));
            writeln!(script, "        {command}:--{long}) words=\"{words}\" ;;").unwrap();
        }
    }
    script += "        *)\n            case $word in\n            -*)\n                case $command in\n";
    for help in commands {
        writeln!(
            script,
            "                {}) words=\"{}\" ;;",
            help.command,
            flags(help)
        )
        .unwrap();
    }
    script += "                esac\n                ;;\n            esac\n            ;;\n        esac\n    fi\n    \
               # shellcheck disable=SC2207 # none of the words has a space\n    \
               COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n\
               complete -o bashdefault -o default -F _aio aio\n";
    script
}

/// Returns the first part of a flag's text, without characters that a shell interprets.
fn short_text(text: &str) -> String {
    let end = text.find([';', '(', ':']).unwrap_or(text.len());
    let kept = text[..end].replace(['\'', '[', ']', '"', '\\', '$', '`'], "");
    kept.trim().trim_end_matches(',').to_owned()
}

fn zsh(tool: &Help, commands: &[Help]) -> String {
    let mut script = format!(
        "#compdef aio\n# {HEADER}\n_aio() {{\n    local context state line\n    typeset -A opt_args\n    \
         local -a commands=(\n"
    );
    for (name, text) in &tool.commands {
        writeln!(script, "        '{name}:{}'", short_text(text)).unwrap();
    }
    script += "    )\n    _arguments -C \\\n";
    for flag in &tool.flags {
        let (short, long, text) = (flag.short.unwrap(), &flag.long, short_text(&flag.text));
        writeln!(script, "        '(-)'{{-{short},--{long}}}'[{text}]' \\").unwrap();
    }
    script += "        '1:command:->command' '*::argument:->arguments'\n    case $state in\n    \
               command) _describe command commands ;;\n    arguments)\n        case $line[1] in\n        \
               help) _describe command commands ;;\n";
    for help in commands {
        writeln!(script, "        {}) _arguments \\", help.command).unwrap();
        for flag in &help.flags {
            let (long, text) = (&flag.long, short_text(&flag.text));
            write!(script, "            '--{long}").unwrap();
            match &flag.argument {
                None => write!(script, "[{text}]'").unwrap(),
                Some(argument) => {
                    let words = flag.words().join(" ");
                    let words = if words.is_empty() {
                        " ".to_owned()
                    } else {
                        format!("({words})")
                    };
                    write!(script, "=[{text}]:{argument}:{words}'").unwrap();
                }
            }
            script += " \\\n";
        }
        script += if help.command == "who" {
            "            ;;\n"
        } else {
            "            '*:file:_files' ;;\n"
        };
    }
    script += "        esac\n        ;;\n    esac\n}\n_aio \"$@\"\n";
    script.replace(" \\\n            ;;\n", "\n            ;;\n")
}

fn fish(tool: &Help, commands: &[Help]) -> String {
    let mut script = format!("# {HEADER}\n");
    for (name, text) in &tool.commands {
        let text = short_text(text);
        writeln!(
            script,
            "complete -c aio -n __fish_use_subcommand -f -a {name} -d '{text}'"
        )
        .unwrap();
    }
    for flag in &tool.flags {
        let (short, long, text) = (flag.short.unwrap(), &flag.long, short_text(&flag.text));
        writeln!(
            script,
            "complete -c aio -n __fish_use_subcommand -s {short} -l {long} -d '{text}'"
        )
        .unwrap();
    }
    for help in commands {
        let when = format!(
            "complete -c aio -n '__fish_seen_subcommand_from {}'",
            help.command
        );
        for flag in &help.flags {
            write!(script, "{when} -l {}", flag.long).unwrap();
            if let Some(short) = flag.short {
                write!(script, " -s {short}").unwrap();
            }
            let words = flag.words().join(" ");
            match &flag.argument {
                None => {}
                Some(_) if words.is_empty() => script += " -x",
                Some(_) => write!(script, " -x -a '{words}'").unwrap(),
            }
            writeln!(script, " -d '{}'", short_text(&flag.text)).unwrap();
        }
    }
    script
}

fn pages() -> Vec<(PathBuf, String)> {
    let tool = Help::of("");
    let commands = COMMANDS.map(Help::of);
    let mut pages = vec![
        ("completions/aio.bash".into(), bash(&tool, &commands)),
        ("completions/_aio".into(), zsh(&tool, &commands)),
        ("completions/aio.fish".into(), fish(&tool, &commands)),
    ];
    for help in [&tool].into_iter().chain(&commands) {
        pages.push((format!("man/{}.1", help.name()).into(), manual_page(help)));
    }
    pages
}

#[test]
fn the_pages_are_made_from_the_help() {
    let write = std::env::var_os("WRITE_PAGES").is_some();
    for (name, made) in pages() {
        let path = folder().join(&name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &made).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "{name:?} differs: WRITE_PAGES=1 writes it");
    }
}

/// The program prints the texts from which the pages are made, and knows every flag in
/// them, and no other.
#[test]
fn the_help_is_the_text_of_the_pages() {
    for command in [""].into_iter().chain(COMMANDS) {
        let text = text_of(command);
        let arguments = [command, "--help"];
        let shown = stdout(
            &aio(&arguments[usize::from(command.is_empty())..])
                .output()
                .unwrap(),
        );
        assert!(shown == text, "{command}: {shown}");
        let shown = stdout(
            &aio(&["help", command][..1 + usize::from(!command.is_empty())])
                .output()
                .unwrap(),
        );
        assert!(shown == text, "{command}: {shown}");
        assert!(text.lines().all(|line| line.len() <= 80), "{command}");
        for flag in Help::of(command).flags {
            // What follows is wrong, so that nothing is run.
            let long = format!("--{}", flag.long);
            let mut words = vec![command, &long];
            words.retain(|word| !word.is_empty());
            let choices = flag.words();
            if flag.argument.is_some() {
                words.push(choices.first().copied().unwrap_or("1M"));
            }
            words.push("--no-such-flag");
            let output = aio(&words).output().unwrap();
            if flag.long == "help" {
                assert_eq!(output.status.code(), Some(0));
                continue;
            }
            let error = stderr(&output);
            assert!(
                error.contains("unknown flag '--no-such-flag'")
                    || error.contains("is a number")
                    || error.contains("is a list"),
                "{words:?}: {error}"
            );
        }
    }
}

#[test]
fn the_manual_pages_are_valid() {
    if !have(&["groff"]) {
        return;
    }
    for (name, _) in pages().iter().filter(|(name, _)| name.starts_with("man")) {
        let output = Command::new("groff")
            .args(["-mandoc", "-Tutf8", "-ww", "-z"])
            .arg(folder().join(name))
            .output()
            .unwrap();
        assert_eq!(stderr(&output), "", "{name:?}");
    }
}

/// Completes a command line with bash, whose last word is the one to complete.
fn complete(words: &[&str]) -> String {
    let script = format!(
        "source {}/completions/aio.bash; COMP_WORDS=({}); COMP_CWORD={}; _aio; \
         echo \"${{COMPREPLY[@]}}\"",
        folder().display(),
        words
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<_>>()
            .join(" "),
        words.len() - 1
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "");
    stdout(&output).trim().to_owned()
}

#[test]
fn bash_completes_commands_flags_and_words() {
    assert_eq!(complete(&["aio", "p"]), "probe");
    assert_eq!(complete(&["aio", "help", "w"]), "who");
    assert_eq!(complete(&["aio", "copy", "--en"]), "--engine");
    assert_eq!(
        complete(&["aio", "copy", "--engine", ""]),
        "aio kernel auto"
    );
    assert_eq!(complete(&["aio", "copy", "--sparse", "a"]), "auto always");
    assert_eq!(complete(&["aio", "who", "--w"]), "--watch");
    // A file name is left to bash.
    assert_eq!(complete(&["aio", "copy", "x"]), "");
}
