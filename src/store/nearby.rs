//! Streams and the cache in front of the home: whether all of one lies there, bringing it there, letting it go.
//!
//! A stream is what it takes to read it: its manifest's footer, the footers of its packs, and the frames that it has
//! chunks in. Invariant: whoever only looks asks nothing of the medium. Must not know why anybody wants it near.

use std::ops::{ControlFlow, Range};

use roaring::RoaringTreemap;

use super::format::Header;
use super::manifest::Extent;
use super::object::{Object, Written};
use super::read::no_run;
use super::{Error, Store, rows};
use crate::model::ContentId;
use crate::objects::{Near, ObjectKey};

/// How far the bringing of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// Bytes of the stream that were looked at.
    pub done_bytes: u64,
    /// Bytes of the stream.
    pub total_bytes: u64,
    /// Bytes that came from the medium.
    pub fetched_bytes: u64,
}

/// What becomes of some bytes of an object that a stream needs; breaks to go no further.
type Visit<'v> = dyn FnMut(&ObjectKey, Range<u64>, u64) -> Result<ControlFlow<()>, Error> + 'v;

impl Store {
    /// The most that the cache in front of the home may hold, in bytes; `None` where there is none.
    pub fn cache_bytes(&self) -> Option<u64> {
        self.near().map(|near| near.bytes_max())
    }

    /// Whether all that it takes to read a stream of the home lies in the cache. Asks nothing of the medium.
    ///
    /// # Errors
    /// [`Error::Missing`], damage, or when the database fails.
    pub fn lies_near(&self, content: &ContentId) -> Result<bool, Error> {
        let Some(near) = self.near() else { return Ok(false) };
        let visited = self.each_part(content, &mut |key, bytes, _| {
            Ok(if near.holds(key, bytes) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(visited.is_continue())
    }

    /// Brings what is missing of a stream of the home into the cache, until `step` breaks, which is told how far it is; says
    /// how far it came. What the cache cannot keep is not there afterwards: [`Store::lies_near`] tells. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Missing`], damage, or what the medium says.
    pub fn bring_near(
        &self,
        content: &ContentId,
        step: &mut dyn FnMut(Brought) -> ControlFlow<()>,
    ) -> Result<ControlFlow<Brought, Brought>, Error> {
        let total_bytes = self.content_row(content)?.ok_or(Error::Missing(*content))?.size_bytes;
        let mut so_far = Brought { done_bytes: 0, total_bytes, fetched_bytes: 0 };
        let Some(near) = self.near() else { return Ok(ControlFlow::Continue(so_far)) };
        let mut room = Vec::new();
        let walked = self.each_part(content, &mut |key, bytes, done_bytes| {
            let mut left = bytes;
            while let Some(missing) = near.first_missing(key, left.clone()) {
                so_far.done_bytes = done_bytes;
                if step(so_far).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                room.resize((missing.end - missing.start) as usize, 0);
                self.inner.objects.read(key, missing.start, &mut room)?;
                so_far.fetched_bytes += missing.end - missing.start;
                // Onwards, whether the cache could keep it or not.
                left.start = missing.end;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(match walked {
            ControlFlow::Break(()) => ControlFlow::Break(so_far),
            ControlFlow::Continue(()) => ControlFlow::Continue(Brought { done_bytes: total_bytes, ..so_far }),
        })
    }

    /// Lets the cache go of a stream's manifest and of its packs, and so of what other streams have in those.
    ///
    /// # Errors
    /// When the database fails.
    pub fn send_away(&self, content: &ContentId) -> Result<(), Error> {
        let (Some(near), Some(row)) = (self.near(), self.content_row(content)?) else { return Ok(()) };
        near.forget(&row.header().key());
        let packs = rows::packs_of(&self.inner.db.read()?, &content.0)?;
        for pack in packs.iter().flatten() {
            if let Some(row) = self.pack_row(pack)? {
                near.forget(&row.header(pack).key());
            }
        }
        Ok(())
    }

    /// Empties the cache; how many blocks of how many bytes went.
    pub fn clear_cache(&self) -> (u64, u64) {
        self.near().map_or((0, 0), |near| near.clear())
    }

    /// Lets the cache go of what is beyond its bound; how many blocks of how many bytes went.
    pub fn prune_cache(&self) -> (u64, u64) {
        self.near().map_or((0, 0), |near| near.prune())
    }

    fn near(&self) -> Option<Near> {
        self.inner.home.near()
    }

    /// Shows `visit` what it takes to read a stream, in the order in which it is read, with how much of the stream came
    /// before. Footers are shown before they are read.
    fn each_part(&self, content: &ContentId, visit: &mut Visit<'_>) -> Result<ControlFlow<()>, Error> {
        let row = self.content_row(content)?.ok_or(Error::Missing(*content))?;
        if self.show_footer(row.header(), &row.stored, 0, visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // While it is open none of its packs goes.
        let reader = self.reader(content)?;
        // Of a stream that is made by a recipe the extents name what it is made of, which is more or less than the stream.
        let named: u64 = reader.extents().iter().map(Extent::bytes).sum();
        let of_stream = |named_before: u64| {
            let scaled =
                u128::from(named_before) * u128::from(reader.size_bytes()) / u128::from(named.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let (mut before, mut shown) = (0, RoaringTreemap::new());
        for extent in reader.extents() {
            if let Extent::Run { pack: number, first, count, .. } = *extent {
                if shown.insert(number) {
                    let row = self.pack_row(number)?.ok_or(Error::Reclaimed(number))?;
                    if self.show_footer(row.header(number), &row.stored, of_stream(before), visit)?.is_break()
                    {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                let pack = self.pack(number)?;
                let run = pack.span(first, count).ok_or_else(|| no_run(&pack, first, count))?;
                let frames = pack.stored_span(pack.frames_over(run));
                if visit(&pack.key(), frames, of_stream(before))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            before += extent.bytes();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn show_footer(
        &self,
        header: Header,
        written: &Written,
        before: u64,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let object = Object::new(self.inner.objects.clone(), header, self.key_of(&header)?.as_deref());
        visit(&header.key(), object.footer_span(written), before)
    }
}
