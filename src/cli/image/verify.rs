//! Whether the bytes that arrived are the image's.

use md5::Md5;
use serde_json::Value;
use sha2::{Digest, Sha512};

use super::super::failure::Failure;

/// The strongest digest that the record has.
pub enum Verify {
    /// SHA-512.
    Sha512(Box<Sha512>),
    /// MD5.
    Md5(Md5),
    /// Nothing but its length.
    Length,
}

impl Verify {
    /// What the record of an image calls for.
    pub fn of(image: &Value) -> Verify {
        if image["os_hash_algo"] == "sha512" {
            Verify::Sha512(Box::default())
        } else if image["checksum"].is_string() {
            Verify::Md5(Md5::new())
        } else {
            Verify::Length
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Verify::Sha512(hash) => hash.update(bytes),
            Verify::Md5(hash) => hash.update(bytes),
            Verify::Length => {}
        }
    }

    /// Compares what arrived, `written` bytes of it, with the record.
    ///
    /// # Errors
    /// When it is something else.
    pub fn finish(self, image: &Value, written: u64) -> Result<(), Failure> {
        let (what, found, wanted) = match self {
            Verify::Sha512(hash) => ("sha512", hex::encode(hash.finalize()), image["os_hash_value"].as_str()),
            Verify::Md5(hash) => ("md5", hex::encode(hash.finalize()), image["checksum"].as_str()),
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
