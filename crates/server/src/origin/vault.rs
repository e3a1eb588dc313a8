//! Where do on-demand streams live? On disk: per run a file of signed tables and one file per rendition, whose
//! parts lie one after another, so that the tables are the index.
//!
//! Invariant: a run without its end in the tables was not finished and is removed at the next start.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use trellis_proto::{RunId, StreamId, Table, signed_part};

use super::OriginError;
use crate::shelf::{Item, Key, Object, Shelf, Source};

/// The folder of all recordings.
#[derive(Debug, Clone)]
pub struct Vault {
    root: PathBuf,
}

impl Vault {
    /// The folder is made when the first recording is.
    pub fn open(root: &Path) -> Result<Self, OriginError> {
        Ok(Self { root: root.into() })
    }

    /// The finished recordings' signed tables, in order. Unfinished ones are removed.
    pub fn load(&self) -> Result<HashMap<StreamId, Vec<Bytes>>, OriginError> {
        let mut found = HashMap::new();
        for stream in folders(&self.root).map_err(|e| self.fail(e))? {
            let Some(id) = stream.file_name().and_then(|n| n.to_str()?.parse::<StreamId>().ok()) else { continue };
            let mut runs = folders(&stream).map_err(|e| self.fail(e))?;
            runs.sort();
            for run in runs {
                match tables(&run.join(TABLES)) {
                    Ok(tables) if finished(&tables) => {
                        found.insert(id.clone(), tables);
                    }
                    Ok(_) => remove(&run),
                    Err(error) => tracing::error!(run = %run.display(), %error, "a recording cannot be read"),
                }
            }
        }
        Ok(found)
    }

    /// Begins to record a run.
    pub async fn record(&self, stream: &StreamId, run: RunId, inits: &[Bytes]) -> io::Result<Recording> {
        let folder = self.folder(stream, run);
        tokio::fs::create_dir_all(&folder).await?;
        let mut renditions = Vec::new();
        for (index, init) in inits.iter().enumerate() {
            tokio::fs::write(folder.join(init_name(index)), init).await?;
            renditions.push(File::create(folder.join(media_name(index))).await?);
        }
        let tables = File::create(folder.join(TABLES)).await?;
        Ok(Recording { folder, tables, renditions })
    }

    /// Removes what an earlier publishing of the stream left.
    pub fn remove_others(&self, stream: &StreamId, keep: RunId) {
        let keep = self.folder(stream, keep);
        let runs = folders(&self.root.join(stream.as_str())).unwrap_or_default();
        runs.iter().filter(|run| **run != keep).for_each(|run| remove(run));
    }

    /// Brings recorded objects back.
    pub fn reader(&self) -> Reader {
        Reader { vault: self.clone() }
    }

    fn folder(&self, stream: &StreamId, run: RunId) -> PathBuf {
        self.root.join(stream.as_str()).join(run.to_string())
    }

    fn fail(&self, source: io::Error) -> OriginError {
        OriginError::new(format!("the recordings in {}", self.root.display()), source)
    }
}

/// A run being recorded.
pub struct Recording {
    folder: PathBuf,
    tables: File,
    renditions: Vec<File>,
}

impl Recording {
    /// Adds a signed table.
    pub async fn table(&mut self, signed: &Bytes) -> io::Result<()> {
        self.tables.write_u32(signed.len() as u32).await?;
        self.tables.write_all(signed).await
    }

    /// Adds a rendition's part.
    pub async fn media(&mut self, rendition: usize, bytes: &Bytes) -> io::Result<()> {
        self.renditions[rendition].write_all(bytes).await
    }

    /// Everything written so far is safe to read.
    pub async fn flush(&mut self) -> io::Result<()> {
        for file in self.renditions.iter_mut().chain([&mut self.tables]) {
            file.flush().await?;
        }
        Ok(())
    }

    /// Nobody will finish it.
    pub async fn discard(self) {
        if let Err(error) = tokio::fs::remove_dir_all(&self.folder).await {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot remove an unfinished recording");
        }
    }
}

/// The [`Source`] of an origin's shelf.
pub struct Reader {
    vault: Vault,
}

impl Source for Reader {
    fn get(&self, shelf: &Arc<Shelf>, key: Key, size: usize) -> Option<Arc<Object>> {
        let folder = self.vault.folder(shelf.stream(), key.run);
        let (path, offset) = match key.item {
            Item::Init => (folder.join(init_name(key.rendition.into())), 0),
            Item::Part(_) => (folder.join(media_name(key.rendition.into())), shelf.offset(key)?),
        };
        let object = Arc::new(Object::filling(size));
        let filling = object.clone();
        tokio::task::spawn_blocking(move || match read(&path, offset, size) {
            Ok(bytes) => filling.finish(bytes),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a recording cannot be read");
                filling.fail();
            }
        });
        Some(object)
    }
}

fn read(path: &Path, offset: u64, size: usize) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; size];
    fs::File::open(path)?.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

fn tables(path: &Path) -> io::Result<Vec<Bytes>> {
    let mut rest = Bytes::from(fs::read(path)?);
    let mut tables = Vec::new();
    while let Some(len) = rest.first_chunk::<4>().map(|len| u32::from_be_bytes(*len) as usize) {
        if rest.len() < 4 + len {
            break;
        }
        tables.push(rest.slice(4..4 + len));
        rest = rest.slice(4 + len..);
    }
    Ok(tables)
}

fn finished(tables: &[Bytes]) -> bool {
    let last = tables.last().and_then(|message| signed_part(message).ok());
    last.is_some_and(|(body, _)| matches!(Table::decode(body), Ok(Table::RunEnd(_))))
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

fn remove(folder: &Path) {
    tracing::warn!(folder = %folder.display(), "removing a recording that is unfinished or replaced");
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove it");
    }
}

const TABLES: &str = "tables.bin";

fn init_name(rendition: usize) -> String {
    format!("{rendition}.init.mp4")
}

fn media_name(rendition: usize) -> String {
    format!("{rendition}.m4s")
}
