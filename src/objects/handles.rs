//! Open files of objects that were read lately, so that a read costs one system call.
//!
//! Invariant: never more than [`HANDLES_MAX`] of them, and none of an object whose delete has
//! returned.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ObjectKey;

/// Handles kept: enough for the packs of several readers, far below any limit of open files.
const HANDLES_MAX: usize = 64;

/// The cache.
#[derive(Debug, Default)]
pub(super) struct Handles {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<ObjectKey, Handle>,
    /// Counts uses, to find the handle that was used longest ago.
    uses: u64,
    /// Counts deletes: a file opened before one and cached after it could be the deleted one.
    forgotten: u64,
}

#[derive(Debug)]
struct Handle {
    file: Arc<File>,
    used: u64,
}

impl Handles {
    /// The object's open file, opened by `open` when it is not at hand.
    pub(super) fn get<E>(
        &self,
        key: &ObjectKey,
        open: impl FnOnce() -> Result<File, E>,
    ) -> Result<Arc<File>, E> {
        let forgotten = {
            let mut state = self.lock();
            if let Some(file) = state.hit(key) {
                return Ok(file);
            }
            state.forgotten
        };
        let file = Arc::new(open()?);
        let mut state = self.lock();
        if state.forgotten == forgotten {
            state.keep(key.clone(), file.clone());
        }
        Ok(file)
    }

    /// Lets go of a deleted or replaced object. To be called after its file was.
    pub(super) fn forget(&self, key: &ObjectKey) {
        let mut state = self.lock();
        state.forgotten += 1;
        state.open.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A cache: whatever a panic left in it is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hit(&mut self, key: &ObjectKey) -> Option<Arc<File>> {
        self.uses += 1;
        let handle = self.open.get_mut(key)?;
        handle.used = self.uses;
        Some(handle.file.clone())
    }

    fn keep(&mut self, key: ObjectKey, file: Arc<File>) {
        if self.open.len() >= HANDLES_MAX {
            let oldest = self.open.iter().min_by_key(|(_, handle)| handle.used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.open.remove(&oldest);
            }
        }
        self.uses += 1;
        self.open.insert(key, Handle { file, used: self.uses });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[test]
    fn the_number_of_open_files_is_bounded() {
        let handles = Handles::default();
        for number in 0..2 * HANDLES_MAX {
            handles.get(&key(&number.to_string()), tempfile::tempfile).unwrap();
        }
        assert_eq!(handles.lock().open.len(), HANDLES_MAX);
    }

    #[test]
    fn a_file_in_use_stays_and_the_idle_one_goes() {
        let handles = Handles::default();
        for number in 0..2 * HANDLES_MAX {
            handles.get(&key("busy"), tempfile::tempfile).unwrap();
            handles.get(&key(&number.to_string()), tempfile::tempfile).unwrap();
        }
        assert!(handles.lock().open.contains_key(&key("busy")));
    }

    #[test]
    fn a_file_deleted_while_it_was_opened_is_not_kept() {
        let handles = Handles::default();
        let open = || {
            handles.forget(&key("a"));
            tempfile::tempfile()
        };
        handles.get(&key("a"), open).unwrap();
        assert!(handles.lock().open.is_empty());
    }
}
