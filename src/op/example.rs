//! The examples, in the documentation, of methods that several operations have.

/// Returns the example of a method that several operations have, for the documentation.
macro_rules! example {
    (Read, offset) => {
        example!("use linux_aio::op::Read;\n",
            "File::open(\"/proc/self/exe\")",
            "Read::new(&file, vec![0; 3]).offset(1)",
            "assert_eq!(done.buffer.unwrap(), b\"ELF\");")
    };
    (Write, offset) => {
        example!("use linux_aio::op::Write;\n",
            "File::create(\"/dev/null\")",
            "Write::new(&file, vec![0; 512]).offset(4096)",
            "assert_eq!(done.result, Ok(512));")
    };
    (Read, rw_flags) => {
        example!("use linux_aio::abi::RwFlags;\nuse linux_aio::op::Read;\n",
            "File::open(\"/proc/self/exe\")",
            "Read::new(&file, vec![0; 512]).rw_flags(RwFlags::NOWAIT)",
            "match done.result {\n\
            \x20   Ok(bytes) => println!(\"{bytes} bytes from the page cache\"),\n\
            \x20   Err(errno) => println!(\"the read would block, or the flag is unknown: {errno}\"),\n\
            }")
    };
    (Write, rw_flags) => {
        example!("use linux_aio::abi::RwFlags;\nuse linux_aio::op::Write;\n",
            "File::create(\"/dev/null\")",
            "Write::new(&file, vec![0; 512]).rw_flags(RwFlags::DSYNC)",
            "# if done.refused { return Ok(()) }\n\
            // The data are on the disk.\n\
            assert_eq!(done.result, Ok(512));")
    };
    (Read, ioprio) => {
        example!("use linux_aio::op::Read;\nuse linux_aio::opcode::IoPriority;\n",
            "File::open(\"/proc/self/exe\")",
            "Read::new(&file, vec![0; 512]).ioprio(IoPriority::idle())",
            "# if done.refused { return Ok(()) }\n\
            assert_eq!(done.result, Ok(512));")
    };
    (Write, ioprio) => {
        example!("use linux_aio::op::Write;\nuse linux_aio::opcode::IoPriority;\n",
            "File::create(\"/dev/null\")",
            "Write::new(&file, vec![0; 512]).ioprio(IoPriority::idle())",
            "# if done.refused { return Ok(()) }\n\
            assert_eq!(done.result, Ok(512));")
    };
    ($name:ident, new) => {
        example!(example!(use $name), "File::open(\"/proc/self/exe\")",
            example!($name, "new(&file"),
            "# if done.refused { return Ok(()) }\n\
            assert!(done.result.is_ok());")
    };
    ($name:ident, data) => {
        example!(example!(use $name), "File::open(\"/proc/self/exe\")",
            concat!(example!($name, "new(&file"), ".data(\"the program\")"),
            "assert_eq!(done.data, \"the program\");")
    };
    ($name:ident, owned) => {
        example!(example!(use $name), "File::open(\"/proc/self/exe\")",
            example!($name, "owned(file"),
            "let file: File = done.data;")
    };
    ($name:ident, owned_data) => {
        example!(example!(use $name), "File::open(\"/proc/self/exe\")",
            concat!(example!($name, "owned(file"), ".data(\"the program\")"),
            "let (file, name): (File, &str) = done.data;")
    };
    // An operation on a file, by a constructor.
    (Read, $new:literal) => { concat!("Read::", $new, ", vec![0; 4])") };
    (Write, $new:literal) => { concat!("Write::", $new, ", vec![0; 4])") };
    (Op, $new:literal) => { concat!("Op::from(Read::", $new, ", vec![0; 4]))") };
    (Poll, $new:literal) => { concat!("Poll::", $new, ", PollMask::IN)") };
    ($name:ident, $new:literal) => { concat!(stringify!($name), "::", $new, ")") };
    (use Op) => { "use linux_aio::op::{Op, Read};\n" };
    (use Poll) => { "use linux_aio::op::Poll;\nuse linux_aio::opcode::PollMask;\n" };
    (use $name:ident) => { concat!("use linux_aio::op::", stringify!($name), ";\n") };
    ($imports:expr, $file:literal, $operation:expr, $check:literal) => {
        concat!(
            "# Examples\n```\n",
            "# #[cfg(not(feature = \"std\"))] fn main() {}\n",
            "# #[cfg(feature = \"std\")] fn main() -> Result<(), linux_aio::Errno> {\n",
            "use linux_aio::Queue;\n",
            $imports,
            "use std::fs::File;\n\n",
            "# if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }\n",
            "let file = ", $file, ".unwrap();\n",
            "let mut queue = Queue::<Vec<u8>, _>::with_capacity(4)?;\n",
            "queue.push(", $operation, ").unwrap();\n",
            "let done = queue.wait()?.unwrap();\n",
            $check,
            "\n# Ok(())\n# }\n```",
        )
    };
}
