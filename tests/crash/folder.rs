//! The folder of the database's file, in which a copy can take its name: which of the two has it after a
//! power cut depends on whether the folder was synced.
//!
//! Invariant: after a cut the name stands for one of the two files, each as its own syncs left it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use tintype::db::{self, Original, Place, StorageBackend};

use crate::chance::Dice;
use crate::disk::{Disk, DiskHabit, Loss, outcome};
use crate::power::{Answer, Power, Step};

/// The folder. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Folder {
    power: Power,
    habit: DiskHabit,
    names: Arc<Mutex<Names>>,
}

#[derive(Debug)]
struct Names {
    /// The file that has the name now.
    catalog: Disk,
    /// The one that had it before, until the folder is synced.
    before: Option<Disk>,
    /// A copy without the name.
    copy: Option<Disk>,
}

impl Folder {
    /// A folder whose file holds these bytes.
    pub fn new(power: Power, habit: DiskHabit, bytes: Vec<u8>) -> Folder {
        let catalog = Disk::new(power.clone(), habit, bytes);
        Folder { power, habit, names: Arc::new(Mutex::new(Names { catalog, before: None, copy: None })) }
    }

    /// The file that has the name.
    pub fn catalog(&self) -> Disk {
        self.lock().catalog.clone()
    }

    /// What a start after the cut finds under the name.
    pub fn remains(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let names = self.lock();
        let disk = match (&names.before, loss) {
            (Some(before), Loss::All) => before,
            (Some(before), Loss::Some) if dice.once_in(2) => before,
            _ => &names.catalog,
        };
        disk.remains(loss, dice)
    }

    /// Asks for a step, and does it if it is to be done.
    fn step(&self, action: &'static str, work: impl FnOnce(&mut Names)) -> Result<(), db::Error> {
        let mut names = self.lock();
        let answer = self.power.ask(Step::new("db", action, "the folder"));
        if matches!(answer, Answer::Done | Answer::DoneButFailed) {
            work(&mut names);
        }
        outcome(answer).map_err(|error| db::Error::Io(error.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap()
    }
}

impl Place for Folder {
    type File = Disk;

    fn copy_name(&self) -> String {
        "the copy".to_owned()
    }

    fn create(&self) -> Result<Disk, db::Error> {
        let disk = Disk::new(self.power.clone(), self.habit, Vec::new());
        self.step("create", |names| names.copy = Some(disk.clone()))?;
        Ok(disk)
    }

    fn rename(&self) -> Result<(), db::Error> {
        self.step("rename", |names| {
            if let Some(copy) = names.copy.take() {
                let old = std::mem::replace(&mut names.catalog, copy);
                names.before.get_or_insert(old);
            }
        })
    }

    fn sync(&self) -> Result<(), db::Error> {
        self.step("sync", |names| names.before = None)
    }
}

impl Original for Disk {
    fn bytes(&self) -> io::Result<u64> {
        StorageBackend::len(self)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        StorageBackend::read(self, at, out)
    }
}
