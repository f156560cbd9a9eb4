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
        // Each is told before the next is looked at, which may fail.
        let mut found = match self.inner.header.get() {
            Some(header) => self.told(vault::tend_header(&*self.inner.objects, header)?),
            None => Vec::new(),
        };
        if let Some(keys) = &self.inner.keys {
            found.extend(self.told(keys.tend(&*self.inner.objects)?));
        }
        found.extend(self.told(self.tend_description()?));
        Ok(found)
    }

    fn told(&self, found: Vec<Incident>) -> Vec<Incident> {
        found.iter().for_each(|incident| self.record_incident(incident));
        found
    }

    pub(super) fn record_incident(&self, incident: &Incident) {
        let (kind, what) = match &incident.outcome {
            Ok(done) => (EventKind::Healed, done),
            Err(why) => (EventKind::Damaged, why),
        };
        self.record(kind, &incident.object, format!("{}; {what}", incident.reason), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::mute::Mute;
    use super::super::tests::fresh;
    use super::super::{Options, Store};
    use super::*;
    use crate::base::{OsEntropy, SystemClock};
    use crate::objects::{ObjectKey, Objects};

    #[test]
    fn what_was_put_right_is_told_although_the_rest_cannot_be_looked_at() {
        let b = fresh(None);
        b.store.ship().unwrap();
        let medium = Mute::new(b.objects.clone());
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let store =
            Store::open(b.db, Arc::new(medium.clone()), None, Options::default(), clock, entropy).unwrap();
        b.objects.delete(&ObjectKey::new("tintype-store-copy").unwrap()).unwrap();
        medium.list_no_more("log/");
        assert!(matches!(store.tend(), Err(Error::Unavailable(_))));
        let told = store.events().unwrap();
        assert_eq!((told[0].kind, &told[0].object[..]), (EventKind::Healed, "tintype-store-copy"));
    }
}
