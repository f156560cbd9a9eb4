//! Uploads in parts: what each state allows, what a restart, a newer request and time do to them.

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::*;
use crate::model::Image;
use crate::service::images::{BodyBroken, Change, Field, NewImage};
use crate::service::testing::{member, rules, service, service_with};
use crate::service::{ErrorKind, Rules};
use crate::store::Stats;

fn image(service: &Service, format: &str) -> ImageId {
    let fields = [Field::DiskFormat(Some(format.into())), Field::ContainerFormat(Some("bare".into()))];
    let new = NewImage { id: None, changes: fields.map(Change::Set).into() };
    service.create_image(&member("p"), new).unwrap().id
}

fn show(service: &Service, id: &ImageId) -> Image {
    service.show_image(&member("p"), id).unwrap()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

type Piece = Result<Bytes, BodyBroken>;

fn piece(bytes: &[u8]) -> Piece {
    Ok(Bytes::copy_from_slice(bytes))
}

async fn send(service: &Service, upload: &PartialUpload, pieces: Vec<Piece>) -> Result<PartialUpload, Error> {
    let patch = Patch { offset: upload.received_bytes, declared_bytes: None };
    let body = stream::iter(pieces);
    service.receive_part(&member("p"), &upload.image, upload.token, patch, body).await
}

async fn read(service: &Service, id: &ImageId) -> Vec<u8> {
    let reader = service.download_image(&member("p"), id).unwrap().reader.unwrap();
    let mut out = vec![0; reader.size_bytes() as usize];
    tokio::task::block_in_place(|| reader.read_at(0, &mut out)).unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_parts_make_an_image_whichever_way_each_of_them_ends() {
    let (service, _) = service();
    let (id, data) = (image(&service, "raw"), noise(3_000_000));
    let upload = service.create_upload(&member("p"), &id, Some(data.len() as u64)).unwrap();
    assert_eq!(show(&service, &id).status, Status::Saving);
    let broken = vec![piece(&data[..700_001]), Err(BodyBroken("gone".into()))];
    assert_eq!(kind(send(&service, &upload, broken).await), Some(ErrorKind::Invalid));
    let stands = service.settled_upload(&member("p"), &id, upload.token).await.unwrap();
    assert_eq!((stands.received_bytes, stands.complete), (700_001, false));
    assert_eq!(stands.blake3, *blake3::hash(&data[..700_001]).as_bytes());
    // The same part again begins where the upload no longer stands.
    assert_eq!(kind(send(&service, &upload, vec![piece(&data)]).await), Some(ErrorKind::Conflict));
    // A restart leaves it alone, and reclaiming what it kept.
    assert_eq!(service.recover_uploads().unwrap(), 0);
    service.store.reclaim(Reach::Everything).unwrap();
    let stands = send(&service, &stands, vec![piece(&data[700_001..2_000_000])]).await.unwrap();
    assert_eq!(stands.received_bytes, 2_000_000);
    assert!(service.download_image(&member("p"), &id).unwrap().reader.is_none());
    let done = send(&service, &stands, vec![piece(&data[2_000_000..])]).await.unwrap();
    assert!(done.complete && done.checkpoint.is_none());
    let image = show(&service, &id);
    assert_eq!((image.status, image.size_bytes), (Status::Active, Some(data.len() as u64)));
    assert_eq!(image.digests.unwrap().blake3, *blake3::hash(&data).as_bytes());
    assert!(read(&service, &id).await == data);
    // Whoever lost the last answer finds it complete, and may even send nothing again.
    assert!(service.settled_upload(&member("p"), &id, upload.token).await.unwrap().complete);
    assert!(send(&service, &done, Vec::new()).await.unwrap().complete);
    assert_eq!(service.store.stats().unwrap().contents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_may_be_said_later_but_only_once_and_no_more_than_it_arrives() {
    let (service, _) = service();
    let id = image(&service, "raw");
    let upload = service.create_upload(&member("p"), &id, None).unwrap();
    let stands = send(&service, &upload, vec![piece(&[1; 5000])]).await.unwrap();
    let say = async |declared, pieces: Vec<Piece>| {
        let patch = Patch { offset: 5000, declared_bytes: Some(declared) };
        service.receive_part(&member("p"), &id, stands.token, patch, stream::iter(pieces)).await
    };
    assert_eq!(kind(say(4999, Vec::new()).await), Some(ErrorKind::Invalid));
    assert_eq!(say(6000, Vec::new()).await.unwrap().declared_bytes, Some(6000));
    assert_eq!(kind(say(7000, Vec::new()).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(say(6000, vec![piece(&[1; 1001])]).await), Some(ErrorKind::Invalid));
    assert!(say(6000, vec![piece(&[1; 1000])]).await.unwrap().complete);
    assert!(read(&service, &id).await == vec![1; 6000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_declared_is_refused_wherever_its_pieces_end() {
    let (service, _) = service_with(Rules { image_bytes_max: 5000, ..rules() });
    let id = image(&service, "raw");
    let upload = service.create_upload(&member("p"), &id, Some(5000)).unwrap();
    for sizes in [vec![5000, 1], vec![4999, 2], vec![5001]] {
        let pieces = sizes.iter().map(|size| piece(&vec![1; *size])).collect();
        assert_eq!(kind(send(&service, &upload, pieces).await), Some(ErrorKind::Invalid), "{sizes:?}");
        let stands = service.settled_upload(&member("p"), &id, upload.token).await.unwrap();
        assert_eq!((stands.received_bytes, stands.complete), (0, false), "{sizes:?}");
        assert_eq!(show(&service, &id).status, Status::Saving, "{sizes:?}");
    }
    assert!(send(&service, &upload, vec![piece(&[1; 5000])]).await.unwrap().complete);
    assert!(read(&service, &id).await == vec![1; 5000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_request_takes_an_upload_over_and_finds_what_had_arrived() {
    let (service, _) = service();
    let id = image(&service, "raw");
    let upload = service.create_upload(&member("p"), &id, Some(9000)).unwrap();
    let patch = Patch { offset: 0, declared_bytes: None };
    let (taken, seen) = tokio::sync::oneshot::channel();
    // A client that is gone without anybody having noticed.
    let mut taken = Some(taken);
    let endless = stream::iter([piece(&[1; 4000])]).chain(Box::pin(stream::poll_fn(move |_| {
        taken.take().map(|taken| taken.send(()));
        std::task::Poll::Pending
    })));
    let (other, token) = (service.clone(), upload.token);
    let first =
        tokio::spawn(async move { other.receive_part(&member("p"), &id, token, patch, endless).await });
    seen.await.unwrap();
    let stands = service.settled_upload(&member("p"), &id, token).await.unwrap();
    assert_eq!(stands.received_bytes, 4000);
    assert_eq!(kind(first.await.unwrap()), Some(ErrorKind::Conflict));
    assert!(send(&service, &stands, vec![piece(&[2; 5000])]).await.unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_an_upload_leaves_a_queued_image_and_no_data() {
    let (service, clock) = service();
    for way in 0..3 {
        let id = image(&service, "raw");
        let upload = service.create_upload(&member("p"), &id, Some(1_000_000)).unwrap();
        assert_eq!(kind(service.begin_upload(&member("p"), &id, None)), Some(ErrorKind::Conflict));
        let stands = send(&service, &upload, vec![piece(&noise(60_000))]).await.unwrap();
        assert_eq!(service.store.stats().unwrap().contents, 1);
        match way {
            0 => service.abandon_upload(&member("p"), &id, upload.token).await.unwrap(),
            1 => service.delete_image(&member("p"), &id).unwrap(),
            _ => {
                clock.step_seconds(86_300);
                assert_eq!(service.expire_uploads().unwrap(), 0);
                clock.step_seconds(101);
                assert_eq!(service.expire_uploads().unwrap(), 1);
            }
        }
        assert_eq!(kind(send(&service, &stands, Vec::new()).await), Some(ErrorKind::NotFound));
        if way != 1 {
            let image = show(&service, &id);
            assert_eq!((image.status, image.upload), (Status::Queued, None), "way {way}");
        }
        while service.store.reclaim(Reach::Everything).unwrap().in_use > 0 {}
        assert_eq!(service.store.stats().unwrap(), Stats::default(), "way {way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_content_is_judged_by_all_its_parts_together() {
    let (service, _) = service();
    let id = image(&service, "qcow2");
    let upload = service.create_upload(&member("p"), &id, Some(200_000)).unwrap();
    // A backing file's place in the header, cut in two: neither part shows it alone.
    let mut data = [b"QFI\xfb\0\0\0\x02".to_vec(), vec![0; 199_992]].concat();
    data[15] = 1;
    let stands = send(&service, &upload, vec![piece(&data[..12])]).await.unwrap();
    let refused = send(&service, &stands, vec![piece(&data[12..])]).await;
    assert_eq!(kind(refused), Some(ErrorKind::UnsupportedContent));
    assert_eq!(show(&service, &id).status, Status::Queued);
    assert_eq!(service.upload_of(&member("p"), &id).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_uploads_are_bounded_for_each_owner_and_none_but_it_may_touch_them() {
    let (service, _) = service_with(Rules { unfinished_uploads_max: 1, ..rules() });
    let (one, two) = (image(&service, "raw"), image(&service, "raw"));
    let upload = service.create_upload(&member("p"), &one, Some(10)).unwrap();
    assert_eq!(kind(service.create_upload(&member("p"), &two, Some(10))), Some(ErrorKind::TooLarge));
    let stranger = member("q");
    let patch = Patch { offset: 0, declared_bytes: None };
    let sent = service.receive_part(&stranger, &one, upload.token, patch, stream::empty::<Piece>()).await;
    assert_eq!(kind(sent), Some(ErrorKind::NotFound));
    assert_eq!(kind(service.settled_upload(&stranger, &one, upload.token).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(service.abandon_upload(&stranger, &one, upload.token).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(service.upload_of(&stranger, &one)), Some(ErrorKind::NotFound));
    assert!(send(&service, &upload, vec![piece(&[1; 10])]).await.unwrap().complete);
    assert!(service.create_upload(&member("p"), &two, Some(10)).is_ok());
    let capped = service_with(Rules { image_bytes_max: 9, ..rules() }).0;
    let id = image(&capped, "raw");
    assert_eq!(kind(capped.create_upload(&member("p"), &id, Some(10))), Some(ErrorKind::TooLarge));
}
