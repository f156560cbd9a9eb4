//! A pack's footer: which chunks it has, and in which frames they lie.
//!
//! Invariant: runs of ordinals ascend; frames, lengths and names follow the order
//! of the ordinals, so that a chunk's place in the lists follows from its ordinal. Ordinals no run
//! covers are holes that compaction left.

use serde::{Deserialize, Serialize};

use super::super::format::FRAME_BYTES_MAX;
use crate::db::codec::{self, Record, Unreadable};

/// Ordinals that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordinals {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameEntry {
    /// Chunks in it.
    pub count: u32,
    /// Where it lies in the object.
    pub offset: u64,
    /// Stored bytes.
    pub stored_bytes: u32,
    /// Bytes before compression.
    pub raw_bytes: u32,
    /// 0 plain, 1 zstd.
    pub codec: u8,
}

/// The list of a pack's chunks, those that compaction took away left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackFooter {
    /// The pack's number.
    pub pack: u64,
    /// The generation of this object.
    pub generation: u32,
    /// The deduplication scope; zeros are the whole store.
    pub scope: [u8; 16],
    /// The ordinals it has.
    pub runs: Vec<Ordinals>,
    /// The frames, in order.
    pub frames: Vec<FrameEntry>,
    /// Length of each chunk.
    pub lengths: Vec<u32>,
    /// BLAKE3 of each chunk.
    pub names: Vec<[u8; 32]>,
    /// Positions in `names`, in the order of the names.
    pub sorted: Vec<u32>,
}

impl Record for PackFooter {
    const VERSION: u8 = 2;
    const NAME: &'static str = "pack footer";

    fn decode_other(version: u8, body: &[u8]) -> Result<PackFooter, Unreadable> {
        if version == FooterV1::VERSION {
            return codec::decode_body::<FooterV1>(body).map(PackFooter::from);
        }
        Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") })
    }
}

impl PackFooter {
    /// A footer without chunks.
    pub fn empty(pack: u64, generation: u32, scope: [u8; 16]) -> PackFooter {
        PackFooter {
            pack,
            generation,
            scope,
            runs: Vec::new(),
            frames: Vec::new(),
            lengths: Vec::new(),
            names: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Adds a chunk at its end.
    pub fn push(&mut self, ordinal: u32, name: [u8; 32], length: u32) {
        push_run(&mut self.runs, Ordinals { first: ordinal, count: 1 });
        self.names.push(name);
        self.lengths.push(length);
    }

    /// The ordinals it has, in order.
    pub fn ordinals(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().flat_map(|run| run.first..run.first.saturating_add(run.count))
    }

    /// Whether it has every ordinal from 0 on, as before any compaction.
    pub fn is_gapless(&self) -> bool {
        match self.runs[..] {
            [] => true,
            [run] => run.first == 0,
            _ => false,
        }
    }

    /// Whether everything in it fits together.
    pub fn is_sound(&self) -> bool {
        let chunks = self.names.len();
        let mut end = 0u64;
        let apart = self.runs.iter().all(|run| {
            let after = end;
            end = u64::from(run.first) + u64::from(run.count);
            run.count > 0 && u64::from(run.first) >= after && end <= 1 << 32
        });
        let listed: u64 = self.runs.iter().map(|run| u64::from(run.count)).sum();
        apart && listed == chunks as u64 && self.lengths.len() == chunks && self.frames_are_sound()
    }

    fn frames_are_sound(&self) -> bool {
        let mut base = 0usize;
        let whole = self.frames.iter().all(|frame| {
            let end = base + frame.count as usize;
            let Some(lengths) = self.lengths.get(base..end) else { return false };
            base = end;
            let raw_bytes: u64 = lengths.iter().map(|bytes| u64::from(*bytes)).sum();
            raw_bytes == u64::from(frame.raw_bytes) && frame.raw_bytes as usize <= FRAME_BYTES_MAX
        });
        whole && base == self.lengths.len()
    }
}

/// Adds ordinals to the end of a list of runs.
fn push_run(runs: &mut Vec<Ordinals>, more: Ordinals) {
    match runs.last_mut() {
        Some(last) if u64::from(last.first) + u64::from(last.count) == u64::from(more.first) => {
            last.count += more.count;
        }
        _ => runs.push(more),
    }
}

/// The first form, in which each frame told its first ordinal.
#[derive(Serialize, Deserialize)]
struct FooterV1 {
    pack: u64,
    generation: u32,
    scope: [u8; 16],
    frames: Vec<FrameV1>,
    lengths: Vec<u32>,
    names: Vec<[u8; 32]>,
    sorted: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct FrameV1 {
    first: u32,
    count: u32,
    offset: u64,
    stored_bytes: u32,
    raw_bytes: u32,
    codec: u8,
}

impl Record for FooterV1 {
    const VERSION: u8 = 1;
    const NAME: &'static str = "pack footer";
}

impl From<FooterV1> for PackFooter {
    fn from(old: FooterV1) -> PackFooter {
        let mut runs = Vec::new();
        let mut frames = Vec::with_capacity(old.frames.len());
        for FrameV1 { first, count, offset, stored_bytes, raw_bytes, codec } in old.frames {
            push_run(&mut runs, Ordinals { first, count });
            frames.push(FrameEntry { count, offset, stored_bytes, raw_bytes, codec });
        }
        let FooterV1 { pack, generation, scope, lengths, names, sorted, .. } = old;
        PackFooter { pack, generation, scope, runs, frames, lengths, names, sorted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    fn footer() -> PackFooter {
        let mut footer = PackFooter::empty(1, 2, [3; 16]);
        footer.push(4, [5; 32], 6);
        footer.frames.push(FrameEntry { count: 1, offset: 7, stored_bytes: 8, raw_bytes: 6, codec: 1 });
        footer.sorted.push(0);
        footer
    }

    const SCOPE: &str = "03030303030303030303030303030303";
    const NAME: &str = "0505050505050505050505050505050505050505050505050505050505050505";
    const ONE: &str = "0100000000000000";

    #[test]
    fn the_footer_is_golden() {
        let frame = "01000000 0700000000000000 08000000 06000000 01".replace(' ', "");
        let lists = format!("{ONE}06000000{ONE}{NAME}{ONE}00000000");
        let bytes = format!("02{ONE}02000000{SCOPE}{ONE}0400000001000000{ONE}{frame}{lists}");
        assert_eq!(hex::encode(encode(&footer())), bytes);
        assert_eq!(decode::<PackFooter>(&hex::decode(bytes).unwrap()).unwrap(), footer());
    }

    #[test]
    fn the_first_form_is_still_read() {
        let frame = "04000000 01000000 0700000000000000 08000000 06000000 01".replace(' ', "");
        let bytes = format!("01{ONE}02000000{SCOPE}{ONE}{frame}{ONE}06000000{ONE}{NAME}{ONE}00000000");
        assert_eq!(decode::<PackFooter>(&hex::decode(bytes).unwrap()).unwrap(), footer());
        assert!(decode::<PackFooter>(&[3]).is_err());
    }

    #[test]
    fn runs_grow_while_ordinals_follow_each_other() {
        let mut footer = PackFooter::empty(1, 0, [0; 16]);
        for ordinal in [0, 1, 4, 5, 9] {
            footer.push(ordinal, [0; 32], 1);
        }
        let runs = [(0, 2), (4, 2), (9, 1)].map(|(first, count)| Ordinals { first, count });
        assert_eq!(footer.runs, runs);
        assert_eq!(footer.ordinals().collect::<Vec<_>>(), [0, 1, 4, 5, 9]);
    }

    #[test]
    fn contradictions_are_seen() {
        assert!(footer().is_sound());
        type Change = fn(&mut PackFooter);
        let changes: [Change; 7] = [
            |footer| footer.runs.clear(),
            |footer| footer.runs.insert(0, Ordinals { first: 4, count: 1 }),
            |footer| footer.runs[0].first = u32::MAX,
            |footer| footer.runs[0].count = 0,
            |footer| footer.names.push([0; 32]),
            |footer| footer.frames[0].raw_bytes = 7,
            |footer| footer.frames.clear(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = footer();
            change(&mut changed);
            // The last ordinal there can be is one like any other.
            assert_eq!(changed.is_sound(), number == 2, "{number}");
        }
    }
}
