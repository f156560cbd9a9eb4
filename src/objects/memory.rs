//! Objects in memory: for tests and small experiments. Durable as long as the process lives.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects};

type Shelf = BTreeMap<ObjectKey, Arc<[u8]>>;

/// A medium in memory. Clones share the same objects, so that a test can "restart" on them.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    shelf: Arc<Mutex<Shelf>>,
}

impl Memory {
    /// An empty medium.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn find(&self, key: &ObjectKey) -> Result<Arc<[u8]>, Error> {
        self.lock().get(key).cloned().ok_or_else(|| Error::NotFound(key.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Each change of the map is one insert or remove: a panic elsewhere leaves it whole.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects for Memory {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(MemoryWriter::new(self, key, false)))
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(MemoryWriter::new(self, key, true)))
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let bytes = self.find(key)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(out.len());
        let part = bytes.get(start..end).ok_or_else(|| Error::past_end(key, offset, out.len()))?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        Ok(self.find(key)?.len() as u64)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.lock().remove(key);
        Ok(())
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        // Collected first: the visitor may call back.
        let found: Vec<ObjectInfo> = self
            .lock()
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, bytes)| ObjectInfo {
                key: key.clone(),
                size_bytes: bytes.len() as u64,
                modified: None,
            })
            .collect();
        found.into_iter().for_each(visit);
        Ok(())
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        // Unfinished objects live in their writers and go with them.
        Ok(0)
    }
}

struct MemoryWriter {
    memory: Memory,
    key: ObjectKey,
    replaces: bool,
    bytes: Vec<u8>,
}

impl MemoryWriter {
    fn new(memory: &Memory, key: &ObjectKey, replaces: bool) -> MemoryWriter {
        MemoryWriter { memory: memory.clone(), key: key.clone(), replaces, bytes: Vec::new() }
    }
}

impl ObjectWriter for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        match self.memory.lock().entry(self.key) {
            Entry::Occupied(mut taken) if self.replaces => {
                taken.insert(self.bytes.into());
                Ok(())
            }
            Entry::Occupied(taken) => Err(Error::Exists(taken.key().clone())),
            Entry::Vacant(free) => {
                free.insert(self.bytes.into());
                Ok(())
            }
        }
    }
}
