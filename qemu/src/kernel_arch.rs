//! The architectures for which kernels are built, one row each.

use std::env::consts::ARCH;

use anyhow::{Result, bail};

/// An architecture under the name that the kernel's build uses.
pub(crate) struct KernelArch {
    pub(crate) arch: &'static str,
    pub(crate) package: &'static str,
    pub(crate) image: &'static str,
}

impl KernelArch {
    /// Returns the architecture with this Debian name. Debian has none for riscv32.
    pub(crate) fn of(arch: &str) -> Result<KernelArch> {
        let (arch, package, image) = match arch {
            "amd64" => ("x86_64", "x86-64-linux-gnu", "arch/x86/boot/bzImage"),
            "arm64" => ("arm64", "aarch64-linux-gnu", "arch/arm64/boot/Image"),
            "m68k" => ("m68k", "m68k-linux-gnu", "vmlinux"),
            // One compiler serves both widths, here and below.
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

    /// Returns the prefix of the compiler's program names. (A package's name has no
    /// `_`.)
    pub(crate) fn prefix(&self) -> String {
        self.package.replace("x86-64", "x86_64")
    }

    /// Returns whether this machine's own compiler serves.
    pub(crate) fn is_native(&self) -> bool {
        self.prefix().split('-').next() == Some(ARCH)
    }
}
