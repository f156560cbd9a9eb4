//! The record of where an image's data was fetched from; the image's id is the row's key.

use serde::{Deserialize, Serialize};

use crate::db::codec::{Record, Unreadable};
use crate::model::image::Location;
use crate::model::{HashAlgorithm, SecureHash};

/// A location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationRecord {
    url: String,
    /// The algorithm's word and the hash, where the caller named one.
    expected: Option<(String, Vec<u8>)>,
}

impl Record for LocationRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "location";
}

impl From<&Location> for LocationRecord {
    fn from(location: &Location) -> LocationRecord {
        let expected = location.expected.as_ref();
        let expected = expected.map(|hash| (hash.algorithm().as_str().to_owned(), hash.value().to_vec()));
        LocationRecord { url: location.url.clone(), expected }
    }
}

impl LocationRecord {
    /// # Errors
    /// [`Unreadable`] when the hash is of a kind or length that this release does not know.
    pub fn into_location(self) -> Result<Location, Unreadable> {
        let read = |(algorithm, value): (String, Vec<u8>)| {
            let known =
                HashAlgorithm::parse(&algorithm).and_then(|algorithm| SecureHash::new(algorithm, &value));
            let reason = format!("a hash of {} bytes by {algorithm:?}", value.len());
            known.ok_or(Unreadable { name: Self::NAME, reason })
        };
        Ok(Location { url: self.url, expected: self.expected.map(read).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let location = Location { url: "u".into(), expected: Some(SecureHash::Sha256([3; 32])) };
        let bytes = encode(&LocationRecord::from(&location));
        let form = [
            "01",
            "010000000000000075",
            "01",
            "0600000000000000736861323536",
            "2000000000000000",
            &"03".repeat(32),
        ];
        assert_eq!(hex::encode(&bytes), form.concat());
        assert_eq!(decode::<LocationRecord>(&bytes).unwrap().into_location().unwrap(), location);
        let bare = Location { expected: None, ..location };
        assert_eq!(LocationRecord::from(&bare).into_location().unwrap(), bare);
        let wrong = LocationRecord { url: "u".into(), expected: Some(("sha256".into(), vec![3; 31])) };
        assert!(wrong.into_location().is_err());
    }
}
