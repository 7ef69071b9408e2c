//! libaio's exported symbols and their versions.
//!
//! Source: `objdump -T` of Debian's libaio1 0.3.113-4, and for the last node,
//! which only 32-bit libraries have, of libaio1t64 0.3.113-10.

/// One function as a program's linker sees it.
pub(crate) struct Symbol {
    /// What `linux-aio-capi` calls it.
    pub(crate) rust: &'static str,
    /// What programs call it.
    pub(crate) name: &'static str,
    /// The version node.
    pub(crate) node: &'static str,
    /// Whether it is what a newly linked program gets, and not the old
    /// generation that programs linked long ago go on using.
    pub(crate) current: bool,
}

const fn new(name: &'static str, node: &'static str) -> Symbol {
    Symbol {
        rust: name,
        name,
        node,
        current: true,
    }
}

const fn old(rust: &'static str, name: &'static str) -> Symbol {
    Symbol {
        rust,
        name,
        node: "LIBAIO_0.1",
        current: false,
    }
}

const COMMON: [Symbol; 13] = [
    new("io_queue_init", "LIBAIO_0.1"),
    new("io_queue_release", "LIBAIO_0.1"),
    new("io_queue_run", "LIBAIO_0.1"),
    new("io_submit", "LIBAIO_0.1"),
    old("io_cancel_0_1", "io_cancel"),
    old("io_getevents_0_1", "io_getevents"),
    old("io_queue_wait_0_1", "io_queue_wait"),
    new("io_cancel", "LIBAIO_0.4"),
    new("io_destroy", "LIBAIO_0.4"),
    new("io_getevents", "LIBAIO_0.4"),
    new("io_queue_wait", "LIBAIO_0.4"),
    new("io_setup", "LIBAIO_0.4"),
    new("io_pgetevents", "LIBAIO_0.5"),
];

/// The functions that others call by their symbols, which `src/symbol.rs` declares with
/// this prefix.
pub(crate) const CALLED: [&str; 4] = ["io_setup", "io_destroy", "io_cancel", "io_getevents"];
pub(crate) const CALLED_PREFIX: &str = "linux_aio_symbol_";

const TIME64: [Symbol; 2] = [
    new("io_getevents_time64", "LIBAIO_0.6"),
    new("io_pgetevents_time64", "LIBAIO_0.6"),
];

/// Each node takes over from the one before it.
const NODES: [&str; 4] = ["LIBAIO_0.1", "LIBAIO_0.4", "LIBAIO_0.5", "LIBAIO_0.6"];

/// Returns the symbols of a library for pointers of this width.
pub(crate) fn symbols(bits: u32) -> impl Iterator<Item = &'static Symbol> + Clone {
    let time64: &[Symbol] = if bits == 32 { &TIME64 } else { &[] };
    COMMON.iter().chain(time64)
}

/// Returns the linker's version script. Debian's libraries have all nodes on every
/// architecture; the last one is empty on 64 bits.
pub(crate) fn version_script(bits: u32) -> String {
    let mut script = String::new();
    let mut before = String::new();
    for node in NODES {
        script += &format!("{node} {{\n");
        let names: Vec<_> = symbols(bits).filter(|symbol| symbol.node == node).collect();
        if !names.is_empty() {
            script += "global:\n";
        }
        for symbol in names {
            script += &format!("    {};\n", symbol.name);
        }
        if before.is_empty() {
            script += "local:\n    *;\n";
        }
        script += &format!("}}{before};\n");
        before = format!(" {node}");
    }
    script
}
