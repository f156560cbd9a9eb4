//! Putting a stream down in the middle, and taking it up again.
//!
//! Invariant: chunks end where they would have ended in one go. Every byte has its extent when a
//! stream is put down, so that what is durable is a whole stream of its own; the chunks after the
//! last certain cut are for the time being, and are made again from the bytes themselves.

use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::cutter::{Cutter, CutterParams, CutterState, choose};
use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::realm::Realm;
use super::{Assembler, take};

/// Where a stream's cutting stood when it was put down. Every byte had its extent by then, but the last
/// ones only for the time being: they are cut again, as if nothing had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The cutter; `None` while there is too little of the stream to choose one.
    pub cutter: Option<(CutterParams, CutterState)>,
    /// How many of the last bytes are to be cut again.
    pub held_back: u32,
    /// Extents that stay as they are.
    pub extents: u32,
    /// The last of them, which may have grown since.
    pub last: Option<Extent>,
}

impl Assembler {
    /// Takes a stream up again that was put down with these extents; `held_back` are the bytes that
    /// are to be cut again.
    pub fn resume(
        store: Store,
        realm: Realm,
        mut extents: Vec<Extent>,
        standing: &Standing,
        held_back: Vec<u8>,
    ) -> Result<Assembler, Error> {
        let contradiction = || Error::damaged("an unfinished stream", "its state contradicts itself");
        let mut assembler = Assembler::new(store, realm);
        extents.truncate(standing.extents as usize);
        if let (Some(last), Some(settled)) = (extents.last_mut(), standing.last) {
            *last = settled;
        }
        for extent in &extents {
            if let Extent::Run { pack, first, count, .. } = *extent {
                if !assembler.held.pack(pack) {
                    return Err(Error::Reclaimed(pack));
                }
                assembler.last = first.checked_add(count.saturating_sub(1)).map(|last| (pack, last));
            }
        }
        assembler.extents = extents;
        match &standing.cutter {
            None => assembler.head = held_back,
            Some((params, state)) => {
                let cutter = Cutter::resume(*params, state, held_back).ok_or_else(contradiction)?;
                assembler.cutter = Some((*params, cutter));
            }
        }
        Ok(assembler)
    }

    /// Makes everything so far durable, and says how the stream can be taken up again; it may also
    /// just go on.
    pub fn put_down(&mut self) -> Result<(CutterParams, Vec<Extent>, Standing), Error> {
        self.settle()?;
        let (extents, last) = (self.extents.len(), self.extents.last().copied());
        let (params, mut cutter, standing) = match &self.cutter {
            Some((params, cutter)) => {
                let (state, held_back) = cutter.state();
                (*params, cutter.clone(), (Some((*params, state)), held_back))
            }
            None => {
                let params = choose(&self.head);
                (params, Cutter::new(params), (None, self.head.len()))
            }
        };
        let (items, arena) = (&mut self.items, &mut self.arena);
        cutter.push(&self.head, &mut |piece| take(items, arena, piece));
        cutter.finish(&mut |piece| take(items, arena, piece));
        self.settle()?;
        self.packs.settle()?;
        let all = self.extents.clone();
        self.extents.truncate(extents);
        if let (Some(settled), Some(last)) = (self.extents.last_mut(), last) {
            *settled = last;
        }
        let (cutter, held_back) = (standing.0, standing.1 as u32);
        Ok((params, all, Standing { cutter, held_back, extents: extents as u32, last }))
    }
}
