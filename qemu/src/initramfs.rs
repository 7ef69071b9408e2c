//! The initial file system of a kernel: the program as `/init`, its instructions as
//! `/plan`, and the modules that it loads.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// The parameters of null_blk, a disk with a constant delay: it completes each
/// operation after 100 ms, by a timer, and keeps written data.
const LATE: &str = "irqmode=2 completion_nsec=100000000 memory_backed=1 gb=1";

pub(crate) struct Initramfs {
    files: Vec<(String, u32, Vec<u8>)>,
    plan: String,
}

impl Initramfs {
    pub(crate) fn new(program: Vec<u8>) -> Initramfs {
        Initramfs {
            files: vec![("init".to_owned(), 0o755, program)],
            plan: String::new(),
        }
    }

    pub(crate) fn program(&mut self, name: &str, program: Vec<u8>) {
        self.files.push((name.to_owned(), 0o755, program));
    }

    pub(crate) fn module(&mut self, file: String, module: Vec<u8>) {
        let parameters = if file == "null_blk.ko" { LATE } else { "" };
        self.add_line(&format!("module /{file} {parameters}"));
        self.files.push((file, 0o644, module));
    }

    /// Appends a line to the plan.
    pub(crate) fn add_line(&mut self, line: &str) {
        self.plan += line.trim_end();
        self.plan.push('\n');
    }

    pub(crate) fn pack(mut self) -> Result<Vec<u8>> {
        let plan = self.plan.into_bytes();
        self.files.push(("plan".to_owned(), 0o644, plan));
        let mut archive = Vec::new();
        for (inode, (name, mode, content)) in (1..).zip(&self.files) {
            let entry = cpio::newc::Builder::new(name)
                .ino(inode)
                .mode(0o100_000 | mode)
                .nlink(1);
            let mut writer = entry.write(archive, u32::try_from(content.len())?);
            std::io::Write::write_all(&mut writer, content)?;
            archive = writer.finish()?;
        }
        Ok(cpio::newc::trailer(archive)?)
    }
}

/// Packs the programs of a folder and its subfolders, without links, as an initial file
/// system. The folder contains `init`.
pub(crate) fn packed(folder: &Path) -> Result<Vec<u8>> {
    let (mut archive, mut inode) = (Vec::new(), 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(&inside)? {
            let path = entry?.path();
            let (mode, content) = if path.is_dir() {
                folders.push(path.clone());
                (0o040_755, Vec::new())
            } else {
                (0o100_755, fs::read(&path)?)
            };
            inode += 1;
            let name = path.strip_prefix(folder)?.to_string_lossy();
            let entry = cpio::newc::Builder::new(&name)
                .ino(inode)
                .mode(mode)
                .nlink(1);
            let mut writer = entry.write(archive, u32::try_from(content.len())?);
            std::io::Write::write_all(&mut writer, &content)?;
            archive = writer.finish()?;
        }
    }
    Ok(cpio::newc::trailer(archive)?)
}

/// Returns the parameters for the command line of a kernel with null_blk built in.
pub(crate) fn late_words() -> String {
    let words = LATE.split_whitespace();
    words.map(|word| format!(" null_blk.{word}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_can_be_read_back() {
        let mut files = Initramfs::new(b"program".to_vec());
        files.module("a.ko".to_owned(), b"module".to_vec());
        files.add_line("disk /dev/vda");
        let archive = files.pack().unwrap();
        let mut rest: &[u8] = &archive;
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            std::io::Read::read_to_string(&mut reader, &mut content).unwrap();
            seen.push((reader.entry().name().to_owned(), content));
            rest = reader.finish().unwrap();
        }
        let want = [
            ("init", "program"),
            ("a.ko", "module"),
            ("plan", "module /a.ko\ndisk /dev/vda\n"),
        ];
        assert_eq!(seen, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
