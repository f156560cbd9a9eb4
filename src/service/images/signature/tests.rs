//! Signatures that OpenSSL made (`vectors/make`), on every way by which data reaches an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::model::job::{DataOrigin, IntakeKind, JobState};
use crate::model::{ImageId, PartialUpload, Status};
use crate::service::images::{BodyBroken, Change, Destination, Existing, Field, NewImage, NewIntake, Patch};
use crate::service::testing::{self, ManualClock, member, rules, work_off};
use crate::service::{ErrorKind, Rules};

macro_rules! vector {
    ($name:literal) => {
        include_str!(concat!("vectors/", $name))
    };
}

/// Certificates by the last digit of their UUID.
const CERTIFICATES: [(&str, &str); 6] = [
    ("1", vector!("rsa.pem")),
    ("2", vector!("p384.pem")),
    ("3", vector!("p521.pem")),
    ("5", vector!("server.pem")),
    ("6", vector!("ended.pem")),
    ("7", "no certificate"),
];
/// A leaf, and the one between it and the root.
const LEAF: &str = concat!(vector!("leaf.pem"), vector!("middle.pem"));
/// From the clock of tests to 2030, where all certificates count but those that have ended.
const TO_2030_S: i64 = 193_456_000;

/// What is signed.
fn data() -> Vec<u8> {
    (0..300_000).map(|at| (at % 251) as u8).collect()
}

fn uuid(digit: &str) -> String {
    format!("00000000-0000-4000-8000-00000000000{digit}")
}

/// A box in 2030 with the certificates above; the folder is to be kept.
fn boxed(roots: &str, required: bool) -> (Service, Arc<ManualClock>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (digit, pem) in CERTIFICATES.into_iter().chain([("4", LEAF)]) {
        std::fs::write(folder.path().join(format!("{}.pem", uuid(digit))), pem).unwrap();
    }
    let certificates = Certificates::new(folder.path().into(), roots.as_bytes()).unwrap();
    let signatures = SignatureRules { required, certificates: Some(certificates) };
    let (service, clock) = testing::service_with(Rules { signatures, ..rules() });
    clock.step_seconds(TO_2030_S);
    (service, clock, folder)
}

/// The four properties.
fn signed(digit: &str, kind: &str, hash: &str, signature: &str) -> BTreeMap<&'static str, String> {
    let values = [signature.to_owned(), hash.to_owned(), kind.to_owned(), uuid(digit)];
    PROPERTIES.into_iter().zip(values).collect()
}

fn by_rsa() -> BTreeMap<&'static str, String> {
    signed("1", "RSA-PSS", "SHA-256", vector!("rsa-sha256.b64"))
}

fn change(name: &str, value: &str) -> Change {
    Change::SetProperty { name: name.into(), value: value.into(), existing: Existing::Any }
}

fn image(service: &Service, properties: &BTreeMap<&'static str, String>) -> ImageId {
    let fields = [Field::DiskFormat(Some("raw".into())), Field::ContainerFormat(Some("bare".into()))];
    let properties = properties.iter().map(|(name, value)| change(name, value));
    let changes = fields.map(Change::Set).into_iter().chain(properties).collect();
    service.create_image(&member("p"), NewImage { id: None, changes }).unwrap().id
}

fn shown(service: &Service, id: &ImageId) -> Image {
    service.show_image(&member("p"), id).unwrap()
}

fn pieces(data: &[u8]) -> impl futures::Stream<Item = Result<Bytes, BodyBroken>> + Unpin + Send + 'static {
    let pieces: Vec<_> = data.chunks(70_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

async fn upload(service: &Service, id: &ImageId, data: &[u8]) -> Result<Image, Error> {
    service.begin_upload(&member("p"), id, None)?.receive(pieces(data)).await
}

async fn part(service: &Service, upload: &PartialUpload, data: &[u8]) -> Result<PartialUpload, Error> {
    let patch = Patch { offset: upload.received_bytes, declared_bytes: None };
    service.receive_part(&member("p"), &upload.image, upload.token, patch, pieces(data)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_openssl_signed_becomes_active_and_nothing_else_does() {
    let (service, _clock, _folder) = boxed("", false);
    let mut broken = data();
    broken[150_000] ^= 1;
    for (digit, kind, hash, signature) in [
        ("1", "RSA-PSS", "SHA-224", vector!("rsa-sha224.b64")),
        ("1", "RSA-PSS", "SHA-256", vector!("rsa-sha256.b64")),
        ("1", "RSA-PSS", "SHA-384", vector!("rsa-sha384.b64")),
        ("1", "RSA-PSS", "SHA-512", vector!("rsa-sha512.b64")),
        ("2", "ECC_SECP384R1", "SHA-384", vector!("p384-sha384.b64")),
        ("2", "ECC_SECP384R1", "SHA-512", vector!("p384-sha512.b64")),
        ("3", "ECC_SECP521R1", "SHA-256", vector!("p521-sha256.b64")),
        ("3", "ECC_SECP521R1", "SHA-512", vector!("p521-sha512.b64")),
    ] {
        let id = image(&service, &signed(digit, kind, hash, signature));
        let refused = upload(&service, &id, &broken).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid, "{kind} {hash}");
        assert!(refused.message.contains("img_signature"), "{refused:?}");
        assert_eq!((shown(&service, &id).status, shown(&service, &id).size_bytes), (Status::Queued, None));
        let active = upload(&service, &id, &data()).await.unwrap();
        assert_eq!(active.status, Status::Active, "{kind} {hash}");
    }
    // By another key, over another hash, padded otherwise: the same data.
    for (digit, hash, signature) in [
        ("4", "SHA-256", vector!("rsa-sha256.b64")),
        ("1", "SHA-512", vector!("rsa-sha256.b64")),
        ("1", "SHA-256", vector!("rsa-short-salt.b64")),
        ("1", "SHA-256", vector!("rsa-pkcs1.b64")),
        ("1", "SHA-256", "AAAA"),
        ("1", "SHA-256", ""),
    ] {
        let id = image(&service, &signed(digit, "RSA-PSS", hash, signature));
        assert_eq!(upload(&service, &id, &data()).await.unwrap_err().kind, ErrorKind::Invalid, "{signature}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_is_refused_before_any_data_is_taken() {
    let (service, clock, folder) = boxed(vector!("root.pem"), false);
    let mut cases = Vec::new();
    for missing in PROPERTIES {
        let mut some = by_rsa();
        some.remove(missing);
        cases.push((some, missing));
    }
    for (name, value, what) in [
        (SIGNATURE, "no base64!", "no base64"),
        (HASH_METHOD, "MD5", "none of SHA-224"),
        (KEY_TYPE, "DSA", "not verified here"),
        (KEY_TYPE, "ECC_SECP256R1", "ECC_SECP384R1"),
        (KEY_TYPE, "ECC_SECP384R1", "leads to no root"),
        (CERTIFICATE, "../../etc/passwd", "no UUID"),
        (CERTIFICATE, &uuid("9"), "has no certificate"),
        (CERTIFICATE, &uuid("7"), "its file has none"),
        (CERTIFICATE, &uuid("1"), "leads to no root"),
        (CERTIFICATE, &uuid("5"), "leads to no root"),
        (CERTIFICATE, &uuid("6"), "has counted until"),
    ] {
        cases.push((by_rsa().into_iter().chain([(name, value.to_owned())]).collect(), what));
    }
    let leaf = signed("4", "RSA-PSS", "SHA-256", vector!("leaf-sha256.b64"));
    let other_kind = leaf.clone().into_iter().chain([(KEY_TYPE, "ECC_SECP384R1".to_owned())]).collect();
    cases.push((other_kind, "has no key for ECC_SECP384R1"));
    for (properties, what) in cases {
        let id = image(&service, &properties);
        let begun = service.begin_upload(&member("p"), &id, None).err().unwrap();
        assert_eq!(begun.kind, ErrorKind::Invalid, "{what}");
        assert!(begun.message.contains(what) && begun.message.contains(&id.to_string()), "{what}: {begun:?}");
        assert_eq!(service.create_upload(&member("p"), &id, None).unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(shown(&service, &id).status, Status::Queued);
    }
    // What leads to the root through another one counts, and only while it is there.
    let id = image(&service, &leaf);
    assert_eq!(upload(&service, &id, &data()).await.unwrap().status, Status::Active);
    let id = image(&service, &leaf);
    std::fs::write(folder.path().join(format!("{}.pem", uuid("4"))), vector!("leaf.pem")).unwrap();
    assert!(upload(&service, &id, &data()).await.unwrap_err().message.contains("leads to no root"));
    std::fs::write(folder.path().join(format!("{}.pem", uuid("4"))), LEAF).unwrap();
    clock.step_seconds(-TO_2030_S);
    assert!(upload(&service, &id, &data()).await.unwrap_err().message.contains("counts from"));
    // A box without certificates verifies none.
    let (bare, _) = testing::service();
    let id = image(&bare, &leaf);
    assert!(upload(&bare, &id, &data()).await.unwrap_err().message.contains("no certificates"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_verified_together_also_after_a_restart() {
    let (service, _clock, _folder) = boxed("", false);
    let data = data();
    for (last, expected) in [(data[250_000..].to_vec(), Status::Active), (vec![7; 50_000], Status::Queued)] {
        let id = image(&service, &by_rsa());
        let begun = service.create_upload(&member("p"), &id, Some(data.len() as u64)).unwrap();
        let stands = part(&service, &begun, &data[..100_000]).await.unwrap();
        let stands = part(&service, &stands, &data[100_000..250_000]).await.unwrap();
        assert_eq!(service.recover_uploads().unwrap(), 0);
        assert_eq!(part(&service, &stands, &last).await.is_ok(), expected == Status::Active);
        assert_eq!(shown(&service, &id).status, expected);
    }
    // All in one part.
    let id = image(&service, &by_rsa());
    let begun = service.create_upload(&member("p"), &id, Some(data.len() as u64)).unwrap();
    assert!(part(&service, &begun, &data).await.unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_changes_meanwhile_is_not_the_one_that_was_verified() {
    let (service, _clock, _folder) = boxed("", false);
    let id = image(&service, &BTreeMap::new());
    let begun = service.begin_upload(&member("p"), &id, None).unwrap();
    let changes = by_rsa().iter().map(|(name, value)| change(name, value)).collect();
    service.update_image(&member("p"), &id, changes).unwrap();
    let refused = begun.receive(pieces(b"what nobody signed")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert_eq!(shown(&service, &id).status, Status::Queued);
    assert_eq!(upload(&service, &id, &data()).await.unwrap().status, Status::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_verified_and_queue_the_image_again_when_they_fail() {
    let (service, _clock, _folder) = boxed("", false);
    let import = || {
        let (kind, origin) = (IntakeKind::ImageImport, DataOrigin::Staged);
        NewIntake { kind, origin, input: "{}".into(), to: Destination::default(), convert: None }
    };
    for (staged, state, status) in
        [(data(), JobState::Succeeded, Status::Active), (vec![1; 1000], JobState::Failed, Status::Queued)]
    {
        let id = image(&service, &by_rsa());
        service.stage_image(&member("p"), &id, None, pieces(&staged)).await.unwrap();
        let job = service.import_image_data(&member("p"), &id, import()).unwrap();
        work_off(&service).await;
        let ended = service.job(&member("p"), job.id).unwrap();
        assert_eq!((ended.state, shown(&service, &id).status), (state, status), "{:?}", ended.error);
    }
    // What cannot be verified may be staged, and is refused when it is to be imported.
    let mut some = by_rsa();
    some.remove(CERTIFICATE);
    let id = image(&service, &some);
    service.stage_image(&member("p"), &id, None, pieces(&data())).await.unwrap();
    let refused = service.import_image_data(&member("p"), &id, import()).unwrap_err();
    assert_eq!((refused.kind, shown(&service, &id).status), (ErrorKind::Invalid, Status::Uploading));
    // Set as it should be, it goes on from there.
    service.update_image(&member("p"), &id, vec![change(CERTIFICATE, &uuid("1"))]).unwrap();
    service.import_image_data(&member("p"), &id, import()).unwrap();
    work_off(&service).await;
    assert_eq!(shown(&service, &id).status, Status::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_signatures_are_required_nothing_comes_in_without() {
    let (service, _clock, _folder) = boxed("", true);
    let id = image(&service, &BTreeMap::new());
    let refused = upload(&service, &id, &data()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("signed images only") && refused.message.contains(CERTIFICATE));
    assert!(service.create_upload(&member("p"), &id, None).is_err());
    let id = image(&service, &by_rsa());
    assert_eq!(upload(&service, &id, &data()).await.unwrap().status, Status::Active);
}
