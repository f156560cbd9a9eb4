//! Imports end to end, on a real store and from a real server on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use futures::{StreamExt, stream};

use super::*;
use crate::disk::fixtures::empty_qcow2;
use crate::model::Image;
use crate::model::image::{Declared, Located, Location};
use crate::model::job::{IntakeKind, Job, JobState};
use crate::service::images::{BodyBroken, Change, Field, NewImage};
use crate::service::testing::{self, ManualClock, member, rules, work_off};
use crate::service::{Actor, ErrorKind, Rules, Service};
use crate::store::Reach;
use crate::web::{Filter, FilterRules, Web};

/// Names the task that holds an image.
pub(super) const HELD: &str = "os_glance_import_task";
/// Names stores that the data is yet to reach.
pub(super) const PENDING: &str = "os_glance_importing_to_stores";

/// Data in which no stretch repeats.
pub(super) fn data(seed: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

fn boxed() -> (Service, Arc<ManualClock>) {
    testing::service_with(Rules { image_bytes_max: 64 << 20, ..rules() })
}

pub(super) fn registered(service: &Service, actor: &Actor, disk_format: Option<&str>) -> ImageId {
    let formats = [
        Field::DiskFormat(disk_format.map(str::to_owned)),
        Field::ContainerFormat(disk_format.map(|_| "bare".to_owned())),
    ];
    let changes = formats.map(Change::Set).into();
    service.create_image(actor, NewImage { id: None, changes }).unwrap().id
}

pub(super) async fn stage(service: &Service, actor: &Actor, id: &ImageId, bytes: &[u8]) -> Result<(), Error> {
    let pieces: Vec<Result<Bytes, BodyBroken>> =
        bytes.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    service.stage_image(actor, id, Some(bytes.len() as u64), stream::iter(pieces)).await
}

pub(super) fn order(
    service: &Service,
    actor: &Actor,
    id: &ImageId,
    origin: DataOrigin,
) -> Result<Job, Error> {
    let to = Destination::default();
    let new = NewIntake { kind: IntakeKind::ImageImport, origin, input: "{}".into(), to, convert: None };
    service.import_image_data(actor, id, new)
}

pub(super) fn shown(service: &Service, actor: &Actor, id: &ImageId) -> Image {
    service.show_image(actor, id).unwrap()
}

pub(super) fn read(service: &Service, actor: &Actor, id: &ImageId) -> Vec<u8> {
    let reader = service.download_image(actor, id).unwrap().reader.unwrap();
    let mut bytes = vec![0; reader.size_bytes() as usize];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}

pub(super) fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

/// What is stored once everything that nobody holds is gone.
pub(super) fn chunks(service: &Service) -> u64 {
    service.give_back(Reach::Everything).unwrap();
    service.usage(&service.local_admin().unwrap()).unwrap().chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_staged_becomes_the_images_data_without_being_written_again() {
    let (service, clock) = boxed();
    let (owner, content) = (member("one"), data(1, 700_000));
    let id = registered(&service, &owner, None);
    stage(&service, &owner, &id, &content).await.unwrap();
    let staged = shown(&service, &owner, &id);
    assert_eq!((staged.status, staged.size_bytes, staged.digests), (Status::Uploading, Some(700_000), None));
    assert!(service.download_image(&owner, &id).unwrap().reader.is_none(), "it is not the image's yet");
    assert!(service.upload_of(&owner, &id).unwrap().is_none(), "nor is it a client's upload");
    assert_eq!(
        kind(order(&service, &owner, &id, DataOrigin::Staged)),
        Some(ErrorKind::Conflict),
        "no formats yet"
    );
    let id = {
        // Formats are fixed once data arrives, so that they have to be known before after all.
        let id = registered(&service, &owner, Some("raw"));
        stage(&service, &owner, &id, &content).await.unwrap();
        id
    };
    let before = service.usage(&service.local_admin().unwrap()).unwrap().stored_bytes;
    let job = order(&service, &owner, &id, DataOrigin::Staged).unwrap();
    let held = shown(&service, &owner, &id);
    assert_eq!((held.status, held.properties[HELD].as_str()), (Status::Uploading, &*task_id(&job.id)));
    assert_eq!(
        kind(order(&service, &owner, &id, DataOrigin::Staged)),
        Some(ErrorKind::Conflict),
        "a task holds it"
    );
    work_off(&service).await;
    let ended = service.job(&owner, job.id).unwrap();
    assert_eq!((ended.state, ended.result["image_bytes"]), (JobState::Succeeded, 700_000));
    let image = shown(&service, &owner, &id);
    assert_eq!((image.status, image.virtual_size_bytes), (Status::Active, Some(700_000)));
    assert_eq!(image.digests.unwrap().blake3, *blake3::hash(&content).as_bytes());
    assert_eq!((image.properties.get(HELD), image.properties[PENDING].as_str()), (None, ""));
    assert!(read(&service, &owner, &id) == content);
    let after = service.usage(&service.local_admin().unwrap()).unwrap().stored_bytes;
    assert!(after - before < 20_000, "{} more bytes", after - before);
    // The task is told of for two days.
    let admin = service.local_admin().unwrap();
    assert_eq!(service.import_tasks_of(&owner, &id).unwrap()[0].id, job.id);
    assert_eq!(service.import_tasks(&admin, &TaskFilter::default()).unwrap().len(), 1);
    assert_eq!(kind(service.import_tasks(&owner, &TaskFilter::default())), Some(ErrorKind::Forbidden));
    let failed = TaskFilter { state: Some(TaskState::Failure), kind: None };
    assert_eq!(service.import_tasks(&admin, &failed).unwrap(), []);
    assert_eq!(kind(service.import_tasks_of(&member("two"), &id)), Some(ErrorKind::NotFound));
    clock.step_seconds(48 * 3600);
    assert_eq!(kind(service.import_task(&admin, &job.id)), Some(ErrorKind::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_that_fails_queues_the_image_again() {
    let (service, clock) = boxed();
    let owner = member("one");
    let id = registered(&service, &owner, Some("raw"));
    let broken = vec![Ok(Bytes::from(data(1, 5000))), Err(BodyBroken("gone".into()))];
    let outcome = service.stage_image(&owner, &id, None, stream::iter(broken)).await;
    assert_eq!(kind(outcome), Some(ErrorKind::Invalid));
    let short =
        service.stage_image(&owner, &id, Some(9), stream::iter([Ok(Bytes::from_static(b"eight by"))])).await;
    assert_eq!(kind(short), Some(ErrorKind::Invalid));
    let large = service.stage_image(&owner, &id, Some(65 << 20), stream::iter([])).await;
    assert_eq!(kind(large), Some(ErrorKind::TooLarge));
    let image = shown(&service, &owner, &id);
    assert_eq!((image.status, image.size_bytes, chunks(&service)), (Status::Queued, None, 0));
    for (actor, expected) in [
        (Actor { roles: ["reader".to_owned()].into(), ..owner.clone() }, ErrorKind::Forbidden),
        (member("two"), ErrorKind::NotFound),
    ] {
        assert_eq!(kind(stage(&service, &actor, &id, b"x").await), Some(expected));
    }
    stage(&service, &owner, &id, b"").await.unwrap();
    assert_eq!(kind(stage(&service, &owner, &id, b"x").await), Some(ErrorKind::Conflict), "once is enough");
    assert!(service.begin_upload(&owner, &id, None).is_err());
    // What nobody imports goes in the end.
    clock.step_seconds(service.rules.upload_expiry_s + 1);
    assert_eq!(service.expire_uploads().unwrap(), 1);
    assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
    stage(&service, &owner, &id, b"").await.unwrap();
    order(&service, &owner, &id, DataOrigin::Staged).unwrap();
    work_off(&service).await;
    assert_eq!(
        (shown(&service, &owner, &id).status, shown(&service, &owner, &id).size_bytes),
        (Status::Active, Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_data_that_is_not_what_it_should_be_is_let_go_of() {
    let (service, _) = boxed();
    let owner = member("one");
    let id = registered(&service, &owner, Some("qcow2"));
    stage(&service, &owner, &id, &data(2, 300_000)).await.unwrap();
    let job = order(&service, &owner, &id, DataOrigin::Staged).unwrap();
    work_off(&service).await;
    let failed = service.job(&owner, job.id).unwrap();
    assert_eq!(failed.state, JobState::Failed);
    assert!(failed.error.unwrap().message.contains("qcow2"));
    let image = shown(&service, &owner, &id);
    assert_eq!((image.status, image.size_bytes, image.properties.get(HELD)), (Status::Queued, None, None));
    assert_eq!(chunks(&service), 0);
    assert_eq!(kind(service.retry_job(&owner, job.id)), Some(ErrorKind::Conflict), "the data is gone");
    // The same image again, with other data.
    stage(&service, &owner, &id, &empty_qcow2(256)).await.unwrap();
    order(&service, &owner, &id, DataOrigin::Staged).unwrap();
    work_off(&service).await;
    assert_eq!(shown(&service, &owner, &id).virtual_size_bytes, Some(256));
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_staged_data_and_imports_outlive_the_process_and_half_staged_data_does_not() {
    let (service, _) = boxed();
    let owner = member("one");
    let [whole, half, waiting] = [(); 3].map(|()| registered(&service, &owner, Some("raw")));
    stage(&service, &owner, &whole, &data(3, 200_000)).await.unwrap();
    stage(&service, &owner, &waiting, &data(4, 200_000)).await.unwrap();
    let job = order(&service, &owner, &waiting, DataOrigin::Staged).unwrap();
    // A body that never ends stands for a process that did.
    let endless = service.stage_image(&owner, &half, None, Box::pin(stream::pending()));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), endless).await.is_err());
    assert_eq!(shown(&service, &owner, &half).status, Status::Uploading);
    assert_eq!(service.recover_uploads().unwrap(), 1);
    service.restart_jobs();
    assert_eq!(shown(&service, &owner, &half).status, Status::Queued);
    assert_eq!(shown(&service, &owner, &whole).status, Status::Uploading);
    order(&service, &owner, &whole, DataOrigin::Staged).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&owner, job.id).unwrap().state, JobState::Succeeded);
    assert!(
        read(&service, &owner, &whole) == data(3, 200_000)
            && read(&service, &owner, &waiting) == data(4, 200_000)
    );
}

/// What the server below was asked for.
#[derive(Clone, Default)]
pub(super) struct Asked(pub(super) Arc<AtomicUsize>);

/// Hands out 300 000 bytes, but breaks off after 100 000 the first time.
async fn shaky(State(asked): State<Asked>, request: Request) -> Response<Body> {
    let content = data(9, 300_000);
    let range = request.headers().get("range").map(|value| value.to_str().unwrap().to_owned());
    let first: usize = range.map_or(0, |text| text["bytes=".len()..text.len() - 1].parse().unwrap());
    let turn = asked.0.fetch_add(1, Ordering::Relaxed);
    let mut answer =
        Response::builder().header("etag", "\"nine\"").header("content-length", content.len() - first);
    if first > 0 {
        let shown = format!("bytes {first}-{}/{}", content.len() - 1, content.len());
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header("content-range", shown);
    }
    let end = if turn == 0 { 100_000 } else { content.len() };
    let piece = Bytes::copy_from_slice(&content[first..end]);
    let rest = (turn == 0).then(|| Err(std::io::Error::other("broken")));
    answer.body(Body::from_stream(stream::iter([Ok(piece)].into_iter().chain(rest)))).unwrap()
}

/// Hands out 1000 bytes a time of 300 000, and breaks off.
async fn dripping(State(asked): State<Asked>, request: Request) -> Response<Body> {
    let content = data(9, 300_000);
    let range = request.headers().get("range").map(|value| value.to_str().unwrap().to_owned());
    let first: usize = range.map_or(0, |text| text["bytes=".len()..text.len() - 1].parse().unwrap());
    asked.0.fetch_add(1, Ordering::Relaxed);
    let mut answer =
        Response::builder().header("etag", "\"nine\"").header("content-length", content.len() - first);
    if first > 0 {
        let shown = format!("bytes {first}-{}/{}", content.len() - 1, content.len());
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header("content-range", shown);
    }
    let piece = Ok::<_, std::io::Error>(Bytes::copy_from_slice(&content[first..first + 1000]));
    let end = stream::once(async {
        // Until the piece is on its way.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Err::<Bytes, _>(std::io::Error::other("broken"))
    });
    answer.body(Body::from_stream(stream::iter([piece]).chain(end))).unwrap()
}

/// A server on loopback, and the service that may ask only it.
pub(super) async fn with_server(service: Service) -> (Service, String, Asked) {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let unmeasured = || async {
        let pieces = data(8, 200_000).chunks(7000).map(Bytes::copy_from_slice).map(Ok).collect::<Vec<_>>();
        Body::from_stream(stream::iter(pieces.into_iter().map(|piece: Result<_, std::io::Error>| piece)))
    };
    let router = Router::new()
        .route("/plain", get(|| async { data(7, 150_000) }))
        .route("/unmeasured", get(unmeasured))
        .route("/shaky", get(shaky))
        .route("/dripping", get(dripping))
        .route("/away", get(|| async { Redirect::temporary("http://127.0.0.1:1/secret") }))
        .route("/wrapped", get(|| async { zstd::encode_all(&data(6, 250_000)[..], 1).unwrap() }))
        .route(
            "/cut",
            get(|| async { zstd::encode_all(&data(6, 250_000)[..], 1).unwrap()[..200_000].to_vec() }),
        )
        .route("/large", get(|| async { vec![1_u8; (64 << 20) + 1] }))
        .with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let filter = FilterRules {
        schemes: vec!["http".into()],
        ports: vec![port],
        hosts: Vec::new(),
        networks: vec!["127.0.0.1/32".parse().unwrap()],
    };
    let web = Web::new(Filter::new(filter), Vec::new()).unwrap();
    (service.with_web(web), format!("http://127.0.0.1:{port}"), asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_the_web_becomes_an_images_data() {
    let (service, base, asked) = with_server(boxed().0).await;
    let owner = member("one");
    let fetch = async |path: &str| {
        let id = registered(&service, &owner, Some("raw"));
        let job = order(&service, &owner, &id, DataOrigin::Web { url: format!("{base}{path}") }).unwrap();
        assert_eq!(shown(&service, &owner, &id).status, Status::Importing);
        work_off(&service).await;
        (id, service.job(&owner, job.id).unwrap())
    };
    for (path, content) in
        [("/plain", data(7, 150_000)), ("/unmeasured", data(8, 200_000)), ("/shaky", data(9, 300_000))]
    {
        let (id, job) = fetch(path).await;
        assert_eq!((job.state, job.error), (JobState::Succeeded, None), "{path}");
        assert!(read(&service, &owner, &id) == content, "{path}");
    }
    assert_eq!(asked.0.load(Ordering::Relaxed), 2, "the rest alone was asked for again");
    let stored = chunks(&service);
    for (path, code) in [("/none", "no_object"), ("/away", "address_refused"), ("/large", "too_large")] {
        let (id, job) = fetch(path).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, code), "{path}");
        assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
    }
    assert_eq!(chunks(&service), stored, "nothing is left of what failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_addresses_that_may_not_be_asked_make_no_task() {
    let (service, base, _) = with_server(boxed().0).await;
    let owner = member("one");
    let id = registered(&service, &owner, Some("raw"));
    for url in
        ["http://169.254.169.254/latest", "file:///etc/passwd", "http://127.0.0.1:22/", "", "http://[::1]/"]
    {
        let refused = order(&service, &owner, &id, DataOrigin::Web { url: url.into() }).unwrap_err();
        assert_eq!((refused.kind, refused.code()), (ErrorKind::Invalid, "address_refused"), "{url}");
        assert!(
            refused.message.contains("does not pass filtering") && refused.message.contains(url),
            "{refused:?}"
        );
    }
    // Of another region the task says what is wrong.
    let unknown = DataOrigin::Region { region: "east".into(), image: id };
    let job = order(&service, &owner, &id, unknown).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&owner, job.id).unwrap().error.unwrap().code, "no_region");
    let good = || DataOrigin::Web { url: format!("{base}/plain") };
    assert_eq!(kind(order(&service, &member("two"), &id, good())), Some(ErrorKind::NotFound));
    assert_eq!(
        kind(order(&service, &owner, &registered(&service, &owner, None), good())),
        Some(ErrorKind::Conflict)
    );
    assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
    // A job that is ended leaves the image as it was, and may begin again.
    let job = order(&service, &owner, &id, good()).unwrap();
    service.cancel_job(&owner, job.id).unwrap();
    assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
    service.retry_job(&owner, job.id).unwrap();
    work_off(&service).await;
    assert!(read(&service, &owner, &id) == data(7, 150_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_this_region_comes_with_its_formats_and_some_properties() {
    let (service, _) = boxed();
    let (owner, other) = (member("one"), member("two"));
    let source = registered(&service, &owner, Some("raw"));
    let property = |name: &str| Change::SetProperty {
        name: name.into(),
        value: "kept".into(),
        existing: crate::service::images::Existing::Any,
    };
    service.update_image(&owner, &source, vec![property("hw_disk_bus"), property("secret")]).unwrap();
    stage(&service, &owner, &source, &data(5, 400_000)).await.unwrap();
    order(&service, &owner, &source, DataOrigin::Staged).unwrap();
    work_off(&service).await;
    let from = |image| DataOrigin::Region { region: "RegionOne".into(), image };
    let target = registered(&service, &owner, None);
    let job = order(&service, &owner, &target, from(source)).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&owner, job.id).unwrap().error, None);
    let image = shown(&service, &owner, &target);
    assert_eq!((image.status, image.disk_format.as_deref()), (Status::Active, Some("raw")));
    assert_eq!((image.properties["hw_disk_bus"].as_str(), image.properties.get("secret")), ("kept", None));
    assert!(read(&service, &owner, &target) == data(5, 400_000));
    // Whoever does not see it hears so from the task.
    let foreign = registered(&service, &other, Some("raw"));
    let job = order(&service, &other, &foreign, from(source)).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&other, job.id).unwrap().state, JobState::Failed);
    assert_eq!(shown(&service, &other, &foreign).status, Status::Queued);
}

pub(super) fn at(url: String, secure: Option<crate::model::SecureHash>) -> Located {
    let declared = Declared { md5: None, secure };
    Located { locations: vec![Location { url, ..Location::default() }], declared }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_is_fetched_once_compared_and_shown_to_few() {
    let rules = ImportRules { web_store: Some("web".into()), ..ImportRules::default() };
    let (service, _) = testing::service_with(Rules { imports: rules, ..testing::rules() });
    let (service, base, _) = with_server(service).await;
    let (owner, admin) = (member("one"), service.local_admin().unwrap());
    let content = data(7, 150_000);
    let locate = async |expected| {
        let id = registered(&service, &owner, Some("raw"));
        let located = at(format!("{base}/plain"), expected);
        let job = service.add_image_location(&owner, &id, located, "{}".into()).unwrap();
        work_off(&service).await;
        (id, service.job(&owner, job.id).unwrap())
    };
    let right = crate::model::SecureHash::Sha256(<sha2::Sha256 as sha2::Digest>::digest(&content).into());
    let (id, job) = locate(Some(right)).await;
    assert_eq!((job.state, job.error), (JobState::Succeeded, None));
    assert_eq!(
        shown(&service, &owner, &id).digests.unwrap().secure,
        Some(right),
        "hashed as it was compared"
    );
    assert!(read(&service, &owner, &id) == content);
    assert_eq!(service.image_locations(&admin, &id).unwrap()[0].url, format!("{base}/plain"));
    assert_eq!(kind(service.image_locations(&owner, &id)), Some(ErrorKind::Forbidden), "S26");
    assert_eq!(kind(service.image_locations(&member("two"), &id)), Some(ErrorKind::NotFound));
    let (plain, job) = locate(None).await;
    assert_eq!(job.state, JobState::Succeeded);
    let stored = chunks(&service);
    service.litter().take();
    let (wrong, job) = locate(Some(crate::model::SecureHash::Sha512([7; 64]))).await;
    assert!(job.error.unwrap().message.contains("sha512"));
    assert_eq!(service.litter().take(), Some(Reach::Everything), "its manifest has no row to be found by");
    let image = shown(&service, &owner, &wrong);
    assert_eq!((image.status, image.digests, image.size_bytes), (Status::Queued, None, None));
    assert_eq!(service.image_locations(&admin, &wrong).unwrap().len(), 1, "it stays on record");
    assert_eq!(chunks(&service), stored);
    // What fills the image next is compared with nothing that this one expected.
    let web = DataOrigin::Web { url: format!("{base}/plain") };
    let job = order(&service, &owner, &wrong, web).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&owner, job.id).unwrap().error, None);
    assert_eq!(service.image_locations(&admin, &wrong).unwrap(), []);
    service.delete_image(&owner, &plain).unwrap();
    assert!(crate::catalog::locations::get(&service.db.read().unwrap(), &plain).unwrap().is_none());
    // Without a store of that name nobody names addresses.
    let (closed, base, _) = with_server(boxed().0).await;
    let id = registered(&closed, &owner, Some("raw"));
    let location = at(format!("{base}/plain"), None);
    assert_eq!(
        kind(closed.add_image_location(&owner, &id, location, "{}".into())),
        Some(ErrorKind::Forbidden)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_begins_again_is_compared_with_what_it_declared_itself() {
    let rules = ImportRules { web_store: Some("web".into()), ..ImportRules::default() };
    let (service, _) = testing::service_with(Rules { imports: rules, ..testing::rules() });
    let (service, base, _) = with_server(service).await;
    let (owner, admin) = (member("one"), service.local_admin().unwrap());
    let id = registered(&service, &owner, Some("raw"));
    let web = || DataOrigin::Web { url: format!("{base}/plain") };
    let plain = order(&service, &owner, &id, web()).unwrap();
    service.cancel_job(&owner, plain.id).unwrap();
    let locate = || {
        let wrong = at(format!("{base}/plain"), Some(crate::model::SecureHash::Sha512([7; 64])));
        service.add_image_location(&owner, &id, wrong, "{}".into()).unwrap()
    };
    let located = locate();
    work_off(&service).await;
    service.retry_job(&owner, located.id).unwrap();
    work_off(&service).await;
    let failed = service.job(&owner, located.id).unwrap();
    assert!(failed.error.unwrap().message.contains("sha512"), "the second time too");
    // Another import has what it declared forgotten.
    let other = order(&service, &owner, &id, web()).unwrap();
    service.cancel_job(&owner, other.id).unwrap();
    assert_eq!(kind(service.retry_job(&owner, located.id)), Some(ErrorKind::Conflict));
    assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
    // Of one that declared nothing, the data is compared with nothing.
    locate();
    work_off(&service).await;
    assert_eq!(service.image_locations(&admin, &id).unwrap().len(), 1);
    service.retry_job(&owner, plain.id).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&owner, plain.id).unwrap().error, None);
    assert_eq!(service.image_locations(&admin, &id).unwrap(), []);
    assert!(read(&service, &owner, &id) == data(7, 150_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_imported_can_be_copied() {
    let (service, _) = boxed();
    let (owner, content) = (member("one"), data(1, 300_000));
    let id = registered(&service, &owner, Some("raw"));
    stage(&service, &owner, &id, &content).await.unwrap();
    order(&service, &owner, &id, DataOrigin::Staged).unwrap();
    work_off(&service).await;
    let is_the_services = |image: &Image| image.properties.keys().any(|name| name.starts_with("os_glance_"));
    assert!(is_the_services(&shown(&service, &owner, &id)), "which nobody else may set");
    let job = service.copy_image(&owner, &id, Vec::new(), None).unwrap();
    work_off(&service).await;
    let job = service.job(&owner, job.id).unwrap();
    assert_eq!((job.state, &job.error), (JobState::Succeeded, &None));
    let copy = shown(&service, &owner, &job.images[0]);
    assert!(!is_the_services(&copy), "{:?}", copy.properties);
    assert_eq!(copy.properties["__originalimagename"], id.to_string());
    assert!(read(&service, &owner, &copy.id) == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hands_out_next_to_nothing_is_not_asked_for_ever() {
    let (service, base, asked) = with_server(boxed().0).await;
    let owner = member("one");
    let id = registered(&service, &owner, Some("raw"));
    let job = order(&service, &owner, &id, DataOrigin::Web { url: format!("{base}/dripping") }).unwrap();
    work_off(&service).await;
    let job = service.job(&owner, job.id).unwrap();
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "server_fails"));
    assert_eq!(asked.0.load(Ordering::Relaxed), 7);
    assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
}
