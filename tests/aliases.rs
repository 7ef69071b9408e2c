//! A search of the documentation for a name of libaio, of POSIX AIO or of the kernel's
//! header finds the item that replaces it: the item has that name, or `doc(alias)` does.
//! `docs/migrating.md` has the names of the first two as well.

#[path = "support/skip.rs"]
mod skip;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The functions, types and constants of `libaio.h`.
const LIBAIO: &[&str] = &[
    "io_callback_t",
    "io_cancel",
    "io_context_t",
    "io_destroy",
    "io_event",
    "io_fsync",
    "io_fdsync",
    "io_getevents",
    "io_pgetevents",
    "io_poll",
    "io_prep_fdsync",
    "io_prep_fsync",
    "io_prep_poll",
    "io_prep_pread",
    "io_prep_preadv",
    "io_prep_preadv2",
    "io_prep_pwrite",
    "io_prep_pwritev",
    "io_prep_pwritev2",
    "io_queue_init",
    "io_queue_release",
    "io_queue_run",
    "io_queue_wait",
    "io_set_callback",
    "io_set_eventfd",
    "io_setup",
    "io_sigset",
    "io_sigset_compat",
    "io_submit",
    "iocb",
    "io_iocb_cmd",
    "io_iocb_cmd_t",
    "io_iocb_common",
    "io_iocb_poll",
    "io_iocb_vector",
    "IO_CMD_FDSYNC",
    "IO_CMD_FSYNC",
    "IO_CMD_NOOP",
    "IO_CMD_POLL",
    "IO_CMD_PREAD",
    "IO_CMD_PREADV",
    "IO_CMD_PWRITE",
    "IO_CMD_PWRITEV",
];

/// The functions, types and constants of POSIX AIO (`aio.h`).
const POSIX: &[&str] = &[
    "aio_cancel",
    "aio_error",
    "aio_fsync",
    "aio_init",
    "aio_read",
    "aio_return",
    "aio_suspend",
    "aio_write",
    "aiocb",
    "lio_listio",
    "sigevent",
    "AIO_ALLDONE",
    "AIO_CANCELED",
    "AIO_NOTCANCELED",
    "LIO_NOWAIT",
    "LIO_READ",
    "LIO_WAIT",
    "LIO_WRITE",
    "aio_buf",
    "aio_fildes",
    "aio_lio_opcode",
    "aio_nbytes",
    "aio_offset",
    "aio_reqprio",
    "aio_sigevent",
];

/// The types, fields and constants of `linux/aio_abi.h`, and the flags of `linux/fs.h`.
const KERNEL: &[&str] = &[
    "aio_context_t",
    "io_event",
    "iocb",
    "aio_buf",
    "aio_data",
    "aio_fildes",
    "aio_flags",
    "aio_key",
    "aio_lio_opcode",
    "aio_nbytes",
    "aio_offset",
    "aio_reqprio",
    "aio_reserved2",
    "aio_resfd",
    "aio_rw_flags",
    "IOCB_CMD_FDSYNC",
    "IOCB_CMD_FSYNC",
    "IOCB_CMD_NOOP",
    "IOCB_CMD_POLL",
    "IOCB_CMD_PREAD",
    "IOCB_CMD_PREADV",
    "IOCB_CMD_PWRITE",
    "IOCB_CMD_PWRITEV",
    "IOCB_FLAG_IOPRIO",
    "IOCB_FLAG_RESFD",
    "RWF_APPEND",
    "RWF_ATOMIC",
    "RWF_DONTCACHE",
    "RWF_DSYNC",
    "RWF_HIPRI",
    "RWF_NOAPPEND",
    "RWF_NOWAIT",
    "RWF_SUPPORTED",
    "RWF_SYNC",
    "__aio_sigset",
];

/// Names without a counterpart, with the reason.
const NONE: &[(&str, &str)] = &[("io_iocb_sockaddr", "no kernel has a command that uses it")];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// Returns the aliases of the library's items, and the names of its public ones.
fn searchable() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut names = BTreeSet::new();
    for file in files {
        let text = read(file);
        let code = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        let mut rest = code.as_str();
        while let Some((_, after)) = rest.split_once("doc(alias") {
            // The strings up to the end of the attribute.
            let (attribute, after) = after.split_once(']').unwrap();
            names.extend(attribute.split('"').skip(1).step_by(2).map(str::to_owned));
            rest = after;
        }
        for line in code.lines() {
            let Some(item) = line.strip_prefix("pub ") else {
                continue;
            };
            let words = item.split(|c: char| !c.is_alphanumeric() && c != '_');
            let kinds = ["unsafe", "const", "extern", "fn", "struct", "enum", "type"];
            names.extend(
                words
                    .into_iter()
                    .find(|word| !kinds.contains(word))
                    .map(str::to_owned),
            );
        }
    }
    names
}

/// Returns the words of a C header, without its comments.
fn words(header: &str) -> BTreeSet<String> {
    let mut code = String::new();
    for part in header.split("/*") {
        let outside = part.split_once("*/").map_or(part, |(_, outside)| outside);
        code += outside;
        code.push(' ');
    }
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_search_finds_each_name_of_the_c_interfaces() {
    let found = searchable();
    let names = [LIBAIO, POSIX, KERNEL].concat();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(
        missing.is_empty(),
        "neither an item nor an alias: {missing:?}"
    );
    for (name, why) in NONE {
        assert!(
            !found.contains(*name),
            "{name} has a counterpart, although {why}"
        );
    }
}

#[test]
fn the_page_on_migrating_has_each_name() {
    let page = read("docs/migrating.md");
    let words: BTreeSet<_> = page
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let names = [LIBAIO, POSIX].concat();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !words.contains(**name))
        .collect();
    assert!(missing.is_empty(), "not in docs/migrating.md: {missing:?}");
}

#[test]
fn the_lists_have_each_name_of_the_headers() {
    let listed: BTreeSet<&str> = [LIBAIO, KERNEL].concat().into_iter().collect();
    let without = |name: &str| NONE.iter().any(|(none, _)| *none == name);
    let mut missing = Vec::new();
    let mut check = |path: &str, is_name: fn(&str) -> bool| {
        let words = words(&read(path));
        let names: Vec<_> = words.iter().filter(|word| is_name(word)).collect();
        assert!(names.len() > 5, "{path} has only {names:?}");
        for name in names {
            if !listed.contains(name.as_str()) && !without(name) {
                missing.push(format!("{path}: {name}"));
            }
        }
    };
    // `io_context` is the incomplete structure behind `io_context_t`.
    check("capi/include/libaio.h", |word| {
        (word.starts_with("io_") && word != "io_context") || word.starts_with("IO_CMD_")
    });
    for (path, is_name) in [
        (
            "linux/aio_abi.h",
            (|word| word.starts_with("aio_") || word.starts_with("IOCB_")) as fn(&str) -> bool,
        ),
        ("linux/fs.h", |word| word.starts_with("RWF_")),
    ] {
        let path = format!("/usr/include/{path}");
        if Path::new(&path).exists() {
            check(&path, is_name);
        } else {
            skip::skip(&format!("no {path}"));
        }
    }
    assert!(missing.is_empty(), "in no list of this test: {missing:#?}");
}
