//! The bytes of stored objects: constants, clear header, clear trailer. `FORMAT.md` describes
//! them, and a test holds the two together.
//!
//! object = header ‖ sections ‖ footer section ‖ footer sum or padding ‖ locator ‖ block hashes ‖ tail

use crate::base::Entropy;
use crate::model::StorePlace;
use crate::objects::{ObjectKey, Spread};

/// Version in every header; a reader refuses a greater one.
pub const FORMAT_VERSION: u16 = 1;
/// First bytes of every object.
pub const MAGIC: [u8; 8] = *b"tintype\0";
/// First bytes of the tail.
pub const TAIL_MAGIC: [u8; 8] = *b"ttrailer";
/// Bytes of the clear header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of the sum behind the footer of a plain object.
pub const FOOTER_SUM_BYTES: usize = 32;
/// Bytes of the locator before sealing.
pub const LOCATOR_BYTES: usize = 24;
/// Bytes of the tail.
pub const TAIL_BYTES: usize = 64;
/// The trailer hashes the body in blocks of this size.
pub const HASH_BLOCK_BYTES: usize = 1 << 20;
/// A frame is closed when it holds this much.
pub const FRAME_BYTES: usize = 128 << 10;
/// No frame holds more, before compression; equals the largest chunk.
pub const FRAME_BYTES_MAX: usize = 256 << 10;
/// A sealed object's body is padded to a multiple of at least this.
pub const PADDING_BYTES_MIN: u64 = 4096;

/// What stands in the id of a pack, or of its parity, that lies on a place beside the home: behind eight random
/// bytes, and before the place's number.
pub const PLACE_MARK: [u8; 7] = *b"ttplace";
/// Random bytes of such an id.
const PLACED_RANDOM_BYTES: usize = 8;

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Chunks of images.
    Pack = 1,
    /// The extents of one stream.
    Manifest = 2,
    /// Logical changes of some commits.
    Log = 3,
    /// Every fact row of the catalog at one moment.
    Snapshot = 4,
    /// What repairs a pack or manifest.
    Parity = 5,
}

impl Kind {
    /// Reads the header's byte.
    pub fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Pack, Kind::Manifest, Kind::Log, Kind::Snapshot, Kind::Parity]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }

    /// First segment of the object's name.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Pack => "pack",
            Kind::Manifest => "manifest",
            Kind::Log => "log",
            Kind::Snapshot => "snapshot",
            Kind::Parity => "parity",
        }
    }
}

/// An object's clear header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Whether its sections are sealed.
    pub sealed: bool,
    /// Key domain; 0 is plain.
    pub domain: u32,
    /// Random name, fresh for every attempt; of parity, that of the object it repairs.
    pub id: [u8; 16],
    /// A pack's number; the sequence a log object or snapshot reaches; 0 for manifests.
    pub number: u64,
    /// Generation of the pack, 0 for other kinds.
    pub generation: u32,
    /// Which of its domain's keys seals it: 0 is the first, and each sealing anew makes the next.
    pub key_version: u32,
}

impl Header {
    /// The header of an object that is not sealed, or of which the domain is yet to be said.
    pub fn plain(kind: Kind, id: [u8; 16], number: u64) -> Header {
        Header { kind, sealed: false, domain: 0, id, number, generation: 0, key_version: 0 }
    }

    /// The same object in a key domain, sealed with the key of this version; 0 is plain.
    pub fn in_domain(self, domain: u32, key_version: u32) -> Header {
        Header { sealed: domain != 0, domain, key_version, ..self }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10] = self.kind as u8;
        out[11] = u8::from(self.sealed);
        out[12..16].copy_from_slice(&self.domain.to_le_bytes());
        out[16..32].copy_from_slice(&self.id);
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..44].copy_from_slice(&self.generation.to_le_bytes());
        out[44..48].copy_from_slice(&self.key_version.to_le_bytes());
        out
    }

    /// Reads a header; the error says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Header, String> {
        let bytes: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| "shorter than its header".to_owned())?;
        if bytes[0..8] != MAGIC {
            return Err("not a Tintype object".into());
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version == 0 || version > FORMAT_VERSION {
            return Err(format!("format {version} is unknown to this release"));
        }
        let kind = Kind::from_byte(bytes[10]).ok_or_else(|| format!("unknown kind {}", bytes[10]))?;
        if bytes[11] > 1 || bytes[48..] != [0; HEADER_BYTES - 48] {
            return Err("reserved header bytes are set".into());
        }
        Ok(Header {
            kind,
            sealed: bytes[11] == 1,
            domain: u32::from_le_bytes(array(&bytes[12..])),
            id: array(&bytes[16..]),
            number: u64::from_le_bytes(array(&bytes[32..])),
            generation: u32::from_le_bytes(array(&bytes[40..])),
            key_version: u32::from_le_bytes(array(&bytes[44..])),
        })
    }

    /// The name under which the object lies.
    pub fn key(&self) -> ObjectKey {
        match self.kind {
            Kind::Pack | Kind::Manifest | Kind::Parity => object_key(self.kind, &self.id),
            Kind::Log | Kind::Snapshot => {
                key(format!("{}/{:016x}-{}", self.kind.prefix(), self.number, hex::encode(self.id)))
            }
        }
    }
}

/// The name of a pack, manifest or parity object: kind, two hex digits to spread directories, id.
pub fn object_key(kind: Kind, id: &[u8; 16]) -> ObjectKey {
    let name = hex::encode(id);
    key(format!("{}/{}/{name}", kind.prefix(), &name[..2]))
}

/// Where an object of this id lies. An id without the mark is of the home; of such ids, which are all random, one
/// in 2^56 looks otherwise, and none is given to new objects.
pub fn place_of(id: &[u8; 16]) -> StorePlace {
    match id[PLACED_RANDOM_BYTES..].strip_prefix(&PLACE_MARK) {
        Some(&[number]) => StorePlace(number),
        _ => StorePlace::HOME,
    }
}

/// A fresh id of an object that is to lie at `place`.
pub fn fresh_id(entropy: &dyn Entropy, place: StorePlace) -> [u8; 16] {
    let mut id = entropy.id();
    while place.is_home() && !place_of(&id).is_home() {
        id = entropy.id();
    }
    if place.is_home() { id } else { marked(id, place) }
}

/// An id of a place, of which the random bytes are those of `id`.
fn marked(mut id: [u8; 16], place: StorePlace) -> [u8; 16] {
    id[PLACED_RANDOM_BYTES..15].copy_from_slice(&PLACE_MARK);
    id[15] = place.0;
    id
}

/// The name of some pack at a place, for those who ask about the place and not about the pack.
pub fn any_name_at(place: StorePlace) -> ObjectKey {
    object_key(Kind::Pack, &if place.is_home() { [0; 16] } else { marked([0; 16], place) })
}

/// Which media have which objects: packs and parity lie where their ids say, everything else at home.
pub const SPREAD: Spread = Spread { medium_of: |key| place_in_name(key.as_str()).0, is_spread };

fn place_in_name(name: &str) -> StorePlace {
    let id = is_spread(name).then(|| name.rsplit('/').next()).flatten();
    let id = id.and_then(|id| <[u8; 16]>::try_from(hex::decode(id).ok()?).ok());
    id.map_or(StorePlace::HOME, |id| place_of(&id))
}

/// Whether objects below this prefix may lie beside the home.
fn is_spread(prefix: &str) -> bool {
    [Kind::Pack, Kind::Parity].iter().any(|kind| prefix.split('/').next() == Some(kind.prefix()))
}

/// The number in the name of a log object or snapshot; `None` when it is no such name.
pub fn number_in_name(kind: Kind, name: &str) -> Option<u64> {
    let (number, id) = name.strip_prefix(kind.prefix())?.strip_prefix('/')?.split_once('-')?;
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_hexdigit());
    (digits(number, 16) && digits(id, 32)).then(|| u64::from_str_radix(number, 16).ok())?
}

/// A name made here is always legal.
#[allow(clippy::expect_used)]
pub(super) fn key(text: String) -> ObjectKey {
    ObjectKey::new(text).expect("names made of hex digits and fixed words are legal")
}

/// The last bytes of every object: where the body ends, and how many blocks the trailer hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tail {
    /// Bytes before the block hashes.
    pub body_bytes: u64,
    /// Block hashes that follow the body.
    pub blocks: u32,
}

impl Tail {
    /// The tail's bytes; its last 32 are BLAKE3 over the block hashes and the rest of the tail.
    pub fn encode(&self, hashes: &[u8]) -> [u8; TAIL_BYTES] {
        let mut out = [0; TAIL_BYTES];
        out[0..8].copy_from_slice(&TAIL_MAGIC);
        out[8..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[16..20].copy_from_slice(&self.blocks.to_le_bytes());
        let sum = trailer_sum(hashes, &out[..32]);
        out[32..].copy_from_slice(&sum);
        out
    }

    /// Reads a tail without checking its sum.
    pub fn decode(bytes: &[u8]) -> Result<Tail, String> {
        let bytes: &[u8; TAIL_BYTES] = bytes.first_chunk().ok_or_else(|| "no room for a tail".to_owned())?;
        if bytes[0..8] != TAIL_MAGIC {
            return Err("its tail is missing: the object is cut short or overwritten".into());
        }
        let tail = Tail {
            body_bytes: u64::from_le_bytes(array(&bytes[8..])),
            blocks: u32::from_le_bytes(array(&bytes[16..])),
        };
        if u64::from(tail.blocks) != tail.body_bytes.div_ceil(HASH_BLOCK_BYTES as u64) {
            return Err("its tail contradicts itself".into());
        }
        Ok(tail)
    }
}

/// BLAKE3 over the block hashes and the first half of the tail.
pub fn trailer_sum(hashes: &[u8], tail_start: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(hashes).update(tail_start).finalize().as_bytes()
}

/// The sum in a tail, into which every byte of its object goes.
pub fn tail_sum(tail: &[u8; TAIL_BYTES]) -> [u8; 32] {
    array(&tail[32..])
}

/// The padded length of a sealed body of `bytes`: the next multiple of a power of two that is at
/// most a sixteenth of the length (and at least [`PADDING_BYTES_MIN`]), so that a length tells
/// only its order of magnitude.
pub fn padded(bytes: u64) -> u64 {
    let step = (1u64 << bytes.max(1).ilog2()) / 16;
    bytes.next_multiple_of(step.max(PADDING_BYTES_MIN))
}

/// The first `N` bytes; callers pass slices of constant bounds that are long enough.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_golden() {
        let header = Header {
            kind: Kind::Pack,
            sealed: true,
            domain: 7,
            id: [0xab; 16],
            number: 258,
            generation: 3,
            key_version: 4,
        };
        let bytes = header.encode();
        assert_eq!(
            hex::encode(bytes),
            format!(
                "74696e747970650001000101{}{}{}{}{}{}",
                "07000000",
                "ab".repeat(16),
                "0201000000000000",
                "03000000",
                "04000000",
                "00".repeat(16)
            )
        );
        assert_eq!(Header::decode(&bytes), Ok(header));
        assert_eq!(header.key().as_str(), format!("pack/ab/{}", "ab".repeat(16)));
    }

    #[test]
    fn an_id_says_where_its_object_lies() {
        let (entropy, place) = (crate::base::OsEntropy, StorePlace(7));
        let (home, away) = (fresh_id(&entropy, StorePlace::HOME), fresh_id(&entropy, place));
        assert_eq!((place_of(&home), place_of(&away)), (StorePlace::HOME, place));
        // Stores keep it: it must never change.
        let golden = marked([0xab; 16], place);
        assert_eq!(hex::encode(golden), "abababababababab7474706c61636507");
        assert_ne!(away[..8], fresh_id(&entropy, place)[..8]);
        let medium = |key: &ObjectKey| StorePlace((SPREAD.medium_of)(key));
        for kind in [Kind::Pack, Kind::Parity] {
            assert_eq!(medium(&object_key(kind, &away)), place);
            assert_eq!(medium(&object_key(kind, &home)), StorePlace::HOME);
        }
        // Manifests explain the store, and lie at home whatever their ids are.
        assert_eq!(medium(&object_key(Kind::Manifest, &away)), StorePlace::HOME);
        assert_eq!(medium(&key("tintype-store".into())), StorePlace::HOME);
        assert_eq!(medium(&any_name_at(place)), place);
        assert_eq!(["pack/", "parity/7", "manifest/", "log/"].map(is_spread), [true, true, false, false]);
    }

    #[test]
    fn numbers_stand_in_the_names_of_logs() {
        let header = Header::plain(Kind::Log, [0xcd; 16], 258);
        let name = header.key();
        assert_eq!(name.as_str(), format!("log/0000000000000102-{}", "cd".repeat(16)));
        assert_eq!(number_in_name(Kind::Log, name.as_str()), Some(258));
        assert_eq!(number_in_name(Kind::Snapshot, name.as_str()), None);
        assert_eq!(number_in_name(Kind::Log, &name.as_str()[..30]), None);
    }

    #[test]
    fn headers_of_the_future_are_refused() {
        let header = Header::plain(Kind::Log, [0; 16], 0);
        let mut bytes = header.encode();
        bytes[8] = 2;
        assert!(Header::decode(&bytes).is_err());
        bytes[8] = 1;
        bytes[50] = 1;
        assert!(Header::decode(&bytes).is_err());
        assert!(Header::decode(&bytes[..63]).is_err());
    }

    #[test]
    fn padding_costs_at_most_a_sixteenth() {
        for bytes in [1u64, 4095, 4096, 65_537, 1 << 20, (64 << 20) + 1, 123_456_789] {
            let padded = padded(bytes);
            assert!(padded >= bytes);
            assert!(padded - bytes <= (bytes / 16).max(PADDING_BYTES_MIN));
        }
    }
}
