//! Where do on-demand streams live? On disk: per run a file of signed tables and one file per rendition, whose
//! parts lie one after another, so that the tables are the index.
//!
//! Invariant: a run has its name on disk once all of it is there, and another one until then. What an earlier process
//! left unfinished is removed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use trellis_proto::{RunId, StreamId, Table, limits};

use super::OriginError;
use crate::shelf::{Item, Key, Object, Shelf, Source};

/// The folder of all recordings.
#[derive(Debug, Clone)]
pub struct Vault {
    root: PathBuf,
}

/// A recording, as far as it is known at first sight.
#[derive(Debug)]
pub struct Found {
    /// Its run.
    pub run: RunId,
    /// Its signed catalogue.
    pub catalogue: Bytes,
}

impl Vault {
    /// The folder is made when the first recording is.
    pub fn open(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// All streams that may have a recording.
    pub fn streams(&self) -> Result<Vec<StreamId>, OriginError> {
        let fail = |e| OriginError::new(format!("the recordings in {}", self.root.display()), e);
        let names = names(&self.root).map_err(fail)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The stream's newest recording. What is older goes, and what was not finished by a run before `ours`.
    pub fn find(&self, stream: &StreamId, ours: RunId) -> io::Result<Option<Found>> {
        let names = names(&self.root.join(stream.as_str()))?;
        let runs = names.iter().filter_map(|name| name.parse::<RunId>().ok());
        let unfinished = names.iter().filter_map(|name| name.strip_suffix(UNFINISHED)?.parse::<RunId>().ok());
        unfinished.filter(|run| *run < ours).for_each(|run| remove(&self.unfinished(stream, run)));
        let Some(newest) = runs.clone().max() else { return Ok(None) };
        runs.filter(|run| *run < newest).for_each(|run| remove(&self.folder(stream, run)));
        let mut file = fs::File::open(self.folder(stream, newest).join(TABLES))?;
        let mut len = [0; 4];
        file.read_exact(&mut len)?;
        let mut catalogue = vec![0; (u32::from_be_bytes(len) as usize).min(limits::TABLE_BYTES_MAX)];
        file.read_exact(&mut catalogue)?;
        Ok(Some(Found { run: newest, catalogue: catalogue.into() }))
    }

    /// A recording's signed tables, in order.
    pub fn tables(&self, stream: &StreamId, run: RunId) -> io::Result<Vec<Bytes>> {
        tables(&self.folder(stream, run).join(TABLES))
    }

    /// Begins to record a run.
    pub async fn record(&self, stream: &StreamId, run: RunId, inits: &[Bytes]) -> io::Result<Recording> {
        let folder = self.unfinished(stream, run);
        tokio::fs::create_dir_all(&folder).await?;
        let file = async |name: String| File::create(folder.join(name)).await.map(BufWriter::new);
        let mut files = vec![file(TABLES.into()).await?];
        for index in 0..inits.len() {
            files.push(file(media_name(index)).await?);
        }
        for (index, init) in inits.iter().enumerate() {
            let mut init_file = file(init_name(index)).await?;
            init_file.write_all(init).await?;
            files.push(init_file);
        }
        Ok(Recording { folder, finished: self.folder(stream, run), files, said: Vec::new() })
    }

    /// Removes what an earlier publishing of the stream left.
    pub fn remove_others(&self, stream: &StreamId, keep: RunId) {
        let keep = self.folder(stream, keep);
        let folder = self.root.join(stream.as_str());
        let runs = names(&folder).unwrap_or_default().into_iter().map(|name| folder.join(name));
        runs.filter(|run| *run != keep).for_each(|run| remove(&run));
    }

    /// Brings recorded objects back.
    pub fn reader(&self) -> Reader {
        Reader { vault: self.clone() }
    }

    fn folder(&self, stream: &StreamId, run: RunId) -> PathBuf {
        self.root.join(stream.as_str()).join(run.to_string())
    }

    fn unfinished(&self, stream: &StreamId, run: RunId) -> PathBuf {
        self.root.join(stream.as_str()).join(format!("{run}{UNFINISHED}"))
    }
}

/// A run being recorded. Nobody sees it before it is finished; a run that is not leaves nothing behind.
pub struct Recording {
    folder: PathBuf,
    finished: PathBuf,
    /// The tables first, then the renditions, then what is written already.
    files: Vec<BufWriter<File>>,
    said: Vec<(Table, Bytes)>,
}

impl Recording {
    /// Adds a signed table.
    pub async fn table(&mut self, table: Table, signed: Bytes) -> io::Result<()> {
        self.files[0].write_u32(signed.len() as u32).await?;
        self.files[0].write_all(&signed).await?;
        self.said.push((table, signed));
        Ok(())
    }

    /// Adds a rendition's part.
    pub async fn media(&mut self, rendition: usize, bytes: &Bytes) -> io::Result<()> {
        self.files[1 + rendition].write_all(bytes).await
    }

    /// Makes it last: all of it is on disk before it has its name. Returns the tables, to be announced.
    pub async fn finish(&mut self) -> io::Result<Vec<(Table, Bytes)>> {
        for file in &mut self.files {
            file.flush().await?;
            file.get_ref().sync_all().await?;
        }
        sync_folder(&self.folder).await?;
        tokio::fs::rename(&self.folder, &self.finished).await?;
        for above in self.finished.ancestors().skip(1).take(FOLDERS_MADE) {
            sync_folder(above).await?;
        }
        Ok(std::mem::take(&mut self.said))
    }

    /// Nobody will finish it, or what was finished cannot be announced.
    pub async fn discard(self) {
        for folder in [self.folder, self.finished] {
            match tokio::fs::remove_dir_all(&folder).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(folder = %folder.display(), %error, "cannot remove an unfinished recording");
                }
                _ => {}
            }
        }
    }
}

/// A name is on disk when the folder it stands in is.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
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

    /// The system keeps in memory what is read often, and gives it up when memory is short.
    fn is_far(&self) -> bool {
        false
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

fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| entry.map(|e| e.file_name().into_string()));
    Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn remove(folder: &Path) {
    tracing::warn!(folder = %folder.display(), "removing a recording that is unfinished or replaced");
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove it");
    }
}

const TABLES: &str = "tables.bin";
/// Ends the name of a run's folder until all of it is there.
const UNFINISHED: &str = ".part";
/// The run's folder stands in the stream's, that one in the root, and the root in the data directory.
const FOLDERS_MADE: usize = 3;

fn init_name(rendition: usize) -> String {
    format!("{rendition}.init.mp4")
}

fn media_name(rendition: usize) -> String {
    format!("{rendition}.m4s")
}
