//! Records of images.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{self, Record, Unreadable};
use crate::db::{DigestsForm, FirstDigestsForm};
use crate::model::{
    ContentId, DataCopy, Digests, Finding, Image, ImageId, ProjectId, Status, StorePlace, Verdict, Visibility,
};

/// An image, with its id: the record is also kept beside the image's content, where no key names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord<D = DigestsForm, L = Fourth> {
    id: [u8; 16],
    name: Option<String>,
    status: u8,
    visibility: u8,
    protected: bool,
    hidden: bool,
    owner: Option<String>,
    container_format: Option<String>,
    disk_format: Option<String>,
    min_disk_gib: u64,
    min_ram_mib: u64,
    size_bytes: Option<u64>,
    virtual_size_bytes: Option<u64>,
    digests: Option<D>,
    content: Option<[u8; 16]>,
    tags: BTreeSet<String>,
    properties: BTreeMap<String, String>,
    created_at: i64,
    updated_at: i64,
    upload: Option<[u8; 16]>,
    later: L,
}

impl Record for ImageRecord {
    const VERSION: u8 = 4;
    const NAME: &'static str = "image";

    fn decode_other(version: u8, body: &[u8]) -> Result<ImageRecord, Unreadable> {
        let image = match version {
            FirstImageRecord::VERSION => codec::decode_body::<FirstImageRecord>(body)?.into_image(),
            SecondImageRecord::VERSION => codec::decode_body::<SecondImageRecord>(body)?.into_image(),
            ThirdImageRecord::VERSION => codec::decode_body::<ThirdImageRecord>(body)?.into_image(),
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        };
        image.map(|image| ImageRecord::of(&image))
    }
}

/// What the third version and the fourth added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fourth {
    third: Third,
    verdict: Option<VerdictForm>,
}

/// What was found out about the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct VerdictForm {
    format: String,
    reader: u16,
    /// Each with its word, field and value.
    findings: Vec<(String, String, Option<String>)>,
}

impl From<&Verdict> for VerdictForm {
    fn from(verdict: &Verdict) -> VerdictForm {
        let finding = |found: &Finding| (found.code.clone(), found.field.clone(), found.value.clone());
        VerdictForm {
            format: verdict.format.clone(),
            reader: verdict.reader,
            findings: verdict.findings.iter().map(finding).collect(),
        }
    }
}

impl From<VerdictForm> for Verdict {
    fn from(form: VerdictForm) -> Verdict {
        let finding = |(code, field, value)| Finding { code, field, value };
        let findings = form.findings.into_iter().map(finding).collect();
        Verdict { format: form.format, reader: form.reader, findings }
    }
}

/// What the third version added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Third {
    active_at: Option<i64>,
    /// The number of the place of the content.
    place: u8,
    /// The same data at other places.
    copies: Vec<(u8, [u8; 16])>,
}

/// What versions before the third had in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing;

impl From<Nothing> for Fourth {
    fn from(Nothing: Nothing) -> Fourth {
        Fourth::default()
    }
}

impl From<Third> for Fourth {
    fn from(third: Third) -> Fourth {
        Fourth { third, verdict: None }
    }
}

/// The first version, of which every image with data had all digests.
type FirstImageRecord = ImageRecord<FirstDigestsForm, Nothing>;

impl Record for FirstImageRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "image";
}

/// The second version.
type SecondImageRecord = ImageRecord<DigestsForm, Nothing>;

impl Record for SecondImageRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "image";
}

/// The third version.
type ThirdImageRecord = ImageRecord<DigestsForm, Third>;

impl Record for ThirdImageRecord {
    const VERSION: u8 = 3;
    const NAME: &'static str = "image";
}

impl ImageRecord {
    pub fn of(image: &Image) -> ImageRecord {
        ImageRecord {
            id: *image.id.bytes(),
            name: image.name.clone(),
            status: status_code(image.status),
            visibility: visibility_code(image.visibility),
            protected: image.protected,
            hidden: image.hidden,
            owner: image.owner.as_ref().map(|owner| owner.0.clone()),
            container_format: image.container_format.clone(),
            disk_format: image.disk_format.clone(),
            min_disk_gib: image.min_disk_gib,
            min_ram_mib: image.min_ram_mib,
            size_bytes: image.size_bytes,
            virtual_size_bytes: image.virtual_size_bytes,
            digests: image.digests.as_ref().map(DigestsForm::from),
            content: image.content.map(|content| content.0),
            tags: image.tags.clone(),
            properties: image.properties.clone(),
            created_at: image.created_at.0,
            updated_at: image.updated_at.0,
            upload: image.upload,
            later: Fourth {
                third: Third {
                    active_at: image.active_at.map(|at| at.0),
                    place: image.place.0,
                    copies: image.copies.iter().map(|copy| (copy.place.0, copy.content.0)).collect(),
                },
                verdict: image.verdict.as_ref().map(VerdictForm::from),
            },
        }
    }
}

impl<D: Into<Digests>, L: Into<Fourth>> ImageRecord<D, L> {
    /// # Errors
    /// [`Unreadable`] when a state or visibility is none this release knows.
    pub fn into_image(self) -> Result<Image, Unreadable> {
        let Fourth { third: Third { active_at, place, copies }, verdict } = self.later.into();
        let copy = |(place, content)| DataCopy { place: StorePlace(place), content: ContentId(content) };
        Ok(Image {
            id: ImageId(uuid::Uuid::from_bytes(self.id)),
            name: self.name,
            status: known("status", self.status, &Status::ALL, status_code)?,
            visibility: known("visibility", self.visibility, &Visibility::ALL, visibility_code)?,
            protected: self.protected,
            hidden: self.hidden,
            owner: self.owner.map(ProjectId),
            container_format: self.container_format,
            disk_format: self.disk_format,
            min_disk_gib: self.min_disk_gib,
            min_ram_mib: self.min_ram_mib,
            size_bytes: self.size_bytes,
            virtual_size_bytes: self.virtual_size_bytes,
            digests: self.digests.map(Into::into),
            content: self.content.map(ContentId),
            place: StorePlace(place),
            copies: copies.into_iter().map(copy).collect(),
            tags: self.tags,
            properties: self.properties,
            created_at: Time(self.created_at),
            updated_at: Time(self.updated_at),
            upload: self.upload,
            active_at: active_at.map(Time),
            verdict: verdict.map(Verdict::from),
        })
    }
}

fn status_code(status: Status) -> u8 {
    match status {
        Status::Queued => 0,
        Status::Saving => 1,
        Status::Active => 2,
        Status::Deactivated => 3,
        Status::Killed => 4,
        Status::Uploading => 5,
        Status::Importing => 6,
    }
}

/// The number that stands for a visibility, in records and in index keys.
pub fn visibility_code(visibility: Visibility) -> u8 {
    match visibility {
        Visibility::Public => 0,
        Visibility::Community => 1,
        Visibility::Shared => 2,
        Visibility::Private => 3,
    }
}

fn known<T: Copy>(field: &str, code: u8, all: &[T], code_of: fn(T) -> u8) -> Result<T, Unreadable> {
    all.iter()
        .copied()
        .find(|value| code_of(*value) == code)
        .ok_or_else(|| Unreadable { name: <ImageRecord>::NAME, reason: format!("{field} {code} is unknown") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};
    use crate::model::SecureHash;

    fn full() -> Image {
        Image {
            id: ImageId(uuid::Uuid::from_bytes([7; 16])),
            name: Some("n".into()),
            status: Status::Active,
            visibility: Visibility::Shared,
            protected: true,
            hidden: false,
            owner: Some("o".into()),
            container_format: Some("bare".into()),
            disk_format: None,
            min_disk_gib: 1,
            min_ram_mib: 2,
            size_bytes: Some(3),
            virtual_size_bytes: None,
            digests: Some(Digests {
                md5: Some([1; 16]),
                secure: Some(SecureHash::Sha512(std::array::from_fn(|i| i as u8))),
                blake3: [2; 32],
            }),
            content: Some(ContentId([4; 16])),
            place: StorePlace(8),
            copies: vec![DataCopy { place: StorePlace::HOME, content: ContentId([9; 16]) }],
            tags: ["t".to_owned()].into(),
            properties: [("k".to_owned(), "v".to_owned())].into(),
            created_at: Time(5),
            updated_at: Time(-1),
            upload: Some([6; 16]),
            active_at: Some(Time(7)),
            verdict: Some(Verdict {
                format: "iso".into(),
                reader: 258,
                findings: vec![
                    Finding { code: "c".into(), field: "f".into(), value: Some("v".into()) },
                    Finding { code: "d".into(), field: "g".into(), value: None },
                ],
            }),
        }
    }

    /// The bytes of [`full`] in hex, with what stands for its digests.
    fn golden(version: &str, digests: &[&str]) -> String {
        let third = format!("01070000000000000008010000000000000000{}", "09".repeat(16));
        let text = |text: &str| format!("{:02x}00000000000000{}", text.len(), hex::encode(text));
        let count = "0200000000000000";
        let finding = [text("c"), text("f"), "01".into(), text("v"), text("d"), text("g"), "00".into()];
        let verdict = ["01", &text("iso"), "0201", count, &finding.concat()].concat();
        let before = [
            version,
            &"07".repeat(16),
            "0101000000000000006e",
            "02",
            "02",
            "01",
            "00",
            "0101000000000000006f",
            "01040000000000000062617265",
            "00",
            "0100000000000000",
            "0200000000000000",
            "010300000000000000",
            "00",
        ];
        let after = [
            "01",
            &"04".repeat(16),
            "0100000000000000010000000000000074",
            "010000000000000001000000000000006b010000000000000076",
            "0500000000000000",
            "ffffffffffffffff",
            "01",
            &"06".repeat(16),
            if matches!(version, "03" | "04") { &third } else { "" },
            if version == "04" { &verdict } else { "" },
        ];
        [before.concat(), digests.concat(), after.concat()].concat()
    }

    fn sha512() -> String {
        (0..64).map(|i| format!("{i:02x}")).collect()
    }

    #[test]
    fn the_image_form_is_golden() {
        let with = |digests| Image { digests, ..full() };
        let (md5, blake3) = ("01".repeat(16), "02".repeat(32));
        let sha256 = "03".repeat(32);
        let shorter = Digests { md5: None, secure: Some(SecureHash::Sha256([3; 32])), blake3: [2; 32] };
        let least = Digests { md5: None, secure: None, blake3: [2; 32] };
        for (image, digests) in [
            (full(), vec!["01", "01", &md5, "01", "00000000", &sha512(), &blake3]),
            (with(Some(shorter)), vec!["01", "00", "01", "01000000", &sha256, &blake3]),
            (with(Some(least)), vec!["01", "00", "00", &blake3]),
            (with(None), vec!["00"]),
        ] {
            let bytes = encode(&ImageRecord::of(&image));
            assert_eq!(hex::encode(&bytes), golden("04", &digests));
            assert_eq!(decode::<ImageRecord>(&bytes).unwrap().into_image().unwrap(), image);
        }
    }

    #[test]
    fn p8_records_of_earlier_forms_are_read() {
        let third = || Image { verdict: None, ..full() };
        let before = || Image { active_at: None, place: StorePlace::HOME, copies: Vec::new(), ..third() };
        let digests = ["01", &"01".repeat(16), &sha512(), &"02".repeat(32)];
        let bytes = hex::decode(golden("01", &digests)).unwrap();
        assert_eq!(decode::<ImageRecord>(&bytes).unwrap().into_image().unwrap(), before());
        let bytes = hex::decode(golden("01", &["00"])).unwrap();
        let empty = Image { digests: None, ..before() };
        assert_eq!(decode::<ImageRecord>(&bytes).unwrap().into_image().unwrap(), empty);
        let bytes = hex::decode(golden("02", &["00"])).unwrap();
        assert_eq!(decode::<ImageRecord>(&bytes).unwrap().into_image().unwrap(), empty);
        let bytes = hex::decode(golden("03", &["00"])).unwrap();
        let empty = Image { digests: None, ..third() };
        assert_eq!(decode::<ImageRecord>(&bytes).unwrap().into_image().unwrap(), empty);
        assert!(decode::<ImageRecord>(&hex::decode(golden("05", &["00"])).unwrap()).is_err());
    }

    #[test]
    fn every_state_and_visibility_survives() {
        for status in Status::ALL {
            for visibility in Visibility::ALL {
                let image = Image { status, visibility, ..full() };
                assert_eq!(ImageRecord::of(&image).into_image().unwrap(), image);
            }
        }
    }

    #[test]
    fn an_unknown_state_is_refused() {
        let record = ImageRecord { status: 9, ..ImageRecord::of(&full()) };
        let error = record.into_image().unwrap_err();
        assert_eq!(error.to_string(), "unreadable image record: status 9 is unknown");
    }
}
