//! Boots kernels with a program as the first process that follows a plan
//! (`examples/static/src/bin/init.rs`): it copies an image to the disk, and verifies the
//! copy. This tool compares the disk afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::boot::Machine;
use crate::cache::{Cache, target_folder};
use crate::disk::{Disk, filled};
use crate::kernels::Kernel;
use crate::targets::Table;

/// The length of the image, which is no whole number of blocks or sectors.
const IMAGE: u64 = (3 << 20) + 1000;

#[derive(Args)]
pub(crate) struct Init {
    /// A kernel of `cargo qemu list --kernels` and the program for it: KERNEL=PROGRAM
    #[arg(required = true, value_name = "KERNEL=PROGRAM")]
    pairs: Vec<String>,
}

/// Boots each kernel, and prints a line for each and the sum.
pub(crate) fn boot_all(table: &Table, options: &Init) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let mut failed = 0;
    for pair in &options.pairs {
        let (name, program) = pair.split_once('=').context("KERNEL=PROGRAM")?;
        let begin = Instant::now();
        let copied = table
            .kernels_named(&[name.to_owned()], false)?
            .first()
            .context("no kernel")
            .and_then(|kernel| boot(&cache, kernel, Path::new(program)));
        let took = begin.elapsed().as_secs_f32();
        match copied {
            Ok(()) => println!("passed  {name} {took:.1} s"),
            Err(error) => {
                failed += 1;
                println!("FAILED  {name} {took:.1} s: {error:#}");
            }
        }
    }
    println!("{} passed, {failed} failed", options.pairs.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn boot(cache: &Cache, kernel: &Kernel, program: &Path) -> Result<()> {
    let folder: PathBuf = target_folder()?.join("qemu/init").join(&kernel.name);
    let machine = Machine::new(cache, kernel, false, &folder)?;
    let device = machine.device().context("it has no disk")?;
    let image = filled(IMAGE);
    let mut files = machine.initramfs(program, &["order"])?;
    files.program("image", image.clone());
    files.add_line(&format!("copy /image {device}"));
    let initramfs = machine.folder().join("initramfs");
    fs::write(&initramfs, files.pack()?)?;
    let disk = Disk::create(&machine.folder().join("disk"))?;
    let mut qemu = machine.command(&initramfs);
    let backend = format!("file={},format=raw", disk.path.display());
    qemu.args(["-drive", &machine.drive(&backend)]);
    let output = machine.run(qemu)?.map_err(anyhow::Error::msg)?;
    let wanted = [
        format!("copied {IMAGE} bytes"),
        format!("verified {IMAGE} bytes"),
        "done".to_owned(),
    ];
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    for line in &wanted {
        ensure!(
            lines.contains(&line.as_str()),
            "no line {line:?} in:\n{output}"
        );
    }
    let written = fs::read(&disk.path)?;
    let there = written.get(..image.len()).context("a short disk")?;
    let first = there
        .iter()
        .zip(&image)
        .position(|(there, image)| there != image);
    ensure!(first.is_none(), "the disk differs from byte {first:?} on");
    disk.remove()
}
