//! TLS of connections: the server's certificate, and users by the certificates that clients bring.
//!
//! Invariant: where there is an authority for clients, nobody comes in without a certificate of it, and only a certificate that
//! the operator mapped to a user is that user. Must not know what a user may have.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode, Encode};

/// What stands before the digest of a certificate.
const FINGERPRINT: &str = "sha256:";

/// A user in a project, by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUser {
    /// The user's name.
    pub user: String,
    /// The domain of both, by name.
    pub domain: String,
    /// The project's name.
    pub project: String,
}

impl NamedUser {
    /// Reads `USER@DOMAIN/PROJECT`.
    pub fn parse(text: &str) -> Option<NamedUser> {
        let (who, project) = text.rsplit_once('/')?;
        let (user, domain) = who.rsplit_once('@')?;
        let parts = [user, domain, project].map(str::to_owned);
        if parts.iter().any(String::is_empty) {
            return None;
        }
        let [user, domain, project] = parts;
        Some(NamedUser { user, domain, project })
    }
}

/// What TLS begins with. Cheap to share.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    users: Arc<BTreeMap<String, NamedUser>>,
}

impl Tls {
    /// A server with this certificate (and those between it and its root) and key, both PEM; with the authorities of clients,
    /// where they need certificates; and users by the common names of their certificates, or by `sha256:` and the digest.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn new(
        certificate: &[u8],
        key: &[u8],
        client_ca: Option<&[u8]>,
        users: BTreeMap<String, NamedUser>,
    ) -> Result<Tls, String> {
        let chain = certificates("nbd.tls_cert", certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|e| format!("nbd.tls_key: no private key: {e}"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("nbd.tls_cert: {e}"))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for root in certificates("nbd.tls_client_ca", pem)? {
                    roots.add(root).map_err(|e| format!("nbd.tls_client_ca: {e}"))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|e| format!("nbd.tls_client_ca: {e}"))?)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(|e| format!("nbd.tls_key: {e}"))?;
        let users = users.into_iter().map(|(name, user)| (normal(&name), user)).collect();
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), users: Arc::new(users) })
    }

    /// What begins TLS on a stream.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The user of a client with these certificates, its own in front.
    pub fn user_of(&self, brought: Option<&[CertificateDer<'_>]>) -> Option<&NamedUser> {
        let own = brought?.first()?;
        let fingerprint = format!("{FINGERPRINT}{}", hex::encode(Sha256::digest(own)));
        self.users.get(&fingerprint).or_else(|| self.users.get(&common_name(own)?))
    }
}

/// A digest may be written in capitals, and with colons.
fn normal(name: &str) -> String {
    match name.strip_prefix(FINGERPRINT) {
        Some(digest) => format!("{FINGERPRINT}{}", digest.replace(':', "").to_lowercase()),
        None => name.to_owned(),
    }
}

fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{setting}: there is no certificate in it (PEM)")),
        Err(error) => Err(format!("{setting}: {error}")),
    }
}

/// The one common name of a certificate's subject; none where it has several, or where it would pass for the digest of another
/// certificate.
fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let mut names =
        certificate.tbs_certificate().subject().iter().filter(|attribute| attribute.oid == CN).map(
            |attribute| {
                let der = attribute.value.to_der().ok()?;
                let text = Utf8StringRef::from_der(&der).map(|text| text.as_str().to_owned());
                text.or_else(|_| PrintableStringRef::from_der(&der).map(|text| text.as_str().to_owned())).ok()
            },
        );
    let first = names.next()??;
    (names.next().is_none() && !first.starts_with(FINGERPRINT)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_in_three_parts() {
        let named = NamedUser::parse("ann@lab@Default/fleet").unwrap();
        let expected = ["ann@lab", "Default", "fleet"].map(str::to_owned);
        assert_eq!([named.user, named.domain, named.project], expected);
        for bad in ["", "ann", "ann@Default", "ann/fleet", "@Default/fleet", "ann@/fleet", "ann@Default/"] {
            assert_eq!(NamedUser::parse(bad), None, "{bad}");
        }
    }

    /// Somebody who is called `sha256-abcd`, by OpenSSL; nobody has the key.
    const CALLED: &str = "\
-----BEGIN CERTIFICATE-----
MIIBXzCCAQWgAwIBAgIUJwvdnUO5mWIWDU1r684uAJKLracwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLc2hhMjU2LWFiY2QwIBcNMjYxMTI4MTUzODMxWhgPMjA1NDA0
MTUxNTM4MzFaMBYxFDASBgNVBAMMC3NoYTI1Ni1hYmNkMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEXNN9hqs5l8jZGixkq4m+MYinKXTJgX0dRBsIh+K9leG/WcdU
IWQ3Ob+xLUAIrKlQiKlhwcr8fjAi6AXXKvKUS6MvMC0wDAYDVR0TAQH/BAIwADAd
BgNVHQ4EFgQU/aJGNsIn0rymB7V7ztiPpwWK5VMwCgYIKoZIzj0EAwIDSAAwRQIh
AL5E2O9+ywmmdYaDnbwfbvcO/pAh8psNh/0CwJDv9o6wAiAUr+gwNUQKK7cuGyUW
70PWScEbjd1Y4XHAm0JsSOClhw==
-----END CERTIFICATE-----
";

    #[test]
    fn no_common_name_passes_for_a_digest() {
        let mut der = certificates("test", CALLED.as_bytes()).unwrap().remove(0).to_vec();
        assert_eq!(common_name(&der).as_deref(), Some("sha256-abcd"));
        let dash = der.windows(7).rposition(|window| window == b"sha256-").unwrap() + 6;
        der[dash] = b':';
        assert_eq!(common_name(&der), None);
    }

    #[test]
    fn digests_are_written_in_several_ways() {
        assert_eq!(normal("sha256:AB:cd"), "sha256:abcd");
        assert_eq!(normal("AB:cd"), "AB:cd");
    }
}
