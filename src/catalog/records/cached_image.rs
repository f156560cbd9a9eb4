//! The note on an image that was brought into the cache; the image's id is the row's key.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::ImageId;
use crate::model::cached_image::CachedImage;

/// A note without its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedImageRecord {
    number: u64,
    hits: u64,
    accessed_at: i64,
    cached_at: i64,
}

impl Record for CachedImageRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "cached image";
}

impl From<&CachedImage> for CachedImageRecord {
    fn from(note: &CachedImage) -> CachedImageRecord {
        CachedImageRecord {
            number: note.number,
            hits: note.hits,
            accessed_at: note.accessed_at.0,
            cached_at: note.cached_at.0,
        }
    }
}

impl CachedImageRecord {
    /// The note on this image.
    pub fn into_note(self, image: ImageId) -> CachedImage {
        CachedImage {
            image,
            number: self.number,
            hits: self.hits,
            accessed_at: Time(self.accessed_at),
            cached_at: Time(self.cached_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let image = ImageId(uuid::Uuid::from_bytes([7; 16]));
        let note = CachedImage { image, number: 1, hits: 2, accessed_at: Time(3), cached_at: Time(4) };
        let bytes = encode(&CachedImageRecord::from(&note));
        let number = |n: u8| format!("{n:02x}00000000000000");
        let form = ["01".to_owned(), number(1), number(2), number(3), number(4)];
        assert_eq!(hex::encode(&bytes), form.concat());
        assert_eq!(decode::<CachedImageRecord>(&bytes).unwrap().into_note(image), note);
    }
}
