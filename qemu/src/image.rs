//! The files of a kernel (image, modules and device tree), extracted from Debian's
//! packages into the cache.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, hash};
use crate::debian::Suite;
use crate::kernel_build;
use crate::kernels::Kernel;
use crate::modules;

/// The first bytes of data that is compressed with zstd.
const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// The files of a kernel, fetched or built, and unpacked.
pub(crate) struct Image {
    folder: PathBuf,
    pub(crate) kernel: PathBuf,
}

impl Image {
    pub(crate) fn find(cache: &Cache, kernel: &Kernel) -> Result<Image> {
        if let Some(build) = &kernel.build {
            let image = kernel_build::image(cache, build, &kernel.arch)?;
            let folder = image.parent().context("an image in a folder")?.to_owned();
            let kernel = image;
            return Ok(Image { folder, kernel });
        }
        let flavour = kernel.flavour.as_deref().context("no flavour")?;
        let (suites, version) = (&kernel.suites, kernel.version.as_deref());
        let dtb = kernel.dtb.as_deref();
        // The name contains everything that determines the folder's content.
        let wanted = format!(
            "{suites:?} {version:?} {flavour} {dtb:?} {:?} {:?}",
            kernel.modules, kernel.faults
        );
        let entry = format!("linux-{}-{}", kernel.name, &hash([wanted.as_bytes()])[..8]);
        let folder = cache.entry(&entry, |folder| {
            let wanted = Wanted {
                arch: &kernel.arch,
                flavour,
                modules: &kernel.modules,
                faults: kernel.faults.as_deref().unwrap_or_default(),
                dtb,
            };
            // First the requested version, then the newest that exists.
            let mut complaints = String::new();
            for version in [version, None] {
                for suite in suites {
                    match wanted.fetch(cache, suite, version, folder) {
                        Ok(()) => return Ok(()),
                        Err(error) => complaints += &format!("\n{error:#}"),
                    }
                }
            }
            bail!("no suite has it:{complaints}")
        })?;
        Ok(Image {
            kernel: folder.join("kernel"),
            folder,
        })
    }

    /// Returns the path of a file beside the image.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the names and contents of the modules of a list, "order" or "faults", in
    /// the order in which they are loaded.
    pub(crate) fn modules(&self, list: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let list = match fs::read_to_string(self.file("modules").join(list)) {
            Ok(list) => list,
            Err(_) => return Ok(Vec::new()),
        };
        let read = |name: &str| -> Result<_> {
            Ok((name.to_owned(), fs::read(self.file("modules").join(name))?))
        };
        list.lines().map(read).collect()
    }
}

/// The files to extract from the packages.
struct Wanted<'a> {
    arch: &'a str,
    flavour: &'a str,
    modules: &'a [String],
    faults: &'a [String],
    dtb: Option<&'a str>,
}

impl Wanted<'_> {
    fn fetch(
        &self,
        cache: &Cache,
        suite: &str,
        version: Option<&str>,
        folder: &Path,
    ) -> Result<()> {
        let suite = Suite::foreign(cache, suite, self.arch)?;
        let packages = self.packages(&suite, version)?;
        let debs = suite.download(&packages, &folder.join("debs"))?;
        let modules = folder.join("modules");
        fs::create_dir_all(&modules)?;
        let mut found = HashMap::new();
        for deb in debs {
            self.unpack(&deb, folder, &mut found)?;
        }
        fs::remove_dir_all(folder.join("debs"))?;
        let kernel = folder.join("kernel");
        ensure!(kernel.exists(), "{packages:?} has no image");
        unwrap(&kernel)?;
        for (list, wanted) in [("order", self.modules), ("faults", self.faults)] {
            let mut names = String::new();
            for name in modules::in_order(wanted, &found)? {
                let file = format!("{name}.ko");
                if let Some(module) = found.get(&name) {
                    fs::write(modules.join(&file), module)?;
                    names += &format!("{file}\n");
                }
            }
            fs::write(modules.join(list), names)?;
        }
        Ok(())
    }

    fn has_modules(&self) -> bool {
        !self.modules.is_empty() || !self.faults.is_empty()
    }

    /// Returns the packages. Since 6.19 the image and the modules are in separate
    /// packages.
    fn packages(&self, suite: &Suite, version: Option<&str>) -> Result<Vec<String>> {
        let version = match version {
            Some(version) => version.replace('.', "[.]") + "([.+-][0-9a-z.+-]*)?",
            None => "[0-9]+[.][0-9.]+([+-][0-9a-z.+-]*)?".to_owned(),
        };
        // `cloud` and `rt` are parts of flavours, and never of a version.
        let pattern = format!("^linux-(image|binary)-{version}-{}$", self.flavour);
        let other = |name: &String| {
            let short = name.strip_suffix(self.flavour).unwrap_or(name);
            short.contains("-cloud-") || short.contains("-rt-")
        };
        let mut names = suite.search(&pattern)?;
        names.retain(|name| !other(name));
        // Where `binary` exists, `image` of the same version only depends on it.
        let newest = names
            .into_iter()
            .max_by_key(|name| (numbers(name), name.starts_with("linux-binary")))
            .with_context(|| format!("no package {pattern}"))?;
        Ok(match newest.strip_prefix("linux-binary-") {
            Some(version) if self.has_modules() => {
                vec![newest.clone(), format!("linux-modules-{version}")]
            }
            _ => vec![newest],
        })
    }

    /// Extracts the image, the device tree and every module of a package.
    fn unpack(
        &self,
        deb: &Path,
        folder: &Path,
        found: &mut HashMap<String, Vec<u8>>,
    ) -> Result<()> {
        let mut dpkg = Command::new("dpkg-deb");
        dpkg.arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped());
        let mut dpkg = dpkg.spawn().context("cannot run dpkg-deb")?;
        let pipe = dpkg.stdout.take().context("dpkg-deb's output")?;
        for entry in tar::Archive::new(BufReader::new(pipe)).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut keep = |to: &str| -> Result<()> {
                let mut file = File::create(folder.join(to))?;
                std::io::copy(&mut entry, &mut file)?;
                Ok(())
            };
            if name.starts_with("vmlinu") {
                keep("kernel")?;
            } else if self.dtb.is_some_and(|dtb| *name == *dtb) {
                keep("dtb")?;
            } else if let Some(module) = modules::name(&name)
                && self.has_modules()
                && modules::is_of_interest(&path)
            {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                found.insert(module, modules::decompress(&name, bytes)?);
            }
        }
        let status = dpkg.wait()?;
        ensure!(status.success(), "dpkg-deb {}: {status}", deb.display());
        Ok(())
    }
}

/// Returns the numbers in a package's name, by which versions are ordered.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// Replaces an image that unpacks itself by its content, if it is compressed with zstd. QEMU
/// cannot load such an EFI image. One for x86 takes an emulated processor two seconds to
/// unpack; its content has another entry, for PVH, which QEMU uses.
fn unwrap(kernel: &Path) -> Result<()> {
    let image = fs::read(kernel)?;
    let has = |at: usize, what: &[u8]| image.get(at..).is_some_and(|rest| rest.starts_with(what));
    let word = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    let place = if has(4, b"zimg") {
        word(8).zip(word(12))
    } else if has(0x202, b"HdrS") {
        // The offset counts from the end of the boot sector and the sectors after it, whose
        // number is a byte (the kernel's Documentation/arch/x86/boot.rst).
        let sectors = image.get(0x1f1).map(|&count| 1 + usize::from(count));
        let start = sectors.zip(word(0x248));
        start
            .map(|(sectors, offset)| sectors * 512 + offset)
            .zip(word(0x24c))
    } else {
        return Ok(());
    };
    let packed = place.and_then(|(at, size)| image.get(at..at.checked_add(size)?));
    let packed = packed.context("the image is shorter than it says")?;
    if !packed.starts_with(&ZSTD) {
        return Ok(());
    }
    let mut plain = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed)?.read_to_end(&mut plain)?;
    Ok(fs::write(kernel, plain)?)
}
