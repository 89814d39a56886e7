//! Replacing a file as a whole, or not at all, and keeping two writers apart: as `clemcore/files.py` does it, with
//! the same lock.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The lock that belongs to a file: `.NAME.lock` beside it. It ends with the process, also when that is killed.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock.
    pub(crate) fn wait(path: &Path) -> io::Result<Self> {
        let path = beside(path, "lock");
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            // The holder before us removed the file: what we locked has no name any more, so try again.
            if has_name(&file)? {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever comes next makes a new one; one that stays behind hurts nobody.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn has_name(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 0)
}

#[cfg(not(unix))]
fn has_name(_: &File) -> io::Result<bool> {
    // A file that is open there cannot be removed.
    Ok(true)
}

/// Writes a new file beside the old one and renames it over it: readers see one or the other, whole.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, &format!("{}.new", std::process::id()));
    let written = write(path, &new, bytes).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn write(old: &Path, new: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    file.set_permissions(std::fs::metadata(old)?.permissions())
}

/// `.NAME.suffix` in the same folder.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}
