//! Going through the entrance: the medium is recognised by its header, tried out, and put in order; then all
//! others are let in.
//!
//! Invariants: nothing is written to a medium whose header does not name the catalog's store, as read in
//! this process; what crashed writers left is swept before the first new one can begin. Must not know who waits.

use std::sync::PoisonError;

use super::Store;
use super::error::Error;
use super::events::EventKind;
use super::vault;
use crate::objects::Entrance;

impl Store {
    /// Recognises the medium and lets everybody in, where that could not be done when the store was
    /// opened. Does nothing once it was done. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Away`] while the medium does not answer; [`Error::Foreign`] when it is another store's; else
    /// what it lacks, or the medium's failure. All can be repeated.
    pub fn enter(&self) -> Result<(), Error> {
        let Some(entrance) = &self.inner.entrance else { return Ok(()) };
        let _one = self.inner.entering.lock().unwrap_or_else(PoisonError::into_inner);
        if entrance.is_open() {
            return Ok(());
        }
        // What was read before says nothing of what answers now.
        let sealed = self.inner.keys.is_some();
        let header = vault::recognise(&**entrance.medium(), &self.inner.id, sealed);
        match header.and_then(|header| self.put_in_order(&header)) {
            Ok(()) => {
                self.record(EventKind::Back, entrance.place(), "it answers, and is this box's", Vec::new());
                Ok(())
            }
            Err(error) => Err(self.left_out(entrance, error)),
        }
    }

    /// The same when the store is opened, with the header that has just been read; a medium that does not
    /// answer is waited for.
    pub(super) fn enter_first(&self) -> Result<(), Error> {
        let error = match self.inner.header.get().map(|header| self.put_in_order(header)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => match &self.inner.entrance {
                Some(entrance) => self.left_out(entrance, error),
                None => error,
            },
            None => return self.expect_entered().or_else(|refused| self.tell_away(refused)),
        };
        self.tell_away(error)
    }

    /// Whether the medium was recognised, so that requests reach it.
    pub fn is_entered(&self) -> bool {
        self.expect_entered().is_ok()
    }

    /// Whether requests reach the medium.
    ///
    /// # Errors
    /// [`Error::Away`].
    pub fn expect_entered(&self) -> Result<(), Error> {
        Ok(self.inner.entrance.as_ref().map_or(Ok(()), Entrance::check)?)
    }

    /// Tries the medium out and puts it in order, which is known to be ours; then lets everybody in.
    fn put_in_order(&self, header: &[u8]) -> Result<(), Error> {
        let ground = self.inner.entrance.as_ref().map_or(&self.inner.home, Entrance::medium);
        if let Some(entrance) = &self.inner.entrance {
            entrance.try_out()?;
        }
        ground.sweep_unfinished()?;
        let mut incidents = vault::settle_header(&**ground, header)?;
        incidents.extend(self.inner.keys.iter().flat_map(|keys| keys.mended_at_open()));
        self.inner.header.get_or_init(|| header.to_owned());
        if let Some(entrance) = &self.inner.entrance {
            entrance.open();
        }
        incidents.iter().for_each(|incident| self.record_incident(incident));
        Ok(())
    }

    /// Notes why nobody is let in; tells a medium that does not answer from one that cannot be used.
    fn left_out(&self, entrance: &Entrance, error: Error) -> Error {
        entrance.stays_closed(error.to_string());
        match (entrance.medium().trouble(), entrance.check()) {
            (Some(_), Err(refused)) => refused.into(),
            _ => error,
        }
    }

    fn tell_away(&self, error: Error) -> Result<(), Error> {
        let Error::Away { place, why } = &error else { return Err(error) };
        tracing::error!(%place, %why, "the store's medium does not answer; the start goes on without it");
        self.record(EventKind::Away, place, why, Vec::new());
        Ok(())
    }
}
