//! The record of an image that was deleted and is retained.

use serde::{Deserialize, Serialize};

use crate::db::codec::Record;

/// A deleted image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedImageRecord {
    /// When, in microseconds since the Unix epoch.
    pub deleted_at: i64,
    /// Its record as it was, with that record's own version.
    pub image: Vec<u8>,
}

impl Record for DeletedImageRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "deleted image";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let record = DeletedImageRecord { deleted_at: -1, image: vec![7, 8] };
        let bytes = encode(&record);
        assert_eq!(hex::encode(&bytes), "01ffffffffffffffff02000000000000000708");
        assert_eq!(decode::<DeletedImageRecord>(&bytes).unwrap(), record);
    }
}
