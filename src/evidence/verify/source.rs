//! Where the files lie that are verified: a folder, or a zip of one.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::Failure;

/// The largest file that is read; a zip may promise more than it holds.
const LARGEST: u64 = 256 * 1024 * 1024;

pub(super) enum Source {
    Folder(PathBuf),
    Zip { path: PathBuf, archive: RefCell<ZipArchive<File>>, inside: String },
}

impl Source {
    pub(super) fn folder(path: &Path) -> Self {
        Self::Folder(path.to_owned())
    }

    /// A zip whose files may all lie in one folder inside.
    pub(super) fn zip(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| Failure::at(path, error))?;
        let archive = ZipArchive::new(file).map_err(|error| Failure::at(path, format!("not a zip: {error}")))?;
        let inside = archive
            .file_names()
            .flatten()
            .find_map(|name| name.strip_suffix("SHA256SUMS").map(str::to_owned))
            .ok_or_else(|| Failure::at(path, "not a bundle: no SHA256SUMS in it"))?;
        Ok(Self::Zip { path: path.to_owned(), archive: RefCell::new(archive), inside })
    }

    pub(super) fn place(&self, name: &str) -> String {
        match self {
            Self::Folder(path) => path.join(name).display().to_string(),
            Self::Zip { path, .. } => format!("{}: {name}", path.display()),
        }
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.find(name)?.ok_or_else(|| Failure::new(self.place(name), "it is missing"))
    }

    pub(super) fn text(&self, name: &str) -> Result<String, Failure> {
        String::from_utf8(self.read(name)?).map_err(|_| Failure::new(self.place(name), "not text"))
    }

    /// The file's bytes; None where there is no such file.
    pub(super) fn find(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let fail = |error: String| Failure::new(self.place(name), error);
        let mut bytes = Vec::new();
        let length = match self {
            Self::Folder(path) => {
                let file = match File::open(path.join(name)) {
                    Ok(file) => file,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(fail(error.to_string())),
                };
                file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?
            }
            Self::Zip { archive, inside, .. } => {
                let mut archive = archive.borrow_mut();
                match archive.by_name(&format!("{inside}{name}")) {
                    Ok(file) => {
                        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?
                    }
                    Err(zip::result::ZipError::FileNotFound) => return Ok(None),
                    Err(error) => return Err(fail(error.to_string())),
                }
            }
        };
        if length as u64 > LARGEST { Err(fail("larger than any file of a bundle".to_owned())) } else { Ok(Some(bytes)) }
    }

    /// The names of all files, with `/` between folders, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let mut names = match self {
            Self::Folder(path) => {
                let mut names = Vec::new();
                walk(path, "", &mut names).map_err(|error| Failure::at(path, error))?;
                names
            }
            Self::Zip { path, archive, inside } => {
                let mut names = Vec::new();
                for name in archive.borrow().file_names() {
                    let name = name.map_err(|error| Failure::at(path, error))?;
                    if !name.ends_with('/') {
                        names.push(name.strip_prefix(inside.as_str()).unwrap_or(&name).to_owned());
                    }
                }
                names
            }
        };
        names.sort();
        Ok(names)
    }
}

fn walk(folder: &Path, before: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}
