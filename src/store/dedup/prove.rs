//! Whether what was found is so: the same names in the same realm, and a copy to stay that reads back.
//!
//! Invariant: a stretch that is left was read from its copy that stays just now, every chunk of it
//! compared with its name. So a damaged copy is never the one that stays.

use std::sync::Arc;

use super::super::error::Error;
use super::super::pack::Pack;
use super::super::realm::Realm;
use super::super::steps::{Progress, Stop};
use super::super::stored::Stored;
use super::Pass;
use super::stretches::{Stretch, Stretches};

/// Frames read at once.
const FRAMES_AT_ONCE: usize = 8;

/// The footer that was looked at last: stretches come in the order of packs.
type Last = Option<(Arc<Pack>, Realm)>;

impl Pass<'_, '_, '_> {
    /// Leaves those stretches that hold. Where streams are not changed, data is not read back.
    pub(super) fn prove(&mut self, stretches: &mut Stretches) -> Result<(), Stop> {
        self.steps.begin(Progress::SHARING, stretches.all().map(|stretch| stretch.bytes).sum())?;
        let (mut goes, mut stays) = (None, None);
        let mut stopped = None;
        stretches.retain(|stretch| {
            if stopped.is_some() {
                return false;
            }
            let outcome = self.holds(stretch, &mut goes, &mut stays);
            outcome.unwrap_or_else(|stop| {
                stopped = Some(stop);
                false
            })
        });
        stopped.map_or(Ok(()), Err)
    }

    fn holds(&mut self, stretch: &Stretch, goes: &mut Last, stays: &mut Last) -> Result<bool, Stop> {
        let store = self.store;
        let pair = (self.look_at(stretch.goes.0, goes)?, self.look_at(stretch.stays.0, stays)?);
        let (Some((from, realm)), Some((to, other_realm))) = pair else {
            self.shared.damaged += 1;
            return Ok(false);
        };
        let same = (0..stretch.count).all(|at| {
            let (one, other) = (stretch.goes.1 + at, stretch.stays.1 + at);
            from.name(one).is_some()
                && from.name(one) == to.name(other)
                && from.length(one) == to.length(other)
        });
        if !same || realm != other_realm {
            return Ok(false);
        }
        if store.inner.damage.has_lost(to.number, stretch.stays.1, stretch.count) {
            self.shared.damaged += 1;
            return Ok(false);
        }
        if !self.changes {
            return Ok(true);
        }
        match self.read_back(&to, stretch) {
            Err(Stop::Failed(error @ Error::Damaged { .. })) => {
                tracing::error!(%error, pack = to.number, "a copy that was to stay does not read back");
                store.suspect(
                    Stored::Pack(to.number),
                    Some(to.object_id()),
                    (stretch.stays.1, stretch.count),
                );
                self.shared.damaged += 1;
                Ok(false)
            }
            read => read.map(|()| true),
        }
    }

    fn look_at(&self, number: u64, last: &mut Last) -> Result<Last, Stop> {
        if last.as_ref().is_none_or(|(pack, _)| pack.number != number) {
            *last = self.store.footer(number)?;
        }
        Ok(last.clone())
    }

    /// Reads the copy that stays; every chunk is compared with its name.
    fn read_back(&mut self, pack: &Pack, stretch: &Stretch) -> Result<(), Stop> {
        let absent =
            || Error::damaged(super::super::pack::pack_name(pack.number), "a chunk of it is not there");
        let span = pack.span(stretch.stays.1, stretch.count).ok_or_else(absent)?;
        let frames = pack.frames_over(span);
        let mut at = frames.start;
        while at < frames.end {
            let until = (at + FRAMES_AT_ONCE).min(frames.end);
            pack.frames(at..until)?;
            at = until;
            self.steps.step(0)?;
        }
        self.steps.step(stretch.bytes)
    }
}
