//! Images in the cache, and what is said of them.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::model::job::JobState;
use crate::objects::{Cached, Memory, Objects};
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing;
use crate::store::Options;

struct World {
    service: Service,
    actor: Actor,
    /// What lies behind the cache.
    medium: Memory,
    _folder: TempDir,
}

impl World {
    fn new(cache_bytes: u64) -> World {
        let (medium, folder) = (Memory::new(), tempfile::tempdir().unwrap());
        let cached = Cached::open(Arc::new(medium.clone()), folder.path(), cache_bytes, 0).unwrap();
        // Frames stay in memory as little as can be, as they do in a box that many read from.
        let options = Options { memory_bytes: 16 << 20, ..Options::default() };
        let (service, _) = testing::assembled(testing::catalog(), None, cached, options, testing::rules());
        let actor = service.local_admin().unwrap();
        World { service, actor, medium, _folder: folder }
    }

    /// An active image of so many bytes that repeat nothing.
    async fn image(&self, seed: u64, bytes: usize) -> ImageId {
        let fields = [Field::DiskFormat(Some("raw".into())), Field::ContainerFormat(Some("bare".into()))];
        let new = NewImage { id: None, changes: fields.map(Change::Set).into() };
        let image = self.service.create_image(&self.actor, new).unwrap();
        let upload = self.service.begin_upload_to(&self.actor, &image.id, None, None).unwrap();
        let body = futures::stream::iter([Ok(bytes::Bytes::from(noise(seed, bytes)))]);
        upload.receive(Box::pin(body)).await.unwrap();
        image.id
    }

    fn listed(&self) -> CacheListing {
        self.service.cached_images(&self.actor).unwrap()
    }

    fn cached(&self) -> Vec<ImageId> {
        self.listed().cached.iter().map(|(note, _)| note.image).collect()
    }

    async fn brought(&self, id: &ImageId) -> Job {
        let job = self.service.cache_image(&self.actor, id).unwrap().expect("it is not there yet");
        assert_eq!(self.listed().queued, [*id]);
        testing::work_off(&self.service).await;
        self.service.job(&self.actor, job.id).unwrap()
    }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_image_is_read_without_its_bucket() {
    let world = World::new(1 << 30);
    let (one, two) = (world.image(1, 3 << 20).await, world.image(2, 1 << 20).await);
    assert_eq!(world.listed(), CacheListing { cached: Vec::new(), queued: Vec::new() });
    let job = world.brought(&one).await;
    assert_eq!((job.state, job.kind), (JobState::Succeeded, JobKind::Cache));
    assert!(job.result["fetched_bytes"] >= 3 << 20, "{job:?}");
    let listed = world.listed();
    assert_eq!(listed.cached.len(), 1);
    let (note, size) = listed.cached[0];
    assert_eq!((note.image, note.number, note.hits, size), (one, 1, 0, 3 << 20));
    // Once more is no job.
    assert_eq!(world.service.cache_image(&world.actor, &one).unwrap(), None);
    let mut names = Vec::new();
    world.medium.list("", &mut |info| names.push(info.key)).unwrap();
    for name in names.iter().filter(|name| name.as_str().starts_with("pack")) {
        world.medium.delete(name).unwrap();
    }
    let image = images::get(&world.service.db.read().unwrap(), &one).unwrap().unwrap();
    let reader = world.service.reader_of(&image).unwrap().unwrap();
    let mut out = vec![0; 3 << 20];
    reader.read_at(0, &mut out).unwrap();
    assert!(out == noise(1, 3 << 20));
    assert_eq!(world.cached(), [one]);
    assert!(world.service.cache_image(&world.actor, &two).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_cleared_or_pushed_out_is_not_said_to_be_cached() {
    let world = World::new(4 << 20);
    let (one, two) = (world.image(1, 2 << 20).await, world.image(2, 1 << 20).await);
    world.brought(&one).await;
    world.brought(&two).await;
    assert_eq!(world.cached(), [one, two]);
    world.service.drop_cached_image(&world.actor, &one).unwrap();
    assert_eq!(world.cached(), [two]);
    // What is not there can be dropped as well.
    world.service.drop_cached_image(&world.actor, &one).unwrap();
    world.service.clear_cache(&world.actor, CacheTarget::Queue).unwrap();
    assert_eq!(world.cached(), [two]);
    world.service.clear_cache(&world.actor, CacheTarget::Cache).unwrap();
    assert_eq!(world.service.store.traffic().unwrap().cache.unwrap().held_bytes, 0);
    world.brought(&two).await;
    // The third pushes the second out, nothing is noted of it, and the note of the second goes when it is cleaned.
    let three = world.image(3, 3 << 20).await;
    world.brought(&three).await;
    assert_eq!(world.cached(), [three]);
    let notes = || cached_images::list(&world.service.db.read().unwrap()).unwrap().len();
    assert_eq!(notes(), 2);
    world.service.clean_cache(&world.actor).unwrap();
    assert_eq!((notes(), world.service.prune_cache(&world.actor).unwrap()), (1, (0, 0)));
    world.service.delete_image(&world.actor, &three).unwrap();
    assert_eq!((notes(), world.cached()), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_fit_is_said_not_to() {
    let world = World::new(1 << 20);
    let large = world.image(1, 3 << 20).await;
    let job = world.brought(&large).await;
    assert_eq!(job.state, JobState::Failed);
    assert!(job.error.unwrap().message.contains("bucket.cache_bytes"));
    assert!(world.cached().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_to_bring_images_end_when_the_queue_is_cleared() {
    let world = World::new(1 << 30);
    let (one, two) = (world.image(1, 1000).await, world.image(2, 1000).await);
    for id in [&one, &two, &one] {
        world.service.cache_image(&world.actor, id).unwrap();
    }
    assert_eq!(world.listed().queued, [one, two]);
    world.service.drop_cached_image(&world.actor, &one).unwrap();
    assert_eq!(world.listed().queued, [two]);
    world.service.clear_cache(&world.actor, CacheTarget::Both).unwrap();
    assert_eq!(world.listed().queued, []);
    testing::work_off(&world.service).await;
    assert!(world.cached().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_before_anything_is_told() {
    let (world, plain) = (World::new(1 << 30), testing::service().0);
    let member = testing::member("p");
    let nobody = ImageId(uuid::Uuid::nil());
    for service in [&world.service, &plain] {
        let outcomes = [
            service.cached_images(&member).map(drop),
            service.cache_image(&member, &nobody).map(drop),
            service.drop_cached_image(&member, &nobody),
            service.clear_cache(&member, CacheTarget::Both),
            service.clean_cache(&member),
            service.prune_cache(&member).map(drop),
            service.cache_nodes(&member, &nobody),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.unwrap_err().kind, ErrorKind::Forbidden);
        }
    }
    let kind = |outcome: Result<(), Error>| outcome.unwrap_err().kind;
    let admin = plain.local_admin().unwrap();
    assert_eq!(kind(plain.cached_images(&admin).map(drop)), ErrorKind::NotFound);
    let queued = world.service.create_image(&world.actor, NewImage::default()).unwrap().id;
    let of = |id: &ImageId| world.service.cache_image(&world.actor, id).map(drop);
    assert_eq!((kind(of(&nobody)), kind(of(&queued))), (ErrorKind::NotFound, ErrorKind::Invalid));
    assert_eq!(kind(world.service.cache_nodes(&world.actor, &queued)), ErrorKind::Conflict);
    assert_eq!(kind(world.service.drop_cached_image(&world.actor, &nobody)), ErrorKind::NotFound);
}
