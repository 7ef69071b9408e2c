//! Kernel modules, unpacked and sorted so that each follows its dependencies.
//!
//! Debian's packages have no `modules.dep`, so the dependencies are read from each
//! module.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Returns a module's name. The kernel treats `-` and `_` in these names as the same.
pub(crate) fn name(file: &str) -> Option<String> {
    let stem = file.split_once(".ko").map(|(stem, _)| stem)?;
    Some(stem.replace('-', "_"))
}

/// Returns whether a module is a disk driver or a dependency of one. Other modules are
/// not unpacked.
pub(crate) fn is_of_interest(path: &Path) -> bool {
    let path = path.to_string_lossy();
    [
        "/drivers/block/",
        "/drivers/virtio/",
        "/drivers/nvme/",
        "/drivers/ata/",
        "/drivers/scsi/",
        "/fs/configfs/",
        "/fs/ext4/",
        "/fs/jbd2/",
        "/fs/mbcache",
        "/lib/crc",
        "/lib/crypto/",
        "/crypto/",
        "/drivers/base/",
        "/block/",
    ]
    .iter()
    .any(|folder| path.contains(folder))
}

pub(crate) fn decompress(file: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    match file.rsplit('.').next() {
        Some("ko") => return Ok(bytes),
        Some("xz") => lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut plain)
            .map_err(|error| anyhow::anyhow!("{file}: {error:?}"))?,
        _ => bail!("{file}: compressed otherwise"),
    }
    Ok(plain)
}

/// Returns the modules and all of their dependencies, each after its dependencies. A
/// missing module is assumed to be built in: the kernel reports an error if it is not.
pub(crate) fn in_order(wanted: &[String], all: &HashMap<String, Vec<u8>>) -> Result<Vec<String>> {
    let mut order = Vec::new();
    for name in wanted {
        add(name, all, &mut order, 0)?;
    }
    Ok(order)
}

fn add(
    name: &str,
    all: &HashMap<String, Vec<u8>>,
    order: &mut Vec<String>,
    depth: u32,
) -> Result<()> {
    if order.iter().any(|known| known == name) {
        return Ok(());
    }
    if depth > 20 {
        bail!("{name} needs itself");
    }
    let Some(module) = all.get(name) else {
        return Ok(());
    };
    for needed in needs(module).with_context(|| format!("{name} does not list its dependencies"))? {
        add(&needed, all, order, depth + 1)?;
    }
    order.push(name.to_owned());
    Ok(())
}

/// Returns the dependencies in a module's section `.modinfo`: the strings `depends=A,B`
/// and `softdep=pre: A`.
fn needs(module: &[u8]) -> Option<Vec<String>> {
    let strings = || module.split(|&byte| byte == 0);
    let value = |prefix: &'static [u8]| {
        strings().filter_map(move |string| std::str::from_utf8(string.strip_prefix(prefix)?).ok())
    };
    let depends = value(b"depends=").next()?;
    let soft = value(b"softdep=").filter_map(|text| text.strip_prefix("pre: "));
    let mut names: Vec<String> = soft
        .flat_map(|text| text.split(' '))
        .chain(depends.split(','))
        .filter_map(|needed| name(&format!("{needed}.ko")))
        .collect();
    names.retain(|name| !name.is_empty());
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first() {
        let module = |depends: &str| format!("\x7fELF\0license=GPL\0depends={depends}\0x").into();
        let all: HashMap<String, Vec<u8>> = [
            ("ext4".to_owned(), module("mbcache,jbd2,crc16")),
            ("jbd2".to_owned(), module("")),
            ("mbcache".to_owned(), module("")),
        ]
        .into();
        let wanted = ["ext4".to_owned(), "jbd2".to_owned(), "nvme".to_owned()];
        let order = in_order(&wanted, &all).unwrap();
        assert_eq!(order, ["mbcache", "jbd2", "ext4"]);
    }

    #[test]
    fn a_cycle_of_dependencies_ends() {
        let all: HashMap<String, Vec<u8>> = [
            ("a".to_owned(), b"\0depends=b\0".to_vec()),
            ("b".to_owned(), b"\0depends=a\0".to_vec()),
        ]
        .into();
        assert!(in_order(&["a".to_owned()], &all).is_err());
    }

    #[test]
    fn names_of_modules_are_compared_alike() {
        assert_eq!(name("virtio-blk.ko.xz").as_deref(), Some("virtio_blk"));
        assert_eq!(name("vmlinuz"), None);
    }
}
