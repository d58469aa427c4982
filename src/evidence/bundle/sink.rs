//! Where a bundle's files go: a folder, or a zip that is streamed as it is made.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime as ZipTime, ZipWriter};

use super::BundleError;

/// Takes files one after another.
pub trait Sink: Send {
    /// # Errors
    /// Where it cannot be written, or nobody reads any more.
    fn put(&mut self, name: &str, bytes: &[u8]) -> impl Future<Output = Result<(), BundleError>> + Send;
    /// # Errors
    /// As [`Sink::put`].
    fn end(self) -> impl Future<Output = Result<(), BundleError>> + Send;
}

/// A new folder.
pub struct FolderSink(PathBuf);

impl FolderSink {
    /// # Errors
    /// Where it is there already.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Sink for FolderSink {
    async fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, bytes)?)
    }

    async fn end(self) -> Result<(), BundleError> {
        Ok(())
    }
}

/// What the zip has written and nobody has taken yet.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A zip in pieces; memory holds one file and what the reader has not taken.
pub struct ZipSink {
    zip: ZipWriter<StreamWriter<Pipe>>,
    pipe: Pipe,
    out: mpsc::Sender<Result<Vec<u8>, io::Error>>,
}

/// Pieces are handed on from this size.
const PIECE: usize = 64 * 1024;

impl ZipSink {
    pub fn new(out: mpsc::Sender<Result<Vec<u8>, io::Error>>) -> Self {
        let pipe = Pipe::default();
        Self { zip: ZipWriter::new_stream(pipe.clone()), pipe, out }
    }

    async fn hand_on(
        pipe: &Pipe,
        out: &mpsc::Sender<Result<Vec<u8>, io::Error>>,
        from: usize,
    ) -> Result<(), BundleError> {
        let piece = {
            let mut bytes = pipe.0.lock().unwrap_or_else(PoisonError::into_inner);
            if bytes.len() < from || bytes.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut *bytes)
        };
        let gone = |_| BundleError::Io(io::Error::new(io::ErrorKind::BrokenPipe, "the reader went away"));
        out.send(Ok(piece)).await.map_err(gone)
    }
}

impl Sink for ZipSink {
    async fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        // One time for all files: the same bundle is the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(ZipTime::default())
            .unix_permissions(0o644);
        self.zip.start_file(format!("bundle/{name}"), options)?;
        self.zip.write_all(bytes)?;
        Self::hand_on(&self.pipe, &self.out, PIECE).await
    }

    async fn end(self) -> Result<(), BundleError> {
        self.zip.finish()?;
        Self::hand_on(&self.pipe, &self.out, 0).await
    }
}

/// Files and their sums, in the order of `sha256sum`.
pub(super) struct Summed<S> {
    pub sink: S,
    sums: Vec<(String, String)>,
}

impl<S: Sink> Summed<S> {
    pub(super) fn new(sink: S) -> Self {
        Self { sink, sums: Vec::new() }
    }

    pub(super) async fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        self.sums.push((hex::encode(Sha256::digest(bytes)), name.to_owned()));
        self.sink.put(name, bytes).await
    }

    pub(super) async fn end(mut self) -> Result<(), BundleError> {
        self.sums.sort_by(|one, other| one.1.cmp(&other.1));
        let sums = self.sums.iter().fold(String::new(), |all, (sum, name)| all + sum + "  " + name + "\n");
        self.sink.put("SHA256SUMS", sums.as_bytes()).await?;
        self.sink.end().await
    }
}
