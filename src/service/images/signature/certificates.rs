//! Certificates that images may be signed with: files of the operator, by their UUID.
//!
//! Invariant: no name of a caller's leads out of the folder, as it is a UUID; a certificate counts only within its time,
//! and, where the operator names roots, only if it leads to one of them. Files are read when they are asked for, so that
//! one that is put there or taken away counts at once.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use uuid::Uuid;
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::keys::{Key, KeyType};
use crate::base::Time;

/// A file with more than a certificate and those between it and a root is none.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// What a certificate is for that says what it is for: signing code (1.3.6.1.5.5.7.3.3).
const CODE_SIGNING: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 3, 3];

/// The operator's certificates.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
    roots: Vec<TrustAnchor<'static>>,
}

impl Certificates {
    /// Those in a folder, as files `UUID.pem`. `roots_pem` are certificates that must have issued them, through others
    /// in the same file if need be; with none, what is in the folder is trusted.
    ///
    /// # Errors
    /// What is wrong with the roots.
    pub fn new(folder: PathBuf, roots_pem: &[u8]) -> Result<Certificates, String> {
        let mut roots = Vec::new();
        for root in CertificateDer::pem_slice_iter(roots_pem) {
            let root = root.map_err(|why| format!("no PEM file: {why}"))?;
            let anchor = webpki::anchor_from_trusted_cert(&root)
                .map_err(|why| format!("certificate {}: {why}", roots.len() + 1))?;
            roots.push(anchor.to_owned());
        }
        if roots.is_empty() && !roots_pem.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        Ok(Certificates { folder, roots })
    }

    /// The public key of a certificate that counts now.
    pub(super) fn key(&self, id: Uuid, kind: KeyType, now: Time) -> Result<Key, String> {
        let chain = self.chain(id)?;
        let (first, between) = chain.split_first().ok_or(format!("certificate {id}: its file has none"))?;
        let unread = |why: String| format!("certificate {id} cannot be read: {why}");
        let certificate = Certificate::from_der(first).map_err(|why| unread(why.to_string()))?;
        let inner = certificate.tbs_certificate();
        let validity = inner.validity();
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        if seconds < validity.not_before.to_unix_duration().as_secs() {
            return Err(format!("certificate {id} counts from {} on only", validity.not_before));
        }
        if seconds > validity.not_after.to_unix_duration().as_secs() {
            return Err(format!("certificate {id} has counted until {} only", validity.not_after));
        }
        self.expect_trusted(first, between, seconds)
            .map_err(|why| format!("certificate {id} leads to no root that this server trusts: {why}"))?;
        let spki = inner.subject_public_key_info().to_der().map_err(|why| unread(why.to_string()))?;
        Key::read(kind, &spki).ok_or_else(|| {
            format!("certificate {id} has no key for {}: another kind, or a bad one", kind.as_str())
        })
    }

    fn expect_trusted(
        &self,
        first: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        seconds: u64,
    ) -> Result<(), webpki::Error> {
        if self.roots.is_empty() {
            return Ok(());
        }
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let usage = KeyUsage::required_if_present(&CODE_SIGNING);
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        EndEntityCert::try_from(first)?
            .verify_for_usage(algorithms, &self.roots, between, time, usage, None, None)
            .map(drop)
    }

    /// What is in a certificate's file: itself, and what leads to a root.
    fn chain(&self, id: Uuid) -> Result<Vec<CertificateDer<'static>>, String> {
        let path = self.folder.join(format!("{}.pem", id.hyphenated()));
        let unread = |why: String| {
            // Where the operator keeps them is not for callers.
            tracing::warn!(certificate = %id, path = %path.display(), %why, "a certificate cannot be read");
            format!("certificate {id} cannot be read; the server's log says why")
        };
        let file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("this server has no certificate {id}"),
            _ => unread(error.to_string()),
        })?;
        let mut pem = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(|error| unread(error.to_string()))?;
        if pem.len() as u64 > FILE_BYTES_MAX {
            return Err(unread(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>();
        certificates.map_err(|why| unread(why.to_string()))
    }
}
