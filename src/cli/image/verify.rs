//! Whether the bytes that arrived are the image's.

use fast_md5::Md5;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use super::super::failure::Failure;

/// What zeros are hashed in.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The strongest digest that the record has, of those that can be computed here.
pub enum Verify {
    /// SHA-512.
    Sha512(Box<Sha512>),
    /// SHA-256.
    Sha256(Box<Sha256>),
    /// MD5.
    Md5(Box<Md5>),
    /// Nothing but its length.
    Length,
}

impl Verify {
    /// What the record of an image calls for.
    pub fn of(image: &Value) -> Verify {
        match image["os_hash_algo"].as_str() {
            Some("sha512") => Verify::Sha512(Box::default()),
            Some("sha256") => Verify::Sha256(Box::default()),
            _ if image["checksum"].is_string() => Verify::Md5(Box::new(Md5::new())),
            _ => Verify::Length,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Verify::Sha512(hash) => hash.update(bytes),
            Verify::Sha256(hash) => hash.update(bytes),
            Verify::Md5(hash) => hash.update(bytes),
            Verify::Length => {}
        }
    }

    /// Takes so many zeros.
    pub fn zeros(&mut self, bytes: u64) {
        if matches!(self, Verify::Length) {
            return;
        }
        let mut left = bytes;
        while left > 0 {
            let now = left.min(ZEROS.len() as u64);
            self.update(&ZEROS[..now as usize]);
            left -= now;
        }
    }

    /// Compares what arrived, `written` bytes of it, with the record.
    ///
    /// # Errors
    /// When it is something else.
    pub fn finish(self, image: &Value, written: u64) -> Result<(), Failure> {
        let hash = image["os_hash_value"].as_str();
        let (what, found, wanted) = match self {
            Verify::Sha512(sha512) => ("sha512", hex::encode(sha512.finalize()), hash),
            Verify::Sha256(sha256) => ("sha256", hex::encode(sha256.finalize()), hash),
            Verify::Md5(md5) => ("md5", hex::encode(md5.finalize()), image["checksum"].as_str()),
            Verify::Length => return check_length(image, written),
        };
        if wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(&found)) {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "the data that arrived is not the image: its {what} is {found}, the record says {}",
            wanted.unwrap_or("nothing")
        )))
    }
}

fn check_length(image: &Value, written: u64) -> Result<(), Failure> {
    match image["size"].as_u64() {
        Some(size) if size != written => Err(Failure::failed(format!("{written} of {size} bytes arrived"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                          2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    fn outcome(image: &Value, arrived: &[u8]) -> Result<(), String> {
        let mut verify = Verify::of(image);
        arrived.chunks(2).for_each(|piece| verify.update(piece));
        verify.finish(image, arrived.len() as u64).map_err(|failure| failure.to_string())
    }

    #[test]
    fn p1_data_is_compared_by_the_strongest_digest_of_its_record() {
        for (image, what) in [
            (
                json!({"size": 3, "checksum": MD5, "os_hash_algo": "sha512", "os_hash_value": SHA512}),
                "sha512",
            ),
            (
                json!({"size": 3, "checksum": MD5, "os_hash_algo": "sha256", "os_hash_value": SHA256}),
                "sha256",
            ),
            (
                json!({"size": 3, "checksum": null, "os_hash_algo": "sha256", "os_hash_value": SHA256}),
                "sha256",
            ),
            // An algorithm of another service: its MD5 is what there is.
            (json!({"size": 3, "checksum": MD5, "os_hash_algo": "sha384", "os_hash_value": "x"}), "md5"),
            (json!({"size": 3, "checksum": MD5, "os_hash_algo": null, "os_hash_value": null}), "md5"),
        ] {
            assert_eq!(outcome(&image, b"abc"), Ok(()), "{image}");
            let refusal = outcome(&image, b"abd").unwrap_err();
            assert!(refusal.contains(&format!("its {what} is")), "{refusal}");
        }
    }

    #[test]
    fn without_any_digest_the_length_is_all_there_is() {
        let image = json!({"size": 3, "checksum": null, "os_hash_algo": null, "os_hash_value": null});
        assert_eq!(outcome(&image, b"abd"), Ok(()));
        assert_eq!(outcome(&image, b"ab").unwrap_err(), "2 of 3 bytes arrived");
    }
}
