//! A stream put down and taken up again, also by another process.
//!
//! A checkpoint is a stream of its own: all bytes so far, with their manifest and digests. Beside it
//! stands the progress, some hundred bytes that say how to go on: digests' states and where the
//! cutter stood. Invariant: no byte of the stream stands in the progress; the few bytes that a state
//! needs again are read back, and verified, from the checkpoint.

use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::assemble::{Assembler, Standing};
use super::super::digest::{BLOCK, Md5Blocks, Sha512Blocks};
use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::realm::{Realm, Scope};
use super::super::root::{GROUP, Root};
use super::lanes::{Lanes, Others};
use super::{Body, Ingest, Receipt, seal};
use crate::db::codec::{self, Record};
use crate::model::ContentId;

/// How to go on with a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes so far: the length of the checkpoint.
    offset: u64,
    /// MD5 of the whole blocks.
    md5: Vec<u8>,
    /// SHA-512 of the whole blocks.
    sha512: Vec<u8>,
    /// Bytes in BLAKE3's complete subtrees.
    settled: u64,
    /// Their chaining values, the largest first.
    subtrees: Vec<[u8; 32]>,
    /// Where the cutter stood.
    standing: Standing,
}

impl Record for Progress {
    const VERSION: u8 = 1;
    const NAME: &'static str = "progress";
}

/// A stream put down: durable, and not yet visible.
pub struct Checkpoint {
    /// All bytes so far, as a stream of their own; to be published as any other.
    pub receipt: Receipt,
    /// How to go on, for [`Store::resume`].
    pub progress: Vec<u8>,
}

impl Ingest {
    /// Makes everything written so far durable as a stream of its own. This one can go on, or be
    /// taken up again later once the checkpoint is published.
    ///
    /// # Errors
    /// Whatever broke the stream; it is abandoned then.
    pub async fn checkpoint(&mut self) -> Result<Checkpoint, Error> {
        let mark = self.lanes.mark().await?;
        let digests = mark.digests();
        let (cutter, extents, standing) = mark.cut;
        let mut held = self.store.inner.pins.hold();
        for extent in &extents {
            if let Extent::Run { pack, .. } = *extent
                && !held.pack(pack)
            {
                return Err(Error::Reclaimed(pack));
            }
        }
        let body = Body { domain: self.domain, cutter, extents, held, digests, record: Vec::new() };
        let receipt = seal(self.store.clone(), body).await?;
        let progress = Progress {
            offset: receipt.size_bytes(),
            md5: mark.md5.state(),
            sha512: mark.others.sha512.state(),
            settled: mark.others.root.settled(),
            subtrees: mark.others.root.subtrees().to_vec(),
            standing,
        };
        Ok(Checkpoint { receipt, progress: codec::encode(&progress) })
    }
}

impl Store {
    /// Takes a stream up again where a published checkpoint put it down. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Missing`] without the checkpoint, [`Error::Damaged`] when it and the progress do not
    /// fit, or the medium's failure.
    pub fn resume(&self, scope: Scope, checkpoint: &ContentId, progress: &[u8]) -> Result<Ingest, Error> {
        let damaged = |reason: &str| Error::damaged(format!("the progress of stream {checkpoint}"), reason);
        let progress: Progress = codec::decode(progress).map_err(|e| damaged(&e.to_string()))?;
        let reader = self.reader(checkpoint)?;
        let offset = reader.size_bytes();
        let held_back = u64::from(progress.standing.held_back);
        let unsettled = offset.checked_sub(progress.settled).filter(|bytes| *bytes <= GROUP as u64);
        let (Some(unsettled), true) = (unsettled, progress.offset == offset && held_back <= offset) else {
            return Err(damaged("it is another stream's"));
        };
        // A digest's last whole block ends behind the last complete subtree.
        let last_block = offset - offset % BLOCK as u64;
        let mut rest = vec![0; unsettled as usize];
        reader.read_at(progress.settled, &mut rest)?;
        let rest_of_block = &rest[last_block.saturating_sub(progress.settled) as usize..];
        let resumed = || {
            let mut md5 = Md5Blocks::resume(&progress.md5)?;
            let mut sha512 = Sha512Blocks::resume(&progress.sha512)?;
            let mut root = Root::resume(progress.settled, progress.subtrees.clone())?;
            md5.update(rest_of_block);
            sha512.update(rest_of_block);
            root.update(&rest);
            Some((md5, Others { sha512, root }))
        };
        let (md5, others) = resumed().ok_or_else(|| damaged("a digest's state is none"))?;
        let mut bytes = vec![0; held_back as usize];
        reader.read_at(offset - held_back, &mut bytes)?;
        let realm = Realm::new(self.inner.domain, scope);
        let extents = reader.extents().to_vec();
        let assembler = Assembler::resume(self.clone(), realm, extents, &progress.standing, bytes)?;
        let lanes = Lanes::start(md5, others, assembler)?;
        Ok(Ingest { store: self.clone(), domain: realm.domain, place: None, lanes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cutter::{Cutter, CutterParams};
    use super::*;

    #[test]
    fn the_progress_is_golden() {
        let mut cutter = Cutter::new(CutterParams::grid(512));
        cutter.push(&[1; 5000], &mut |_| ());
        let (state, held_back) = cutter.state();
        let progress = Progress {
            offset: 1,
            md5: vec![2],
            sha512: vec![3, 4],
            settled: 5,
            subtrees: vec![[6; 32]],
            standing: Standing {
                cutter: Some((CutterParams::grid(512), state)),
                held_back: held_back as u32,
                extents: 7,
                last: Some(Extent::Zeros { bytes: 8 }),
            },
        };
        let digests = [
            "01",
            "0100000000000000",
            "010000000000000002",
            "02000000000000000304",
            "0500000000000000",
            "0100000000000000",
            &"06".repeat(32),
        ]
        .concat();
        let grid = [
            "010100001000000000010000000400000200000000000000100000",
            "00001000000000000000000000000000000016000000000000",
            "00",
            "8811000007000000",
            "01000000000800000000000000",
        ]
        .concat();
        assert_eq!(hex::encode(codec::encode(&progress)), digests.clone() + &grid);
        let content = Cutter::new(CutterParams::content()).state().0;
        let cutter = Some((CutterParams::content(), content));
        let standing = Standing { cutter, held_back: 0, extents: 0, last: None };
        let progress = Progress { standing, ..progress };
        let content = [
            "01020000400000000001000000040000000000",
            "0100000000000000000000000000000000000000",
            "000000000000000000",
        ]
        .concat();
        assert_eq!(hex::encode(codec::encode(&progress)), digests + &content);
        let standing = Standing { cutter: None, ..progress.standing };
        let none = Progress { standing, ..progress };
        assert_eq!(codec::decode::<Progress>(&codec::encode(&none)).unwrap(), none);
    }
}
