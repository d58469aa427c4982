//! A log as files (c2sp.org/tlog-tiles): `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`.
//!
//! A tile holds up to 256 hashes of one level, a bundle up to 256 entries, each with its length (two bytes, big-endian)
//! before it. Files appear whole (written beside, synced, renamed) and never change once a signed checkpoint needs them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::tree::{Hash, Nodes, leaf_hash, node_hash};

/// Hashes of a full tile, entries of a full bundle.
pub const WIDTH: u64 = 256;

/// What a file of the log is; levels as in the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Hashes(u8),
    Entries,
}

/// Why a tile cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0}: not as long as its place in the log demands")]
    Length(PathBuf),
    #[error("{0}: an entry's length goes beyond the file")]
    Entry(PathBuf),
}

/// A log's folder.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// `tile/0/x001/x234/067.p/12`, for `width` below 256 with its suffix.
    pub fn tile(&self, kind: Kind, number: u64, width: u64) -> PathBuf {
        let mut parts = vec![format!("{:03}", number % 1000)];
        let mut rest = number / 1000;
        while rest > 0 {
            parts.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        let mut path = self.0.join("tile");
        match kind {
            Kind::Hashes(level) => path.push(level.to_string()),
            Kind::Entries => path.push("entries"),
        }
        for part in parts.iter().skip(1).rev() {
            path.push(part);
        }
        if width == WIDTH { path.join(&parts[0]) } else { path.join(format!("{}.p", parts[0])).join(width.to_string()) }
    }

    /// The signed note of the log's newest state.
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// The bytes of a tile or bundle, its path, and its own width: the partial file, or the full one where that has taken
    /// its place.
    fn read(&self, kind: Kind, number: u64, width: u64) -> Result<(Vec<u8>, PathBuf, u64), TileError> {
        let path = self.tile(kind, number, width);
        match fs::read(&path) {
            Ok(bytes) => return Ok((bytes, path, width)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && width < WIDTH => {}
            Err(source) => return Err(TileError::Io { path, source }),
        }
        let full = self.tile(kind, number, WIDTH);
        // The partial one is what was looked for: the message names it.
        fs::read(&full).map(|bytes| (bytes, full, WIDTH)).map_err(|source| TileError::Io { path, source })
    }

    /// The first `width` hashes of a tile.
    ///
    /// # Errors
    /// Where the file is not there or too short.
    pub fn hashes(&self, level: u8, number: u64, width: u64) -> Result<Vec<Hash>, TileError> {
        let (bytes, path, own) = self.read(Kind::Hashes(level), number, width)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() as u64 != own || !rest.is_empty() {
            return Err(TileError::Length(path));
        }
        Ok(hashes[..usize::try_from(width).unwrap_or(usize::MAX)].to_vec())
    }

    /// The first `width` entries of a bundle.
    ///
    /// # Errors
    /// Where the file is not there, too short, or does not end with its last entry.
    pub fn entries(&self, number: u64, width: u64) -> Result<Vec<Vec<u8>>, TileError> {
        let (bytes, path, own) = self.read(Kind::Entries, number, width)?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Some((length, after)) = rest.split_first_chunk::<2>() else { return Err(TileError::Entry(path)) };
            let length = usize::from(u16::from_be_bytes(*length));
            if after.len() < length {
                return Err(TileError::Entry(path));
            }
            entries.push(after[..length].to_vec());
            rest = &after[length..];
        }
        if entries.len() as u64 != own {
            return Err(TileError::Length(path));
        }
        entries.truncate(usize::try_from(width).unwrap_or(usize::MAX));
        Ok(entries)
    }

    /// One entry of a log of that size.
    ///
    /// # Errors
    /// As [`Folder::entries`].
    pub fn entry(&self, index: u64, size: u64) -> Result<Vec<u8>, TileError> {
        let number = index / WIDTH;
        let place = usize::try_from(index % WIDTH).unwrap_or(0);
        let width = width_at(0, number, size);
        let mut entries = self.entries(number, width)?;
        if place < entries.len() {
            Ok(entries.swap_remove(place))
        } else {
            Err(TileError::Length(self.tile(Kind::Entries, number, width)))
        }
    }
}

/// How wide a tile is in a tree of `size` leaves; 0 where it has none there.
pub fn width_at(level: u8, number: u64, size: u64) -> u64 {
    let hashes = size.checked_shr(u32::from(level) * 8).unwrap_or(0);
    hashes.saturating_sub(number.saturating_mul(WIDTH)).min(WIDTH)
}

/// Writes a file so that it is there whole or not at all, also after a loss of power.
///
/// # Errors
/// Where the disk refuses.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    fs::create_dir_all(folder)?;
    // A name of its own: two sequencers that write the same tile must not rename each other's half-written file.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut file = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".new")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(folder)?.sync_all()
}

/// The tree of a log's folder at one size, read tile by tile as it is asked for.
pub struct Stored {
    folder: Folder,
    size: u64,
    seen: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl Stored {
    pub fn new(folder: Folder, size: u64) -> Self {
        Self { folder, size, seen: BTreeMap::new() }
    }
}

impl Nodes for Stored {
    type Error = TileError;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, TileError> {
        let (tile_level, height) = (level / 8, level % 8);
        let first = index << height;
        let (number, place) = (first / WIDTH, usize::try_from(first % WIDTH).unwrap_or(0));
        if self.seen.len() > 64 {
            // Proofs ask from left to right: what was read long ago is not asked again soon.
            self.seen.clear();
        }
        if !self.seen.contains_key(&(tile_level, number)) {
            let width = width_at(tile_level, number, self.size);
            self.seen.insert((tile_level, number), self.folder.hashes(tile_level, number, width)?);
        }
        let hashes = &self.seen[&(tile_level, number)];
        let hashes = hashes.get(place..place + (1 << height));
        let missing = || TileError::Length(self.folder.tile(Kind::Hashes(tile_level), number, WIDTH));
        Ok(complete(hashes.ok_or_else(missing)?))
    }
}

/// The hash of a complete subtree over its leaves; their count is a power of two.
fn complete(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            node_hash(&complete(left), &complete(right))
        }
    }
}

/// A file that is to be written before a checkpoint of the new size may be signed.
pub struct Pending {
    pub kind: Kind,
    pub number: u64,
    pub width: u64,
    pub bytes: Vec<u8>,
}

/// The growing right edge of a tree: the tiles that are not full yet. Entries go in, files come out.
#[derive(Clone)]
pub struct Edge {
    size: u64,
    /// By level: the hashes of the tile that is not full.
    levels: Vec<Vec<Hash>>,
    /// The bundle that is not full, as its file.
    bundle: Vec<u8>,
}

impl Edge {
    pub fn empty() -> Self {
        Self { size: 0, levels: Vec::new(), bundle: Vec::new() }
    }

    /// The edge of a stored log at that size.
    ///
    /// # Errors
    /// Where a tile of the edge cannot be read.
    pub fn load(folder: &Folder, size: u64) -> Result<Self, TileError> {
        let mut edge = Self { size, ..Self::empty() };
        let mut level = 0;
        while size.checked_shr(u32::from(level) * 8).unwrap_or(0) > 0 {
            let hashes = size >> (u32::from(level) * 8);
            let (number, width) = (hashes / WIDTH, hashes % WIDTH);
            edge.levels.push(if width == 0 { Vec::new() } else { folder.hashes(level, number, width)? });
            level += 1;
        }
        if !size.is_multiple_of(WIDTH) {
            for entry in folder.entries(size / WIDTH, size % WIDTH)? {
                edge.put(&entry);
            }
        }
        Ok(edge)
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    fn put(&mut self, entry: &[u8]) {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        self.bundle.extend(length.to_be_bytes());
        self.bundle.extend(entry);
    }

    /// Appends entries (each at most 65,535 bytes) and gives every file that a checkpoint of the new size needs.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Vec<Pending> {
        let mut files = Vec::new();
        for entry in entries {
            self.put(entry);
            self.size += 1;
            if self.size.is_multiple_of(WIDTH) {
                let bytes = std::mem::take(&mut self.bundle);
                files.push(Pending { kind: Kind::Entries, number: self.size / WIDTH - 1, width: WIDTH, bytes });
            }
            self.push(0, leaf_hash(entry), &mut files);
        }
        if !self.bundle.is_empty() {
            let (number, width) = (self.size / WIDTH, self.size % WIDTH);
            files.push(Pending { kind: Kind::Entries, number, width, bytes: self.bundle.clone() });
        }
        for (level, hashes) in (0u8..).zip(&self.levels) {
            if !hashes.is_empty() {
                let number = (self.size >> (u32::from(level) * 8)) / WIDTH;
                let width = hashes.len() as u64;
                files.push(Pending { kind: Kind::Hashes(level), number, width, bytes: hashes.as_flattened().to_vec() });
            }
        }
        files
    }

    fn push(&mut self, level: u8, hash: Hash, files: &mut Vec<Pending>) {
        if self.levels.len() <= usize::from(level) {
            self.levels.push(Vec::new());
        }
        let tile = &mut self.levels[usize::from(level)];
        tile.push(hash);
        if tile.len() as u64 == WIDTH {
            let full = std::mem::take(tile);
            let number = (self.size >> (u32::from(level) * 8)) / WIDTH - 1;
            files.push(Pending {
                kind: Kind::Hashes(level),
                number,
                width: WIDTH,
                bytes: full.as_flattened().to_vec(),
            });
            self.push(level + 1, complete(&full), files);
        }
    }
}

/// Only for the edge's own root: complete subtrees that end at its right edge.
impl Nodes for Edge {
    type Error = std::convert::Infallible;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let (tile_level, height) = (level / 8, level % 8);
        let place = usize::try_from((index << height) % WIDTH).unwrap_or(0);
        Ok(complete(&self.levels[usize::from(tile_level)][place..place + (1 << height)]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn paths_are_as_specified() {
        let folder = Folder(PathBuf::from("log"));
        assert_eq!(folder.tile(Kind::Hashes(0), 1_234_067, WIDTH), Path::new("log/tile/0/x001/x234/067"));
        assert_eq!(folder.tile(Kind::Entries, 273, 112), Path::new("log/tile/entries/273.p/112"));
        // The specification's own example.
        let widths = |size: u64, level: u8| width_at(level, (size >> (8 * u32::from(level))) / WIDTH, size);
        assert_eq!([widths(70_000, 0), widths(70_000, 1), widths(70_000, 2)], [112, 17, 1]);
        assert_eq!([widths(256, 0), widths(256, 1)], [0, 1]);
    }

    #[test]
    fn the_stored_tree_the_edge_and_the_reloaded_edge_agree() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder(dir.path().to_owned());
        let mut edge = Edge::empty();
        let mut all = Vec::new();
        // Steps that end before, at and after tiles' ends, over more than one tile of level 1.
        for step in [1, 2, 252, 1, 1, 255, 300, 66_000, 3] {
            let entries: Vec<Vec<u8>> = (0..step).map(|n| format!("{}-{n}", edge.size()).into_bytes()).collect();
            all.extend(entries.iter().cloned());
            for file in edge.append(&entries) {
                // No sync here: the test is about contents.
                let path = folder.tile(file.kind, file.number, file.width);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &file.bytes).unwrap();
            }
            let size = edge.size();
            let own = tree::root(&mut edge, size).unwrap();
            assert_eq!(own, tree::root(&mut Stored::new(folder.clone(), size), size).unwrap(), "{size}");
            let mut again = Edge::load(&folder, size).unwrap();
            assert_eq!(own, tree::root(&mut again, size).unwrap());
            assert_eq!(again.bundle, edge.bundle);
            for index in [0, size / 2, size - 1] {
                let entry = folder.entry(index, size).unwrap();
                assert_eq!(entry, all[usize::try_from(index).unwrap()]);
                let path = tree::inclusion(&mut Stored::new(folder.clone(), size), index, size).unwrap();
                assert!(tree::includes(&leaf_hash(&entry), index, size, &path, &own));
            }
        }
    }
}
