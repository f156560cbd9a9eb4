//! The record of where an image's data lies on the web; the image's id is the row's key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::db::codec::{self, Record, Unreadable};
use crate::model::image::{Declared, Located, Location};
use crate::model::{HashAlgorithm, SecureHash};

/// Locations of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationRecord {
    /// Each address, and what is said of it.
    locations: Vec<(String, BTreeMap<String, String>)>,
    md5: Option<[u8; 16]>,
    /// The algorithm's word and the hash, where the caller named one.
    secure: Option<(String, Vec<u8>)>,
}

impl Record for LocationRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "location";

    fn decode_other(version: u8, body: &[u8]) -> Result<LocationRecord, Unreadable> {
        match version {
            FirstLocationRecord::VERSION => {
                let FirstLocationRecord { url, expected } = codec::decode_body(body)?;
                let locations = vec![(url, BTreeMap::new())];
                Ok(LocationRecord { locations, md5: None, secure: expected })
            }
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

/// The first version, of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FirstLocationRecord {
    url: String,
    expected: Option<(String, Vec<u8>)>,
}

impl Record for FirstLocationRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "location";
}

impl From<&Located> for LocationRecord {
    fn from(located: &Located) -> LocationRecord {
        let Located { locations, declared } = located;
        let secure = declared.secure.as_ref();
        LocationRecord {
            locations: locations.iter().map(|one| (one.url.clone(), one.metadata.clone())).collect(),
            md5: declared.md5,
            secure: secure.map(|hash| (hash.algorithm().as_str().to_owned(), hash.value().to_vec())),
        }
    }
}

impl LocationRecord {
    /// # Errors
    /// [`Unreadable`] when the hash is of a kind or length that this release does not know.
    pub fn into_located(self) -> Result<Located, Unreadable> {
        let read = |(algorithm, value): (String, Vec<u8>)| {
            let known =
                HashAlgorithm::parse(&algorithm).and_then(|algorithm| SecureHash::new(algorithm, &value));
            let reason = format!("a hash of {} bytes by {algorithm:?}", value.len());
            known.ok_or(Unreadable { name: Self::NAME, reason })
        };
        let locations = self.locations.into_iter();
        Ok(Located {
            locations: locations.map(|(url, metadata)| Location { url, metadata }).collect(),
            declared: Declared { md5: self.md5, secure: self.secure.map(read).transpose()? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let metadata = [("k".to_owned(), "v".to_owned())].into();
        let located = Located {
            locations: vec![Location { url: "u".into(), metadata }],
            declared: Declared { md5: Some([1; 16]), secure: Some(SecureHash::Sha256([3; 32])) },
        };
        let bytes = encode(&LocationRecord::from(&located));
        let sha256 = ["01", "0600000000000000736861323536", "2000000000000000", &"03".repeat(32)].concat();
        let form = [
            "02",
            "0100000000000000",
            "010000000000000075",
            "010000000000000001000000000000006b010000000000000076",
            &format!("01{}", "01".repeat(16)),
            &sha256,
        ];
        assert_eq!(hex::encode(&bytes), form.concat());
        assert_eq!(decode::<LocationRecord>(&bytes).unwrap().into_located().unwrap(), located);
        // The first version had one address, and nothing said of it.
        let first = hex::decode(["01", "010000000000000075", &sha256].concat()).unwrap();
        let read = decode::<LocationRecord>(&first).unwrap().into_located().unwrap();
        let secure = located.declared.secure;
        let before = Location { url: "u".into(), ..Location::default() };
        assert_eq!(read, Located { locations: vec![before], declared: Declared { md5: None, secure } });
        let wrong = LocationRecord {
            secure: Some(("sha256".into(), vec![3; 31])),
            ..LocationRecord::from(&Located::default())
        };
        assert!(wrong.into_located().is_err());
        assert!(decode::<LocationRecord>(&[3]).is_err());
    }
}
