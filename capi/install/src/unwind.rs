//! Repairs the table for unwinding in an object that GNU ld has linked with `-r` and
//! `--gc-sections` for riscv64.
//!
//! There ld (2.40 to 2.44) copies `.eh_frame` whole, with the entries of functions that
//! it has removed, and adds the size of the section to the offset of each relocation. The
//! final link then rejects the table. This module subtracts the size again. It turns the
//! entry (FDE) of a removed function, whose relocation ld has turned into the one that
//! does nothing, into a copy of the entry (CIE) that it refers to: nothing refers to that
//! copy, and the final link removes it.
//!
//! Only the ELF format with 64 bits, little-endian, is read. Source: the System V ABI and
//! the Linux Standard Base, "Exception Frames".

use anyhow::{Context, Result, bail};

const RELA: usize = 24;

/// A section's offset in the file and its size.
#[derive(Clone, Copy)]
struct Section {
    at: usize,
    size: usize,
}

/// Repairs an object, if it is one of those.
pub(crate) fn repair(object: &mut [u8]) -> Result<()> {
    // ELF, 64 bits, little-endian.
    if object.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    let (Some(frames), Some(relocations)) = (
        section(object, ".eh_frame")?,
        section(object, ".rela.eh_frame")?,
    ) else {
        return Ok(());
    };
    let rows: Vec<usize> = (0..relocations.size / RELA)
        .map(|row| relocations.at + row * RELA)
        .collect();
    let mut removed = Vec::new();
    for &row in &rows {
        let offset = word(object, row)?;
        if offset < frames.size {
            // This linker does it right.
            return Ok(());
        }
        let offset = offset - frames.size;
        put(object, row, &(offset as u64).to_le_bytes())?;
        // The kind is in the lower half.
        if half(object, row + 8)? == 0 {
            removed.push(offset);
        }
    }
    for offset in removed {
        // The relocation is that of the entry's third word, the function's address.
        let entry = offset.checked_sub(8).context("a relocation of no entry")?;
        remove(object, frames, entry)?;
    }
    Ok(())
}

/// Turns the FDE at this offset of the section into a copy of its CIE.
fn remove(object: &mut [u8], frames: Section, entry: usize) -> Result<()> {
    let at = frames.at + entry;
    let (length, distance) = (half(object, at)?, half(object, at + 4)?);
    let cie = (entry + 4)
        .checked_sub(distance)
        .context("an FDE without CIE")?;
    let cie = frames.at + cie;
    let cie_length = half(object, cie)?;
    let contents = object.get(cie + 4..cie + 4 + cie_length);
    let mut contents = contents.context("a CIE beyond the end")?.to_vec();
    // A CIE ends with instructions that do nothing (zeros), as many as it takes.
    while contents.len() > length && contents.last() == Some(&0) {
        contents.pop();
    }
    if distance == 0 || contents.len() > length {
        bail!("the FDE at {entry:#x} has no space for its CIE");
    }
    contents.resize(length, 0);
    put(object, at + 4, &contents)
}

fn section(object: &[u8], name: &str) -> Result<Option<Section>> {
    let (table, size) = (word(object, 0x28)?, quarter(object, 0x3a)?);
    let (count, names) = (quarter(object, 0x3c)?, quarter(object, 0x3e)?);
    let names = word(object, table + names * size + 0x18)?;
    for header in (0..count).map(|index| table + index * size) {
        let at = names + half(object, header)?;
        let end = at + name.len();
        if object.get(at..end) == Some(name.as_bytes()) && object.get(end) == Some(&0) {
            return Ok(Some(Section {
                at: word(object, header + 0x18)?,
                size: word(object, header + 0x20)?,
            }));
        }
    }
    Ok(None)
}

fn bytes<const N: usize>(object: &[u8], at: usize) -> Result<[u8; N]> {
    let bytes = object.get(at..).and_then(|rest| rest.first_chunk());
    bytes.copied().context("the object is truncated")
}

fn word(object: &[u8], at: usize) -> Result<usize> {
    Ok(usize::try_from(u64::from_le_bytes(bytes(object, at)?))?)
}

fn half(object: &[u8], at: usize) -> Result<usize> {
    Ok(u32::from_le_bytes(bytes(object, at)?) as usize)
}

fn quarter(object: &[u8], at: usize) -> Result<usize> {
    Ok(u16::from_le_bytes(bytes(object, at)?).into())
}

fn put(object: &mut [u8], at: usize, bytes: &[u8]) -> Result<()> {
    let place = object.get_mut(at..at + bytes.len());
    place
        .context("the object is truncated")?
        .copy_from_slice(bytes);
    Ok(())
}
