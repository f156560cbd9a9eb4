//! The medium of objects: a committed object survives a power cut, an unfinished one is a left-over.
//!
//! Invariant: on an honest shelf an object is whole or not there. Knows no kind of object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tintype::objects::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects};

use crate::power::{Answer, Power, Step};

/// Objects by name.
pub type Stock = BTreeMap<ObjectKey, Arc<[u8]>>;

/// How a shelf takes its duty to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShelfHabit {
    /// A commit returns when the object is durable.
    Honest,
    /// A commit is acknowledged, and the object gone after a cut.
    LosesCommits,
    /// A commit is acknowledged before the bytes are synced: after a cut the name is there, and
    /// half of the object.
    TearsCommits,
}

/// One attempt to write an object: each call's bytes, in order.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The name it was meant for.
    pub key: ObjectKey,
    /// The bytes of each write.
    pub writes: Vec<Vec<u8>>,
}

/// The shelf. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Shelf {
    power: Power,
    habit: ShelfHabit,
    boards: Arc<Mutex<Boards>>,
}

#[derive(Debug, Default)]
struct Boards {
    /// What reads see.
    seen: Stock,
    /// What is there after a cut.
    durable: Stock,
    /// Left-overs and objects at work.
    unfinished: BTreeSet<usize>,
    attempts: Vec<Attempt>,
}

impl Shelf {
    /// A shelf that holds these objects and `left_over` unfinished ones.
    pub fn new(power: Power, habit: ShelfHabit, stock: Stock, left_over: usize) -> Shelf {
        let boards = Boards {
            seen: stock.clone(),
            durable: stock,
            unfinished: (0..left_over).collect(),
            // Numbers are those of attempts: left-overs take the first.
            attempts: vec![Attempt { key: key("left-over"), writes: Vec::new() }; left_over],
        };
        Shelf { power, habit, boards: Arc::new(Mutex::new(boards)) }
    }

    /// What a start after the cut finds: objects, and how many unfinished ones.
    pub fn remains(&self) -> (Stock, usize) {
        let boards = self.lock();
        (boards.durable.clone(), boards.unfinished.len())
    }

    /// What is there now.
    pub fn stock(&self) -> Stock {
        self.lock().seen.clone()
    }

    /// Unfinished objects.
    pub fn unfinished(&self) -> usize {
        self.lock().unfinished.len()
    }

    /// Changes a byte of an object, as a disk does that rots: nobody is told.
    pub fn rot(&self, key: &ObjectKey, at: usize) {
        let mut guard = self.lock();
        let boards = &mut *guard;
        for stock in [&mut boards.seen, &mut boards.durable] {
            if let Some(bytes) = stock.get_mut(key) {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                *bytes = changed.into();
            }
        }
    }

    fn begin(
        &self,
        key: &ObjectKey,
        action: &'static str,
        replaces: bool,
    ) -> Result<Box<dyn ObjectWriter>, Error> {
        let mut boards = self.lock();
        let answer = self.power.ask(Step::new("objects", action, key));
        let number = boards.attempts.len();
        if matches!(answer, Answer::Done | Answer::DoneButFailed) {
            boards.attempts.push(Attempt { key: key.clone(), writes: Vec::new() });
            boards.unfinished.insert(number);
        }
        outcome(answer)?;
        Ok(Box::new(ShelfWriter { shelf: self.clone(), number, replaces, broken: None }))
    }

    fn powered(&self) -> Result<(), Error> {
        if self.power.is_gone() { outcome(Answer::Failed) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Boards> {
        self.boards.lock().unwrap()
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn outcome(answer: Answer) -> Result<(), Error> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Full => Err(Error::Full("simulated: no space left for objects".into())),
        Answer::DoneButFailed | Answer::Failed => {
            Err(Error::Unavailable("simulated: the medium failed".into()))
        }
    }
}

impl Objects for Shelf {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.begin(key, "create", false)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.begin(key, "replace", true)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.powered()?;
        let bytes = self.lock().seen.get(key).cloned().ok_or_else(|| Error::NotFound(key.clone()))?;
        let part = bytes.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(part.ok_or_else(|| Error::Invalid(format!("{key} is too short")))?);
        Ok(())
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.powered()?;
        self.lock().seen.get(key).map(|bytes| bytes.len() as u64).ok_or_else(|| Error::NotFound(key.clone()))
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let mut boards = self.lock();
        let answer = self.power.ask(Step::new("objects", "delete", key));
        match answer {
            Answer::Done => {
                boards.seen.remove(key);
                boards.durable.remove(key);
            }
            // The name is gone, but its folder was not synced: a cut may bring it back.
            Answer::DoneButFailed => {
                boards.seen.remove(key);
            }
            Answer::Failed | Answer::Full => {}
        }
        outcome(answer)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        outcome(self.power.ask(Step::new("objects", "list", prefix)))?;
        let found = self.lock().seen.clone();
        for (key, bytes) in found.into_iter().filter(|(key, _)| key.as_str().starts_with(prefix)) {
            visit(ObjectInfo { key, size_bytes: bytes.len() as u64, modified: None });
        }
        Ok(())
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        let mut boards = self.lock();
        let answer = self.power.ask(Step::new("objects", "sweep", ""));
        let swept = boards.unfinished.len() as u64;
        if matches!(answer, Answer::Done | Answer::DoneButFailed) {
            boards.unfinished.clear();
        }
        outcome(answer).map(|()| swept)
    }
}

struct ShelfWriter {
    shelf: Shelf,
    number: usize,
    replaces: bool,
    broken: Option<Error>,
}

impl ObjectWriter for ShelfWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let mut boards = self.shelf.lock();
        let attempt = &mut boards.attempts[self.number];
        let answer = self.shelf.power.ask(Step::new("objects", "write", &attempt.key).with(bytes));
        // Bytes that were on their way may have reached the medium, whatever was answered.
        attempt.writes.push(bytes.to_vec());
        drop(boards);
        outcome(answer).inspect_err(|error| self.broken = Some(error.clone()))
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let mut guard = self.shelf.lock();
        let boards = &mut *guard;
        let key = boards.attempts[self.number].key.clone();
        let answer = self.shelf.power.ask(Step::new("objects", "commit", &key));
        if matches!(answer, Answer::Done | Answer::DoneButFailed) {
            if boards.seen.contains_key(&key) && !self.replaces {
                return Err(Error::Exists(key));
            }
            let bytes: Arc<[u8]> = boards.attempts[self.number].writes.concat().into();
            match self.shelf.habit {
                ShelfHabit::Honest => drop(boards.durable.insert(key.clone(), bytes.clone())),
                ShelfHabit::LosesCommits => {}
                ShelfHabit::TearsCommits => {
                    boards.durable.insert(key.clone(), bytes[..bytes.len() / 2].into());
                }
            }
            boards.seen.insert(key, bytes);
            boards.unfinished.remove(&self.number);
        }
        outcome(answer)
    }
}

impl Drop for ShelfWriter {
    fn drop(&mut self) {
        if !self.shelf.power.is_gone() {
            self.shelf.lock().unfinished.remove(&self.number);
        }
    }
}
