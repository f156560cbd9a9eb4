//! Manifests: the ordered extents of one stream, and what is known of it as a whole.

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::cutter::CutterParams;
use super::recipe::Recipe;
use crate::db::codec::{self, Record, Unreadable};
use crate::db::{DigestsForm, FirstDigestsForm};

/// A stretch of a stream. New kinds are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Zeros, stored nowhere.
    Zeros {
        /// How many.
        bytes: u64,
    },
    /// Chunks that follow each other in one pack.
    Run {
        /// Their length together.
        bytes: u64,
        /// The pack's number.
        pack: u64,
        /// Ordinal of the first chunk.
        first: u32,
        /// How many chunks.
        count: u32,
    },
}

impl Extent {
    /// Bytes of the stream it covers.
    pub fn bytes(&self) -> u64 {
        match self {
            Extent::Zeros { bytes } | Extent::Run { bytes, .. } => *bytes,
        }
    }
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest<D = DigestsForm, R = Option<Recipe>> {
    /// Its content id.
    pub content: [u8; 16],
    /// Its length.
    pub size_bytes: u64,
    /// Its digests.
    pub digests: D,
    /// How it was cut.
    pub cutter: CutterParams,
    /// What is stored for it, in order: the stream itself, or the material of its recipe.
    pub extents: Vec<Extent>,
    /// What the caller wanted kept beside it: the image's record.
    pub record: Vec<u8>,
    /// How the stream is made of what the extents name, where it is not just that.
    pub recipe: R,
}

impl Record for Manifest {
    const VERSION: u8 = 3;
    const NAME: &'static str = "manifest";

    fn decode_other(version: u8, body: &[u8]) -> Result<Manifest, Unreadable> {
        match version {
            FirstManifest::VERSION => codec::decode_body::<FirstManifest>(body).map(Manifest::from),
            SecondManifest::VERSION => codec::decode_body::<SecondManifest>(body).map(Manifest::from),
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

/// The first version, of which every stream had all digests.
type FirstManifest = Manifest<FirstDigestsForm, ()>;

impl Record for FirstManifest {
    const VERSION: u8 = 1;
    const NAME: &'static str = "manifest";
}

/// The second version, without a recipe: streams that have none are still written so.
type SecondManifest = Manifest<DigestsForm, ()>;

impl Record for SecondManifest {
    const VERSION: u8 = 2;
    const NAME: &'static str = "manifest";
}

impl<D: Into<DigestsForm>> From<Manifest<D, ()>> for Manifest {
    fn from(old: Manifest<D, ()>) -> Manifest {
        Manifest {
            content: old.content,
            size_bytes: old.size_bytes,
            digests: old.digests.into(),
            cutter: old.cutter,
            extents: old.extents,
            record: old.record,
            recipe: None,
        }
    }
}

impl Manifest {
    /// Its bytes. An earlier release reads them unless there is a recipe: the second version is the third without its last
    /// byte, which says that there is none.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::encode(self);
        if self.recipe.is_none() {
            bytes.pop();
            bytes[0] = SecondManifest::VERSION;
        }
        bytes
    }

    /// The packs it names.
    pub fn packs(&self) -> RoaringTreemap {
        self.extents
            .iter()
            .filter_map(|extent| match extent {
                Extent::Run { pack, .. } => Some(*pack),
                Extent::Zeros { .. } => None,
            })
            .collect()
    }
}

/// Adds zeros to the end of a list of extents.
pub fn push_zeros(extents: &mut Vec<Extent>, more: u64) {
    match extents.last_mut() {
        Some(Extent::Zeros { bytes }) => *bytes += more,
        _ => extents.push(Extent::Zeros { bytes: more }),
    }
}

/// Adds one chunk to the end of a list of extents.
pub fn push_chunk(extents: &mut Vec<Extent>, at: (u64, u32), length: u64) {
    push_run(extents, at, 1, length);
}

/// Adds chunks that follow each other to the end of a list of extents: to its last run, where they
/// go on from there.
pub fn push_run(extents: &mut Vec<Extent>, at: (u64, u32), more: u32, length: u64) {
    if let Some(Extent::Run { bytes, pack, first, count }) = extents.last_mut()
        && *pack == at.0
        && u64::from(*first) + u64::from(*count) == u64::from(at.1)
    {
        *bytes += length;
        *count += more;
        return;
    }
    extents.push(Extent::Run { bytes: length, pack: at.0, first: at.1, count: more });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digests, SecureHash};

    fn sample(digests: &Digests) -> Manifest {
        Manifest {
            content: [7; 16],
            size_bytes: 5,
            digests: digests.into(),
            cutter: CutterParams::content(),
            extents: vec![Extent::Zeros { bytes: 2 }, Extent::Run { bytes: 3, pack: 4, first: 5, count: 6 }],
            record: vec![8],
            recipe: None,
        }
    }

    /// The bytes of [`sample`] in hex, with what stands for its digests.
    fn golden(version: &str, digests: &[&str]) -> String {
        let before = [version, &"07".repeat(16), "0500000000000000"];
        let after = [
            "020000400000000001000000040000000000",
            "0200000000000000",
            "000000000200000000000000",
            "01000000030000000000000004000000000000000500000006000000",
            "010000000000000008",
        ];
        [before.concat(), digests.concat(), after.concat()].concat()
    }

    #[test]
    fn the_manifest_is_golden() {
        let (md5, blake3) = ("01".repeat(16), "02".repeat(32));
        let (sha512, sha256) = ("03".repeat(64), "04".repeat(32));
        for (md5_form, secure, form) in [
            (Some([1; 16]), Some(SecureHash::Sha512([3; 64])), vec!["01", &md5, "01", "00000000", &sha512]),
            (None, Some(SecureHash::Sha256([4; 32])), vec!["00", "01", "01000000", &sha256]),
            (None, None, vec!["00", "00"]),
        ] {
            let manifest = sample(&Digests { md5: md5_form, secure, blake3: [2; 32] });
            let bytes = manifest.to_bytes();
            assert_eq!(hex::encode(&bytes), golden("02", &[form.concat().as_str(), &blake3]));
            assert_eq!(codec::decode::<Manifest>(&bytes).unwrap(), manifest);
        }
    }

    #[test]
    fn a_manifest_with_a_recipe_is_golden() {
        use super::super::recipe::{Group, Step};
        let digests = Digests { md5: None, secure: None, blake3: [2; 32] };
        let steps = vec![
            Step::Rest { bytes: 1 },
            Step::Plain { bytes: 2 },
            Step::Packed { packed_bytes: 3, plain_bytes: 4, correction_bytes: 5, sum: [6, 7, 8, 9] },
        ];
        let recipe = Some(Recipe { codec: 1, groups: vec![Group { steps }] });
        let manifest = Manifest { recipe, ..sample(&digests) };
        let bytes = manifest.to_bytes();
        let before = golden("03", &["0000", &"02".repeat(32)]);
        let recipe = [
            "01",
            "0100",
            "0100000000000000",
            "0300000000000000",
            "0000000001000000",
            "0100000002000000",
            "0200000003000000040000000500000006070809",
        ];
        assert_eq!(hex::encode(&bytes), [before, recipe.concat()].concat());
        assert_eq!(codec::decode::<Manifest>(&bytes).unwrap(), manifest);
    }

    #[test]
    fn p8_a_manifest_of_the_first_form_is_read() {
        let digests =
            Digests { md5: Some([1; 16]), secure: Some(SecureHash::Sha512([3; 64])), blake3: [2; 32] };
        let form = ["01".repeat(16), "03".repeat(64), "02".repeat(32)].concat();
        let bytes = hex::decode(golden("01", &[&form])).unwrap();
        assert_eq!(codec::decode::<Manifest>(&bytes).unwrap(), sample(&digests));
        let unknown = hex::decode(golden("04", &[&form])).unwrap();
        assert!(codec::decode::<Manifest>(&unknown).is_err());
    }
}
