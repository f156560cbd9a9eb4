//! What is stored apart from image data: the store's header, the key ring, the log and its snapshots.
//! Each is compared, and put right from what the open store knows.
//!
//! Invariant: nothing is put right from what was not compared itself. A medium that does not answer is
//! never taken for damage.

use std::fmt;

use super::Store;
use super::error::Error;
use super::events::EventKind;
use super::vault;

/// Something that was not what was written, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What: the object's name.
    pub object: String,
    /// What was found.
    pub reason: String,
    /// What was done about it; `Err` says why nothing could be.
    pub outcome: Result<String, String>,
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(done) => write!(f, "{} was damaged: {}; {done}", self.object, self.reason),
            Err(why) => write!(f, "{} is damaged: {}; {why}", self.object, self.reason),
        }
    }
}

impl Store {
    /// Compares everything that is stored apart from image data with what was written, and puts it
    /// right. Costs a read of all of it, which the log's snapshots bound.
    ///
    /// # Errors
    /// When the database or the medium does not answer. Damage is no error but the outcome.
    pub fn tend(&self) -> Result<Vec<Incident>, Error> {
        self.expect_entered()?;
        let mut found = match self.inner.header.get() {
            Some(header) => vault::tend_header(&*self.inner.objects, header)?,
            None => Vec::new(),
        };
        if let Some(keys) = &self.inner.keys {
            found.extend(keys.tend(&*self.inner.objects)?);
        }
        found.extend(self.tend_description()?);
        found.iter().for_each(|incident| self.record_incident(incident));
        Ok(found)
    }

    pub(super) fn record_incident(&self, incident: &Incident) {
        let (kind, what) = match &incident.outcome {
            Ok(done) => (EventKind::Healed, done),
            Err(why) => (EventKind::Damaged, why),
        };
        self.record(kind, &incident.object, format!("{}; {what}", incident.reason), Vec::new());
    }
}
