//! Optical discs, ISO 9660 and UDF: what they are called, how large they are, and whether they start a machine.
//!
//! Sources: ECMA-119 (volume descriptors), ECMA-167 2/9 (the recognition sequence of UDF), El Torito 1.0. The tree of files
//! is not walked. Invariant: a disc that says it is larger than its file is refused.

use super::fields::Fields;
use super::notes::{Note, NoteCode};
use super::probe::Format;
use super::refusal::{Code, Error};
use super::source::{Source, Structures};

const SECTOR: u64 = 2048;
const FIRST: u64 = 16;
/// Descriptors that are looked at: real discs have a handful.
const DESCRIPTORS_MAX: u64 = 64;
const ISO_ID: &[u8] = b"CD001";
/// Identifiers of the recognition sequence.
const UDF_BEGIN: &[u8] = b"BEA01";
const UDF: [&[u8]; 2] = [b"NSR02", b"NSR03"];
const UDF_END: &[u8] = b"TEA01";
const EL_TORITO: &[u8] = b"EL TORITO SPECIFICATION";
const BOOT: u8 = 0;
const PRIMARY: u8 = 1;
const TERMINATOR: u8 = 255;

/// What a disc says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Iso {
    /// Its name, where it is one of ISO 9660.
    pub label: Option<String>,
    /// Bytes of the volume, where it is one of ISO 9660.
    pub volume_bytes: Option<u64>,
    /// Whether it has a catalog of what starts a machine.
    pub boots: bool,
    /// Whether it is one of UDF, alone or beside ISO 9660.
    pub is_udf: bool,
}

impl Iso {
    /// Reads the volume descriptors.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn open(source: &dyn Source) -> Result<Iso, Error> {
        let file = Structures::new(source, Format::Iso);
        let (mut iso, mut has_terminator, mut is_iso, mut begun) = (Iso::default(), false, false, false);
        for sector in FIRST..FIRST + DESCRIPTORS_MAX {
            // A sequence of UDF may end where the file does.
            if (sector + 1) * SECTOR > source.size_bytes() {
                break;
            }
            let bytes = file.bytes("volume descriptor", sector * SECTOR, SECTOR as usize)?;
            match (&bytes[1..6], bytes[0]) {
                (ISO_ID, kind) if !has_terminator => {
                    is_iso = true;
                    iso.add(kind, &bytes);
                    has_terminator = kind == TERMINATOR;
                }
                (UDF_BEGIN, _) => begun = true,
                (id, _) if begun && UDF.contains(&id) => iso.is_udf = true,
                (UDF_END, _) => break,
                _ => break,
            }
        }
        if !is_iso && !iso.is_udf {
            return Err(file.refuse(Code::BadField, "volume descriptor", "there is none of ISO 9660 or UDF"));
        }
        if is_iso && iso.volume_bytes.is_none() {
            return Err(file.refuse(Code::BadField, "volume descriptor", "there is no primary one"));
        }
        if let Some(bytes) = iso.volume_bytes {
            file.expect_inside("volume space size", 0, bytes)?;
        }
        Ok(iso)
    }

    /// What is worth knowing of it.
    pub fn notes(&self) -> Vec<Note> {
        let label = self.label.as_ref();
        [
            label.map(|label| Note::with(NoteCode::Label, "volume identifier", label)),
            self.boots.then(|| Note::new(NoteCode::Boots, "boot record")),
            self.is_udf.then(|| Note::new(NoteCode::Udf, "volume recognition sequence")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn add(&mut self, kind: u8, bytes: &[u8]) {
        let fields = Fields(bytes);
        match kind {
            BOOT => self.boots |= fields.bytes(7, EL_TORITO.len()) == EL_TORITO,
            PRIMARY if self.volume_bytes.is_none() => {
                let blocks = u64::from(fields.le32(80));
                self.volume_bytes = Some(blocks * u64::from(fields.le16(128)));
                let label = String::from_utf8_lossy(fields.bytes(40, 32)).trim_end().to_owned();
                self.label = Some(label).filter(|label| !label.is_empty());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::fixtures::put;

    fn descriptor(image: &mut Vec<u8>, kind: u8, id: &[u8]) -> usize {
        let at = image.len();
        image.resize(at + 2048, 0);
        image[at] = kind;
        put(image, at + 1, id);
        at
    }

    fn disc(blocks: u32) -> Vec<u8> {
        let mut image = vec![0; 16 * 2048];
        let primary = descriptor(&mut image, 1, ISO_ID);
        put(&mut image, primary + 40, format!("{:32}", "DEBIAN 12").as_bytes());
        put(&mut image, primary + 80, &blocks.to_le_bytes());
        put(&mut image, primary + 128, &2048_u16.to_le_bytes());
        let boot = descriptor(&mut image, 0, ISO_ID);
        put(&mut image, boot + 7, EL_TORITO);
        descriptor(&mut image, 255, ISO_ID);
        image
    }

    fn open(image: Vec<u8>) -> Result<Iso, Code> {
        Iso::open(&image).map_err(|error| match error {
            Error::Refused(refusal) => refusal.code,
            Error::Source(error) => panic!("{error}"),
        })
    }

    #[test]
    fn a_disc_tells_its_name_its_size_and_that_it_boots() {
        let iso = open(disc(19)).unwrap();
        let wanted = Iso {
            label: Some("DEBIAN 12".into()),
            volume_bytes: Some(19 * 2048),
            boots: true,
            is_udf: false,
        };
        assert_eq!(iso, wanted);
    }

    #[test]
    fn a_disc_of_udf_is_one_with_iso_9660_or_without() {
        let sequence = |image: &mut Vec<u8>| {
            for id in [UDF_BEGIN, UDF[1], UDF_END] {
                descriptor(image, 0, id);
            }
        };
        let mut both = disc(19);
        sequence(&mut both);
        assert!(open(both).unwrap().is_udf);
        let mut alone = vec![0; 16 * 2048];
        sequence(&mut alone);
        assert_eq!(open(alone), Ok(Iso { is_udf: true, ..Iso::default() }));
    }

    #[test]
    fn a_disc_that_is_cut_short_or_none_is_refused() {
        assert_eq!(open(disc(20)), Err(Code::CutShort));
        assert_eq!(open(disc(u32::MAX)), Err(Code::CutShort));
        assert_eq!(open(vec![0; 64 * 2048]), Err(Code::BadField));
        assert_eq!(open(vec![0; 100]), Err(Code::BadField));
        let mut no_primary = vec![0; 16 * 2048];
        descriptor(&mut no_primary, 255, ISO_ID);
        assert_eq!(open(no_primary), Err(Code::BadField));
    }
}
