//! The disk under the database: what was synced survives a power cut, of the rest what the dice say.
//!
//! Invariant: what an honest disk has synced never changes but by a later write. Planted faults are
//! [`DiskHabit`]s.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use tintype::db::StorageBackend;

use crate::chance::Dice;
use crate::power::{Answer, Power, Step};

/// What a drive never writes in part.
const SECTOR_BYTES: usize = 512;
/// What nothing on the way to it splits either.
const WORDS_BYTES: usize = 16;

/// What becomes of bytes that were written but not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All are lost: power went, and the cache with it.
    All,
    /// Some are kept, in no order, and one of them in part.
    Some,
    /// None is lost: only the process was killed.
    None,
}

/// How a disk takes its duty to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskHabit {
    /// A sync returns when everything is durable.
    Honest,
    /// A sync does nothing: the planted fault of a commit before its sync.
    NeverSyncs,
    /// A sync makes durable what the one before was asked for: so an object's deletion overtakes
    /// the commit that allowed it.
    SyncsLate,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Disk {
    power: Power,
    habit: DiskHabit,
    platter: Arc<Mutex<Platter>>,
}

#[derive(Debug, Clone, Default)]
struct Platter {
    /// What reads see.
    seen: Vec<u8>,
    /// What is there after a cut.
    durable: Vec<u8>,
    waiting: Vec<Change>,
    /// Asked to be synced once already, by a disk that is late.
    late: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Length(u64),
    Write(u64, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Length(length) => bytes.resize(*length as usize, 0),
            Change::Write(offset, data) => {
                let start = *offset as usize;
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(data);
            }
        }
    }

    /// What a drive that lost power while writing may leave of a change.
    fn torn(&self, dice: &mut Dice) -> Vec<Change> {
        let Change::Write(offset, data) = self else { return Vec::new() };
        if dice.once_in(2) {
            let kept = dice.below(data.len() as u64) as usize;
            return vec![Change::Write(*offset, data[..kept - kept % WORDS_BYTES].to_vec())];
        }
        let sectors = data.chunks(SECTOR_BYTES).enumerate();
        let kept = sectors.filter(|_| dice.once_in(2));
        kept.map(|(n, sector)| Change::Write(offset + (n * SECTOR_BYTES) as u64, sector.to_vec())).collect()
    }
}

impl Disk {
    /// A disk that holds these bytes.
    pub fn new(power: Power, habit: DiskHabit, bytes: Vec<u8>) -> Disk {
        let platter = Platter { seen: bytes.clone(), durable: bytes, ..Platter::default() };
        Disk { power, habit, platter: Arc::new(Mutex::new(platter)) }
    }

    /// What a start after the cut finds.
    pub fn remains(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let platter = self.lock();
        let mut bytes = platter.durable.clone();
        let waiting: Vec<&Change> = platter.late.iter().chain(&platter.waiting).collect();
        match loss {
            Loss::All => {}
            Loss::None => waiting.iter().for_each(|change| change.apply(&mut bytes)),
            Loss::Some => {
                let torn = dice.below(waiting.len() as u64) as usize;
                for (number, change) in waiting.iter().enumerate() {
                    if number == torn {
                        change.torn(dice).iter().for_each(|part| part.apply(&mut bytes));
                    } else if dice.once_in(2) {
                        change.apply(&mut bytes);
                    }
                }
            }
        }
        bytes
    }

    /// What reads see.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().seen.clone()
    }

    fn change(&self, step: Step, change: Change) -> Result<(), Error> {
        let mut platter = self.lock();
        let answer = self.power.ask(step);
        if matches!(answer, Answer::Done | Answer::DoneButFailed) {
            change.apply(&mut platter.seen);
            platter.waiting.push(change);
        }
        outcome(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap()
    }
}

impl Platter {
    fn sync(&mut self, habit: DiskHabit) {
        let waiting = std::mem::take(&mut self.waiting);
        let settled = match habit {
            DiskHabit::Honest => waiting,
            DiskHabit::SyncsLate => std::mem::replace(&mut self.late, waiting),
            DiskHabit::NeverSyncs => {
                self.late.extend(waiting);
                Vec::new()
            }
        };
        settled.iter().for_each(|change| change.apply(&mut self.durable));
    }
}

/// What a disk says.
pub fn outcome(answer: Answer) -> Result<(), Error> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Full => Err(Error::new(ErrorKind::StorageFull, "simulated: no space left on the disk")),
        Answer::DoneButFailed | Answer::Failed => Err(Error::other("simulated: the disk failed")),
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.lock().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        if self.power.is_gone() {
            return outcome(Answer::Failed);
        }
        let platter = self.lock();
        let start = offset as usize;
        let part = platter.seen.get(start..start + out.len());
        out.copy_from_slice(part.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        self.change(Step::new("db", "set_len", length), Change::Length(length))
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut platter = self.lock();
        let answer = self.power.ask(Step::new("db", "sync", ""));
        if matches!(answer, Answer::Done | Answer::DoneButFailed) {
            platter.sync(self.habit);
        }
        outcome(answer)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.change(Step::new("db", "write", offset).with(data), Change::Write(offset, data.to_vec()))
    }
}
