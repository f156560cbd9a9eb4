//! A stream put down and taken up again, also by another process.
//!
//! A checkpoint is a stream of its own: all bytes so far, with their manifest and digests. Beside it
//! stands the progress, some hundred bytes that say how to go on: digests' states and where the
//! cutter stood. Invariant: no byte of the stream stands in the progress; the few bytes that a state
//! needs again are read back, and verified, from the checkpoint.

use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::assemble::{Assembler, Standing};
use super::super::digest::{BLOCK, MD5_STATE_BYTES};
use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::realm::{Realm, Scope};
use super::super::root::{GROUP, Root};
use super::digesting::{Digesting, SecureState, States};
use super::lanes::Lanes;
use super::{Body, Ingest, Receipt, seal};
use crate::db::codec::{self, Record, Unreadable};
use crate::model::ContentId;

/// How to go on with a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress<S = States> {
    /// Bytes so far: the length of the checkpoint.
    offset: u64,
    /// Digests of the whole blocks.
    states: S,
    /// Bytes in BLAKE3's complete subtrees.
    settled: u64,
    /// Their chaining values, the largest first.
    subtrees: Vec<[u8; 32]>,
    /// Where the cutter stood.
    standing: Standing,
}

impl Record for Progress {
    const VERSION: u8 = 2;
    const NAME: &'static str = "progress";

    fn decode_other(version: u8, body: &[u8]) -> Result<Progress, Unreadable> {
        if version == FirstProgress::VERSION {
            return codec::decode_body::<FirstProgress>(body).map(Progress::from);
        }
        Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") })
    }
}

/// The first version, of which every stream had all digests.
type FirstProgress = Progress<FirstStates>;

impl Record for FirstProgress {
    const VERSION: u8 = 1;
    const NAME: &'static str = "progress";
}

/// States as the first version has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstStates {
    /// MD5's, and behind it a buffer that is always empty.
    md5: Vec<u8>,
    /// SHA-512's.
    sha512: Vec<u8>,
}

impl From<FirstProgress> for Progress {
    fn from(first: FirstProgress) -> Progress {
        let FirstStates { mut md5, sha512 } = first.states;
        md5.truncate(MD5_STATE_BYTES);
        Progress {
            offset: first.offset,
            states: States { md5: Some(md5), secure: Some(SecureState::Sha512(sha512)) },
            settled: first.settled,
            subtrees: first.subtrees,
            standing: first.standing,
        }
    }
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
        let digests = mark.digesting.finalize();
        let (cutter, extents, standing) = mark.cut;
        let mut held = self.store.inner.pins.hold();
        for extent in &extents {
            if let Extent::Run { pack, .. } = *extent
                && !held.pack(pack)
            {
                return Err(Error::Reclaimed(pack));
            }
        }
        let body = Body {
            domain: self.domain,
            cutter,
            extents,
            held,
            last_pack: None,
            digests,
            record: Vec::new(),
            recipe: None,
        };
        let receipt = seal(self.store.clone(), body).await?;
        let root = &mark.digesting.root;
        let progress = Progress {
            offset: receipt.size_bytes(),
            states: mark.digesting.states(),
            settled: root.settled(),
            subtrees: root.subtrees().to_vec(),
            standing,
        };
        Ok(Checkpoint { receipt, progress: codec::encode(&progress) })
    }
}

impl Store {
    /// Takes a stream up again where a published checkpoint put it down, with the digests that it
    /// began with. Blocks on the medium.
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
            let root = Root::resume(progress.settled, progress.subtrees.clone())?;
            let mut digesting = Digesting::resume(&progress.states, root)?;
            digesting.repeat(rest_of_block, &rest);
            Some(digesting)
        };
        let digesting = resumed().ok_or_else(|| damaged("a digest's state is none"))?;
        let mut bytes = vec![0; held_back as usize];
        reader.read_at(offset - held_back, &mut bytes)?;
        let realm = Realm::new(self.inner.domain, scope);
        let extents = reader.extents().to_vec();
        let assembler = Assembler::resume(self.clone(), realm, extents, &progress.standing, bytes)?;
        let lanes = Lanes::start(digesting, assembler)?;
        Ok(Ingest { store: self.clone(), domain: realm.domain, place: None, lanes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cutter::{Cutter, CutterParams};
    use super::*;
    use crate::model::DigestChoice;

    const MD5_OF_128_ZEROS: &str = "145b0dcd845d010449402e3132296610";
    const SHA512_OF_128_ZEROS: &str = "e8cb4a77d58178cf7080c7fbe0623353da0e46879d636702b03159e840cb8630\
                                       a323a08852c97d71e0b5e04cc1b2ba960b3ee3ea04fec46fee8b66bd0cd8f491";

    /// A progress, and in hex what follows its digests' states.
    fn sample() -> (Progress, String) {
        let mut cutter = Cutter::new(CutterParams::grid(512));
        cutter.push(&[1; 5000], &mut |_| ());
        let (state, held_back) = cutter.state();
        let standing = Standing {
            cutter: Some((CutterParams::grid(512), state)),
            held_back: held_back as u32,
            extents: 7,
            last: Some(Extent::Zeros { bytes: 8 }),
        };
        let states = States { md5: Some(vec![2]), secure: Some(SecureState::Sha512(vec![3, 4])) };
        let progress = Progress { offset: 1, states, settled: 5, subtrees: vec![[6; 32]], standing };
        let rest = [
            "0500000000000000",
            "0100000000000000",
            &"06".repeat(32),
            "010100001000000000010000000400000200000000000000100000",
            "00001000000000000000000000000000000016000000000000",
            "00",
            "8811000007000000",
            "01000000000800000000000000",
        ];
        (progress, rest.concat())
    }

    #[test]
    fn the_progress_is_golden() {
        let (progress, rest) = sample();
        let sha512 = ["01", "010000000000000002", "01", "00000000", "02000000000000000304"].concat();
        let sha256 = ["00", "01", "01000000", "010000000000000009"].concat();
        let shorter = States { md5: None, secure: Some(SecureState::Sha256(vec![9])) };
        let none = States { md5: None, secure: None };
        for (states, form) in [(progress.states.clone(), sha512), (shorter, sha256), (none, "0000".into())] {
            let progress = Progress { states, ..progress.clone() };
            let bytes = codec::encode(&progress);
            assert_eq!(hex::encode(&bytes), ["02", "0100000000000000", &form, &rest].concat());
            assert_eq!(codec::decode::<Progress>(&bytes).unwrap(), progress);
        }
    }

    #[test]
    fn a_progress_is_golden_wherever_the_cutter_stood() {
        let (progress, _) = sample();
        let states = States { md5: None, secure: None };
        let content = Cutter::new(CutterParams::content()).state().0;
        let cutter = Some((CutterParams::content(), content));
        let standing = Standing { cutter, held_back: 0, extents: 0, last: None };
        let progress = Progress { states, standing, ..progress };
        let golden = [
            "02",
            "0100000000000000",
            "0000",
            "0500000000000000",
            "0100000000000000",
            &"06".repeat(32),
            "01020000400000000001000000040000000000",
            "0100000000000000000000000000000000000000",
            "000000000000000000",
        ];
        assert_eq!(hex::encode(codec::encode(&progress)), golden.concat());
        let standing = Standing { cutter: None, ..progress.standing };
        let none = Progress { standing, ..progress };
        assert_eq!(codec::decode::<Progress>(&codec::encode(&none)).unwrap(), none);
    }

    #[test]
    fn p1_a_progress_of_the_first_form_goes_on() {
        let (progress, rest) = sample();
        // What its digests' states were after 128 zeros: words, blocks, and an empty buffer.
        let md5 = [MD5_OF_128_ZEROS, "0200000000000000", &"00".repeat(64)].concat();
        let sha512 = [SHA512_OF_128_ZEROS, "01000000000000000000000000000000", &"00".repeat(128)].concat();
        let states = ["5800000000000000", &md5, "d000000000000000", &sha512].concat();
        let bytes = hex::decode(["01", "0100000000000000", &states, &rest].concat()).unwrap();
        let read = codec::decode::<Progress>(&bytes).unwrap();
        let mut digesting = Digesting::resume(&read.states, Root::default()).unwrap();
        digesting.repeat(b"and more", b"");
        let wanted = {
            let mut wanted = Digesting::new(DigestChoice::default());
            wanted.repeat(&[[0; 128].as_slice(), b"and more"].concat(), b"");
            wanted.finalize()
        };
        assert_eq!(digesting.finalize(), wanted);
        assert_eq!(Progress { states: progress.states.clone(), ..read }, progress);
    }
}
