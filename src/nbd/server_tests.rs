//! Connections to a real box: who is left, who is turned away, and what ends those that have a disk.

use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::super::wire::{self, command, option};
use super::*;
use crate::model::Rating;
use crate::model::quota::{Limit, Resource};
use crate::service::audit::{Query, RECORDS_MAX};
use crate::service::disk_exports::NewExport;
use crate::service::identity::UserChange;
use crate::service::images::{Change, Field, NewImage};
use crate::service::{Actor, testing};

const DATA: [u8; 10_000] = [7; 10_000];

struct World {
    service: Service,
    dir: tempfile::TempDir,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl World {
    fn new(connections_max: usize, handshake_ms: u64) -> World {
        World::that_drains(connections_max, handshake_ms, Duration::from_secs(5))
    }

    fn that_drains(connections_max: usize, handshake_ms: u64, drain_deadline: Duration) -> World {
        World::that_reviews(connections_max, handshake_ms, drain_deadline, Duration::from_millis(50))
    }

    fn that_reviews(
        connections_max: usize,
        handshake_ms: u64,
        drain_deadline: Duration,
        review_every: Duration,
    ) -> World {
        let (service, dir, stop) =
            (testing::service().0, tempfile::tempdir().unwrap(), CancellationToken::new());
        service.disk_exports().are_served_at("nbd+unix:///?socket=nbd".into());
        let options = Options {
            connections_max,
            handshake_timeout: Duration::from_millis(handshake_ms),
            review_every,
            drain_deadline,
            pages_bytes: 1 << 20,
            // Two blocks, and a little.
            overlays: Overlays::new(9000, 9000),
            tls: None,
            insecure: false,
        };
        let listener = Listener::Unix(UnixListener::bind(dir.path().join("nbd")).unwrap());
        let served = tokio::spawn(serve(listener, service.clone(), options, stop.clone()));
        World { service, dir, stop, served }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("nbd")).await.unwrap()
    }

    /// The id and the name of an export of an image that was just stored.
    async fn export(&self, is_writable: bool, capture: Option<&str>) -> (String, String) {
        self.export_of(&self.service.local_admin().unwrap(), is_writable, capture).await
    }

    async fn export_of(&self, actor: &Actor, is_writable: bool, capture: Option<&str>) -> (String, String) {
        let fields = [Field::DiskFormat(Some("raw".into())), Field::ContainerFormat(Some("bare".into()))];
        let new = NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() };
        let image = self.service.create_image(actor, new).unwrap();
        let upload = self.service.begin_upload(actor, &image.id, None).unwrap();
        upload.receive(stream::iter([Ok(Bytes::from_static(&DATA))])).await.unwrap();
        let capture = capture.map(str::to_owned);
        let new = NewExport { image: image.id, life_s: 60, is_writable, capture };
        let (known, name) = self.service.open_disk_export(actor, new).unwrap();
        (known.export.id(), name)
    }

    /// Stops, and says whether there is an image `kept`, and what is on record of captures that were lost.
    async fn end(self) -> (bool, Vec<String>) {
        self.stop.cancel();
        self.served.await.unwrap();
        let admin = self.service.local_admin().unwrap();
        let is_kept = self.service.find_disk(&admin, "kept", Source::Socket).is_ok();
        let query = Query { rating: Some(Rating::Warning), limit: RECORDS_MAX, ..Query::default() };
        let traces = self.service.audit_traces(&admin, &query).unwrap().traces;
        let mut messages: Vec<String> = traces.into_iter().map(|trace| trace.content.message).collect();
        messages.retain(|message| message.contains("is not captured as \"kept\""));
        (is_kept, messages)
    }

    /// A connection that has a disk.
    async fn at_disk(&self, name: &str) -> UnixStream {
        let mut client = self.connect().await;
        client.read_exact(&mut [0; 18]).await.unwrap();
        client.write_u32(3).await.unwrap();
        client.write_u64(wire::OPTION).await.unwrap();
        client.write_u32(option::EXPORT_NAME).await.unwrap();
        client.write_u32(name.len() as u32).await.unwrap();
        client.write_all(name.as_bytes()).await.unwrap();
        assert_eq!(client.read_u64().await.unwrap(), DATA.len() as u64);
        client.read_u16().await.unwrap();
        client
    }
}

async fn ask(client: &mut UnixStream, command: u16, offset: u64, length: u32) {
    let mut request = wire::REQUEST.to_be_bytes().to_vec();
    request.extend([0, 0]);
    request.extend(command.to_be_bytes());
    request.extend(5u64.to_be_bytes());
    request.extend(offset.to_be_bytes());
    request.extend(length.to_be_bytes());
    client.write_all(&request).await.unwrap();
}

/// Writes so many bytes, and says whether they were taken.
async fn writes(client: &mut UnixStream, offset: u64, bytes: usize) -> bool {
    ask(client, command::WRITE, offset, bytes as u32).await;
    client.write_all(&vec![3; bytes]).await.unwrap();
    is_done(client).await
}

async fn is_done(client: &mut UnixStream) -> bool {
    let mut reply = [0; 16];
    client.read_exact(&mut reply).await.unwrap();
    reply[4..8] == [0; 4]
}

async fn leave(mut client: UnixStream) {
    ask(&mut client, command::DISCONNECT, 0, 0).await;
    assert!(is_over(&mut client).await);
}

/// Asks for something, and gets it.
async fn expect_served(client: &mut UnixStream) {
    ask(client, command::FLUSH, 0, 0).await;
    client.read_exact(&mut [0; 16]).await.unwrap();
}

async fn is_over(client: &mut UnixStream) -> bool {
    client.read(&mut [0; 64]).await.is_ok_and(|read| read == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_is_left_and_one_too_many_is_turned_away_at_once() {
    let world = World::new(1, 300);
    let mut silent = world.connect().await;
    silent.read_exact(&mut [0; 18]).await.unwrap();
    assert!(is_over(&mut world.connect().await).await);
    assert!(is_over(&mut silent).await);
    // Who has a disk may be silent.
    let (_, name) = world.export(false, None).await;
    let mut idle = world.at_disk(&name).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    ask(&mut idle, command::READ, 0, 100).await;
    let mut read = [0; 116];
    idle.read_exact(&mut read).await.unwrap();
    assert_eq!(read[16..], DATA[..100]);
    let figures = world.service.disk_exports().traffic().figures();
    assert_eq!((figures.connections, figures.connected, figures.turned_away), (1, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_an_export_and_stopping_end_connections() {
    let world = World::new(8, 5000);
    let (id, name) = world.export(false, None).await;
    let (_, other) = world.export(false, None).await;
    let (mut closed, mut stopped) = (world.at_disk(&name).await, world.at_disk(&other).await);
    expect_served(&mut closed).await;
    world.service.close_export(&world.service.local_admin().unwrap(), &id).unwrap();
    assert!(is_over(&mut closed).await);
    expect_served(&mut stopped).await;
    world.stop.cancel();
    assert!(is_over(&mut stopped).await);
    world.served.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_lost_ends_the_connections_that_it_made() {
    let world = World::new(8, 5000);
    let (ann, grant) = testing::user(&world.service, "ann");
    let (_, hers) = world.export_of(&ann, false, None).await;
    let (_, other) = world.export(false, None).await;
    let (mut lost, mut kept) = (world.at_disk(&hers).await, world.at_disk(&other).await);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        expect_served(&mut lost).await;
    }
    let off = UserChange { enabled: Some(false), ..UserChange::default() };
    let admin = world.service.actor_called("admin", "Default", "admin").unwrap();
    world.service.update_user(&admin, &grant.user, off).unwrap();
    assert!(is_over(&mut lost).await);
    expect_served(&mut kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_look_nor_writes_that_had_no_room_become_an_image() {
    let world = World::new(8, 5000);
    let (_, name) = world.export(true, Some("kept")).await;
    let mut looks = world.at_disk(&name).await;
    expect_served(&mut looks).await;
    leave(looks).await;
    // All room is somebody else's.
    let (_, other) = world.export(true, None).await;
    let mut hog = world.at_disk(&other).await;
    assert!(writes(&mut hog, 0, 4096).await);
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 4096).await);
    assert!(!writes(&mut client, 4096, 4096).await);
    leave(client).await;
    let (is_kept, lost) = world.end().await;
    assert!(!is_kept && lost.len() == 1, "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_is_made_where_a_write_behind_the_end_was_refused() {
    let world = World::new(8, 5000);
    let (_, name) = world.export(true, Some("kept")).await;
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 100).await);
    assert!(!writes(&mut client, 9000, 4096).await);
    leave(client).await;
    let (is_kept, lost) = world.end().await;
    assert!(!is_kept);
    assert!(lost.len() == 1 && lost[0].ends_with("not all writes could be taken"), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_that_finds_no_room_loses_nothing() {
    let world = World::new(8, 5000);
    let (_, name) = world.export(true, Some("kept")).await;
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 8192).await);
    // A part of a block that is not there yet.
    ask(&mut client, command::TRIM, 8192, 100).await;
    assert!(is_done(&mut client).await);
    ask(&mut client, command::READ, 8100, 200).await;
    let mut read = [0; 216];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!((&read[16..108], &read[108..]), (&[3; 92][..], &[7; 108][..]));
    leave(client).await;
    assert_eq!(world.end().await, (true, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_fails_is_on_record() {
    let world = World::new(8, 5000);
    let (_, name) = world.export(true, Some("kept")).await;
    let admin = world.service.local_admin().unwrap();
    let full = vec![(Resource::ImageCountTotal, Some(Limit::AtMost(1)))];
    world.service.set_quotas(&admin, admin.project().unwrap(), full).unwrap();
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 100).await);
    leave(client).await;
    let (is_kept, lost) = world.end().await;
    assert!(!is_kept);
    assert!(lost.len() == 1 && lost[0].contains("limit"), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_rests_on_the_rights_that_are_left_when_it_begins() {
    // Nobody looks before that.
    let world = World::that_reviews(8, 5000, Duration::from_secs(5), Duration::from_secs(3600));
    let (ann, grant) = testing::user(&world.service, "ann");
    let (_, name) = world.export_of(&ann, true, Some("kept")).await;
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 100).await);
    let admin = world.service.actor_called("admin", "Default", "admin").unwrap();
    world.service.revoke_role(&admin, grant).unwrap();
    leave(client).await;
    let (is_kept, lost) = world.end().await;
    assert!(!is_kept);
    assert!(lost.len() == 1 && lost[0].ends_with("may not act in its project any more"), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_the_stop_cuts_off_is_on_record() {
    let world = World::that_drains(8, 5000, Duration::ZERO);
    let (_, name) = world.export(true, Some("kept")).await;
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 100).await);
    ask(&mut client, command::DISCONNECT, 0, 0).await;
    // Wherever the stop meets it, before it begins, on the way or after its end: what was written is there, or said to be lost.
    let (is_kept, lost) = world.end().await;
    assert_eq!(lost.len(), usize::from(!is_kept), "{lost:?}");
    // A client that is not done is no reason to wait either.
    let world = World::that_drains(8, 5000, Duration::ZERO);
    let (_, name) = world.export(true, Some("kept")).await;
    let mut client = world.at_disk(&name).await;
    assert!(writes(&mut client, 0, 100).await);
    let (is_kept, lost) = world.end().await;
    assert!(!is_kept && lost.len() == 1, "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_kept_when_the_client_leaves_in_good_order_alone() {
    let world = World::new(8, 5000);
    let (_, name) = world.export(true, Some("kept")).await;
    for leaves in [false, true] {
        let mut client = world.at_disk(&name).await;
        ask(&mut client, command::WRITE, 50, 100).await;
        client.write_all(&[3; 100]).await.unwrap();
        client.read_exact(&mut [0; 16]).await.unwrap();
        if leaves {
            ask(&mut client, command::DISCONNECT, 0, 0).await;
            assert!(is_over(&mut client).await);
        }
    }
    world.stop.cancel();
    let World { service, served, .. } = world;
    served.await.unwrap();
    let admin = service.local_admin().unwrap();
    let open = service.find_disk(&admin, "kept", Source::Socket).unwrap().open;
    let mut read = DATA;
    open.disk.read_at(0, &mut read).unwrap();
    let mut expected = DATA;
    expected[50..150].fill(3);
    assert!(read == expected);
}
