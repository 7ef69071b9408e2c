//! The architectures that kernels are built for: a row each.

use std::env::consts::ARCH;

use anyhow::{Result, bail};

/// An architecture as the kernel's build knows it.
pub(crate) struct KernelArch {
    pub(crate) arch: &'static str,
    pub(crate) package: &'static str,
    pub(crate) image: &'static str,
}

impl KernelArch {
    /// By Debian's name; for riscv32 it has none.
    pub(crate) fn of(arch: &str) -> Result<KernelArch> {
        let (arch, package, image) = match arch {
            "amd64" => ("x86_64", "x86-64-linux-gnu", "arch/x86/boot/bzImage"),
            "arm64" => ("arm64", "aarch64-linux-gnu", "arch/arm64/boot/Image"),
            "m68k" => ("m68k", "m68k-linux-gnu", "vmlinux"),
            // One compiler for both widths, here and below.
            "mips" | "mips64" => ("mips", "mips-linux-gnu", "vmlinux"),
            "powerpc" | "ppc64" => ("powerpc", "powerpc64-linux-gnu", "vmlinux"),
            "riscv32" => ("riscv", "riscv64-linux-gnu", "arch/riscv/boot/Image"),
            "sparc64" => ("sparc64", "sparc64-linux-gnu", "vmlinux"),
            _ => bail!("no kernel is built for {arch}"),
        };
        Ok(KernelArch {
            arch,
            package,
            image,
        })
    }

    /// What the programs' names begin with; a package's name has no `_`.
    pub(crate) fn prefix(&self) -> String {
        self.package.replace("x86-64", "x86_64")
    }

    /// This machine's own compiler serves.
    pub(crate) fn is_native(&self) -> bool {
        self.prefix().split('-').next() == Some(ARCH)
    }
}
