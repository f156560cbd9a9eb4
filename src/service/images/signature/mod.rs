//! Signatures of images: what an image's properties say its data is signed with, and whether it is.
//!
//! [`certificates`] finds the key, [`keys`] does the arithmetic; here a stream is followed from its first byte to the
//! verdict. Invariant: an image whose record names a signature becomes active only in a commit that was handed a
//! [`Verified`] for the very signature that the record names in it. Must not know how data arrives.
//!
//! The rules are those of the reference: the signature is over all of the image's data, hashed by the named method, and
//! the certificate is known to the box by its UUID.

mod certificates;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

pub use certificates::Certificates;
use keys::{HashMethod, Hashing, Key, KeyType};

use crate::model::{ContentId, Image};
use crate::service::{Error, Service};
use crate::store::Store;

const SIGNATURE: &str = "img_signature";
const HASH_METHOD: &str = "img_signature_hash_method";
const KEY_TYPE: &str = "img_signature_key_type";
const CERTIFICATE: &str = "img_signature_certificate_uuid";
/// The properties that say how an image is signed: all of them, or none.
const PROPERTIES: [&str; 4] = [SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE];
/// Bytes that are read back at once.
const PIECE_BYTES: usize = 1 << 20;

/// What the operator wants of signatures.
#[derive(Debug, Clone, Default)]
pub struct SignatureRules {
    /// Whether an image without one is refused its data.
    pub required: bool,
    /// Whose signatures count; without any, none can be verified.
    pub certificates: Option<Certificates>,
}

/// What a record says of its signature.
type Said = BTreeMap<&'static str, String>;

/// A signature that is being verified while data arrives.
pub(super) struct Verification {
    said: Said,
    check: Option<Check>,
}

struct Check {
    key: Key,
    signature: Vec<u8>,
    hashing: Hashing,
}

/// That an image's data is what its record said it would be.
#[derive(Debug, Clone)]
pub(super) struct Verified(Option<Said>);

impl Service {
    /// Makes ready to verify what an image's record says. Blocks on reading the certificate.
    ///
    /// # Errors
    /// `Invalid` when the properties contradict themselves, are not all there, name what this box has not or cannot
    /// verify, or when the operator wants a signature and there is none.
    pub(super) fn verification(&self, image: &Image) -> Result<Verification, Error> {
        let said = said_of(image);
        let rules = &self.rules.signatures;
        let refused = |why: String| Error::invalid(format!("image {}: {why}", image.id));
        if said.is_empty() && rules.required {
            return Err(refused(format!(
                "this server takes signed images only; set the properties {}",
                PROPERTIES.join(", ")
            )));
        }
        if said.is_empty() {
            return Ok(Verification { said, check: None });
        }
        if let Some(missing) = PROPERTIES.iter().find(|name| !said.contains_key(*name)) {
            return Err(refused(format!("its signature needs the property {missing} too; set it, or none")));
        }
        let check = Check::of(&said, rules.certificates.as_ref(), self.clock.now()).map_err(refused)?;
        Ok(Verification { said, check: Some(check) })
    }
}

impl Check {
    fn of(said: &Said, certificates: Option<&Certificates>, now: crate::base::Time) -> Result<Check, String> {
        let base64: String = said[SIGNATURE].split_whitespace().collect();
        let signature = STANDARD.decode(base64).map_err(|why| format!("{SIGNATURE} is no base64: {why}"))?;
        let method = HashMethod::parse(&said[HASH_METHOD])?;
        let kind = KeyType::parse(&said[KEY_TYPE])?;
        let id = &said[CERTIFICATE];
        let id = Uuid::parse_str(id).map_err(|_| format!("{CERTIFICATE}: {id:?} is no UUID"))?;
        let certificates =
            certificates.ok_or("it is signed, and this server has no certificates to verify that with")?;
        let key = certificates.key(id, kind, now)?;
        Ok(Check { key, signature, hashing: Hashing::new(method) })
    }
}

impl Verification {
    /// Of data that becomes no image's as it is.
    pub(super) fn none() -> Verification {
        Verification { said: Said::new(), check: None }
    }

    /// Whether it has to see the data.
    pub(super) fn wants_data(&self) -> bool {
        self.check.is_some()
    }

    /// Takes the next bytes of the data.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(check) = &mut self.check {
            check.hashing.update(bytes);
        }
    }

    /// Takes all of a stored stream in place of what it took before. Blocks on the medium.
    pub(super) fn read_back(&mut self, store: &Store, content: &ContentId) -> Result<(), Error> {
        let Some(check) = &mut self.check else { return Ok(()) };
        check.hashing = check.hashing.anew();
        let reader = store.reader(content)?;
        let (mut at, size) = (0, reader.size_bytes());
        let mut piece = vec![0; PIECE_BYTES];
        while at < size {
            let length = (size - at).min(PIECE_BYTES as u64) as usize;
            reader.read_at(at, &mut piece[..length])?;
            check.hashing.update(&piece[..length]);
            at += length as u64;
        }
        Ok(())
    }

    /// The verdict, once all data was seen.
    ///
    /// # Errors
    /// `Invalid` when the data is not what was signed.
    pub(super) fn finish(self) -> Result<Verified, Error> {
        if let Some(Check { key, signature, hashing }) = self.check
            && !key.signed(hashing, &signature)
        {
            let certificate = &self.said[CERTIFICATE];
            return Err(Error::invalid(format!(
                "the data is not what {SIGNATURE} signs with the key of certificate {certificate}: correct the data or \
                 the four properties of the signature"
            )));
        }
        Ok(Verified(Some(self.said)))
    }
}

impl Verified {
    /// Of a copy within the box: its bytes are an active image's, which had its verdict.
    pub(super) fn with_its_original() -> Verified {
        Verified(None)
    }

    /// Refuses an image whose record names another signature by now. In the commit that makes it active.
    pub(super) fn expect_holds(&self, image: &Image) -> Result<(), Error> {
        match &self.0 {
            Some(said) if *said != said_of(image) => Err(Error::conflict(format!(
                "the signature of image {} was changed while its data arrived; send the data again",
                image.id
            ))),
            _ => Ok(()),
        }
    }
}

fn said_of(image: &Image) -> Said {
    let value = |name: &&'static str| Some((*name, image.properties.get(*name)?.clone()));
    PROPERTIES.iter().filter_map(value).collect()
}
