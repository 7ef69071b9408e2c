//! The linker script of a compact program, which contains the file and program headers.
//!
//! LLVM's linker writes a file of the binary format: the bytes of the sections, and no
//! section headers, which take 64 bytes each and of which the kernel reads none. The
//! headers that it does read are data in the script. A program has two segments, code with
//! constants and variables, and a stack that is not executable.
//!
//! | offset | |
//! |---|---|
//! | 0 | file header |
//! | 64 (52) | program headers: `PT_LOAD`, `PT_GNU_STACK`, and `PT_LOAD` for the variables, if there are any |
//! | behind them | constants, code |
//! | the next page | initial values of variables, if one is not zero |
//!
//! In this format, the distance of two sections is the same in the file and in memory, so
//! a variable with an initial value pads the file to a page.
//!
//! Sources: the ELF generic ABI, "ELF Header" and "Program Header"; the kernel's
//! `fs/binfmt_elf.c`.

/// The parts of the file header that depend on the architecture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    is_64_bit: bool,
    is_big_endian: bool,
    /// `e_machine`.
    number: u16,
    /// `e_flags`, for the floating-point ABI of `-gnu` and `-musl`.
    flags: u32,
    /// The largest page of any kernel.
    page: u64,
}

/// The address of a program that is not position-independent.
const FIXED: u64 = 0x20_0000;

const PT_LOAD: u32 = 1;
const PT_GNU_STACK: u32 = 0x6474_e551;

const READ_EXECUTE: u32 = 5;
const READ_WRITE: u32 = 6;

/// Whether the program has variables. A mapping of size zero is not needed.
const HAS_VARIABLES: &str = "(SIZEOF(.data) + SIZEOF(.bss))";

/// Sections that are not in the file. Some of them have to be empty.
const UNUSED: &str = "
  .dynstr (INFO) : { *(.dynstr) }
  .rela.dyn : { *(.rela.dyn .rel.dyn) }
  .tdata : { *(.tdata .tdata.*) }
  .tbss : { *(.tbss .tbss.*) }
  .preinit_array : { *(.preinit_array .preinit_array.*) }
  .init_array : { *(.init_array .init_array.*) }
  .ctors : { *(.ctors .ctors.*) }
  .symtab 0 : { *(.symtab) }
  .strtab 0 : { *(.strtab) }
  .shstrtab 0 : { *(.shstrtab) }
  /DISCARD/ : { *(.dynsym .hash .dynamic .relro_padding) *(.debug_* .note* .eh_frame)
                *(.riscv.attributes) }
  ASSERT(SIZEOF(.rela.dyn) == 0, \"a constant has an address in it (a panic message, a table of functions): the linker cannot make this program compact and position-independent. `fixed_address()` makes it compact\")
";

impl Machine {
    /// Returns the values for an architecture, by cargo's name of it. `None` where no
    /// program in this form was run.
    pub(crate) fn of(arch: &str, pointer_width: &str) -> Option<Machine> {
        let machine = |is_64_bit, number, flags| Machine {
            is_64_bit,
            is_big_endian: false,
            number,
            flags,
            page: 0x1000,
        };
        match (arch, pointer_width) {
            ("x86_64", "64") => Some(machine(true, 62, 0)),
            ("x86", "32") => Some(machine(false, 3, 0)),
            ("aarch64", "64") => Some(Machine {
                page: 0x1_0000,
                ..machine(true, 183, 0)
            }),
            // Compressed instructions, and floating-point registers of 64 bits.
            ("riscv64", "64") => Some(machine(true, 243, 5)),
            ("s390x", "64") => Some(Machine {
                is_big_endian: true,
                ..machine(true, 22, 0)
            }),
            _ => None,
        }
    }

    fn file_header_size(self) -> u64 {
        if self.is_64_bit { 64 } else { 52 }
    }

    fn program_header_size(self) -> u64 {
        if self.is_64_bit { 56 } else { 32 }
    }

    /// Returns the command for a word with the size of an address.
    fn word(self, expression: &str) -> String {
        if self.is_64_bit {
            format!("QUAD({expression})")
        } else {
            format!("LONG({expression})")
        }
    }

    /// Returns the commands for the file header.
    fn file_header(self, position_independent: bool) -> String {
        let class = if self.is_64_bit { 2 } else { 1 };
        let order = if self.is_big_endian { 2 } else { 1 };
        let kind = if position_independent { 3 } else { 2 };
        let Machine { number, flags, .. } = self;
        format!(
            "BYTE(0x7f) BYTE(0x45) BYTE(0x4c) BYTE(0x46) BYTE({class}) BYTE({order}) BYTE(1) BYTE(0)\n    \
             LONG(0) LONG(0) SHORT({kind}) SHORT({number}) LONG(1)\n    \
             {entry} {headers} {sections}\n    \
             LONG({flags}) SHORT({size}) SHORT({header}) SHORT({HAS_VARIABLES} ? 3 : 2)\n    \
             SHORT(0) SHORT(0) SHORT(0)\n    ",
            entry = self.word("__linux_aio_start"),
            headers = self.word(&self.file_header_size().to_string()),
            sections = self.word("0"),
            size = self.file_header_size(),
            header = self.program_header_size(),
        )
    }

    /// Returns the commands for a program header.
    fn program_header(
        self,
        kind: u32,
        flags: u32,
        [offset, address, file_size, size]: [&str; 4],
        align: u64,
    ) -> String {
        let align = align.to_string();
        let words = [offset, address, address, file_size, size].map(|word| self.word(word));
        let align = self.word(&align);
        // The flags have another place in 64-bit files.
        if self.is_64_bit {
            format!(
                "LONG({kind}) LONG({flags}) {} {align}\n    ",
                words.join(" ")
            )
        } else {
            format!(
                "LONG({kind}) {} LONG({flags}) {align}\n    ",
                words.join(" ")
            )
        }
    }

    /// Returns the script. `checks` are the parts that every program has.
    pub(crate) fn script(self, position_independent: bool, checks: &str) -> String {
        let base = if position_independent { 0 } else { FIXED };
        let page = self.page;
        let image = &format!("ADDR(.text) + SIZEOF(.text) - {base}");
        let file_header = self.file_header(position_independent);
        let image_header = self.program_header(
            PT_LOAD,
            READ_EXECUTE,
            ["0", &base.to_string(), image, image],
            page,
        );
        let stack_header = self.program_header(PT_GNU_STACK, READ_WRITE, ["0"; 4], 16);
        let start = "ADDR(.data)";
        let variables_header = self.program_header(
            PT_LOAD,
            READ_WRITE,
            [
                &format!("SIZEOF(.data) ? {start} - {base} : 0"),
                start,
                "SIZEOF(.data)",
                &format!("ADDR(.bss) + SIZEOF(.bss) - {start}"),
            ],
            page,
        );
        let two = base + (self.file_header_size() + 2 * self.program_header_size());
        let three = two + self.program_header_size();
        format!(
            "OUTPUT_FORMAT(binary)
SECTIONS
{{
{checks}
  /* Without variables, the first bytes of the file, which the next section overwrites. */
  . = {HAS_VARIABLES} ? {two} : {base};
  .variables_header : {{
    {variables_header}
  }}
  . = {base};
  .headers : {{
    {file_header}
    {image_header}
    {stack_header}
  }}
  . = {HAS_VARIABLES} ? {three} : {two};
  .text : {{
    *(.rodata .rodata.* .data.rel.ro .data.rel.ro.* .got .got.*)
    *(.text .text.*)
  }}
  . = ALIGN({page});
  .data : {{ *(.data .data.* .sdata .sdata.*) }}
  .bss : {{ *(.sbss .sbss.* .bss .bss.* COMMON) }}
{UNUSED}}}
"
        )
    }
}
