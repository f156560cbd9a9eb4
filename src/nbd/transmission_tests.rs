//! Requests of all kinds on a disk in memory: what is answered, in which form, and what ends a connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::super::testing::{Client, Plain};
use super::super::wire::{HOLE_OF_ZEROS, chunk};
use super::*;

struct World {
    client: Client,
    disk: Arc<Plain>,
    ended: JoinHandle<Ended>,
    stop: CancellationToken,
}

/// A connection in the middle of it.
fn begin(disk: Plain, is_structured: bool) -> World {
    begin_with(disk, is_structured, LINGER)
}

fn begin_with(disk: Plain, is_structured: bool, linger: Duration) -> World {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (disk, stop) = (Arc::new(disk), CancellationToken::new());
    let agreed = Agreed { disk: disk.clone(), is_structured, has_allocation: is_structured };
    let (reader, writer) = tokio::io::split(theirs);
    let stopped = stop.clone();
    let ended = tokio::spawn(async move {
        let pages = Pages::new(1 << 20);
        run_and_linger(reader, writer, agreed, &pages, Arc::default(), stopped.cancelled(), linger).await
    });
    World { client: Client(ours), disk, ended, stop }
}

/// A way back to a client on which nothing arrives, or one that does not come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Broken,
    Endless,
}

impl AsyncWrite for Way {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(match *self {
            Way::Broken => Err(io::ErrorKind::BrokenPipe.into()),
            Way::Endless => Ok(bytes.len()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {
            Way::Broken => Poll::Ready(Ok(())),
            Way::Endless => Poll::Pending,
        }
    }
}

/// Blocks of 4 KiB: of data where the pattern says so, else of zeros.
fn blocks(pattern: &[bool]) -> Vec<u8> {
    pattern.iter().flat_map(|is_data| vec![u8::from(*is_data) * 5; 4096]).collect()
}

/// Puts a structured reply to a read together; `None` where it is an error.
async fn gather(client: &mut Client, cookie: u64, offset: u64, length: usize) -> Option<(Vec<u8>, usize)> {
    let (mut read, mut seen, mut holes) = (vec![1; length], 0, 0);
    loop {
        let chunk = client.chunk().await;
        assert_eq!(chunk.cookie, cookie);
        let at = || (u64::from_be_bytes(chunk.data[..8].try_into().unwrap()) - offset) as usize;
        match chunk.kind {
            chunk::OFFSET_DATA => {
                let data = &chunk.data[8..];
                read[at()..at() + data.len()].copy_from_slice(data);
                seen += data.len();
            }
            chunk::OFFSET_HOLE => {
                let hole = u32::from_be_bytes(chunk.data[8..].try_into().unwrap()) as usize;
                read[at()..at() + hole].fill(0);
                (seen, holes) = (seen + hole, holes + 1);
            }
            chunk::ERROR => return None,
            other => panic!("chunk {other}"),
        }
        if chunk.is_last {
            assert_eq!(seen, length, "each byte is told once");
            return Some((read, holes));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_come_as_data_and_holes() {
    let pattern: Vec<bool> = (0..200).map(|n| n % 7 < 3 || n > 180).collect();
    let bytes = blocks(&pattern);
    let World { mut client, ended, .. } = begin(Plain::new(bytes.clone(), false), true);
    for (cookie, (offset, length)) in
        [(0, bytes.len()), (4096, 4096), (1, 1), (5000, 300_000), (3 * 4096, 4 * 4096), (818_000, 1000)]
            .into_iter()
            .enumerate()
    {
        client.request(0, command::READ, cookie as u64, offset as u64, length as u32).await;
        let (read, holes) = gather(&mut client, cookie as u64, offset as u64, length).await.unwrap();
        assert_eq!(read, bytes[offset..offset + length], "{offset} {length}");
        assert_eq!(holes > 0, [0, 3, 4].contains(&cookie), "{offset} {length}");
    }
    client.request(command_flag::DONT_FRAGMENT, command::READ, 9, 0, 100_000).await;
    let chunk = client.chunk().await;
    assert_eq!((chunk.is_last, chunk.kind, chunk.data.len()), (true, chunk::OFFSET_DATA, 100_008));
    client.request(0, command::DISCONNECT, 0, 0, 0).await;
    assert_eq!(ended.await.unwrap(), Ended::Left);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_memory_has_is_answered_without_waiting_for_the_disk() {
    for is_structured in [false, true] {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut disk = Plain::new(bytes.clone(), false);
        disk.near_until = 600_000;
        let World { mut client, disk, .. } = begin(disk, is_structured);
        let reads = [(0, 4096), (599_000, 2000), (1, 500_000), (4096, 16_384), (590_000, 4096), (700_000, 9)];
        let mut seen = std::collections::BTreeMap::new();
        for round in 0..30 {
            for (cookie, (offset, length)) in reads.into_iter().enumerate() {
                client.request(0, command::READ, 10 * round + cookie as u64, offset, length).await;
            }
            // One that makes no sense stands behind the others.
            client.request(0, command::READ, 10 * round + 9, 1_000_000, 1).await;
            let mut gone = 0;
            while gone < 7 {
                let (cookie, data, is_last) = match is_structured {
                    true => {
                        let chunk = client.chunk().await;
                        assert_eq!(chunk.kind == chunk::ERROR, chunk.cookie % 10 == 9);
                        (chunk.cookie, chunk.data.get(8..).map(<[u8]>::to_vec), chunk.is_last)
                    }
                    false => {
                        let (cookie, error) = client.simple().await;
                        assert_eq!(error != 0, cookie % 10 == 9);
                        let length = reads.get(cookie as usize % 10).map_or(0, |(_, length)| *length);
                        let mut data = vec![0; length as usize];
                        client.0.read_exact(&mut data).await.unwrap();
                        (cookie, Some(data), true)
                    }
                };
                seen.entry(cookie).or_insert_with(Vec::new).extend(data.unwrap_or_default());
                gone += u32::from(is_last);
            }
        }
        assert_eq!(seen.len(), 30 * 7);
        for (cookie, data) in seen {
            if let Some((offset, length)) = reads.get(cookie as usize % 10) {
                assert!(data == bytes[*offset as usize..(*offset + u64::from(*length)) as usize], "{cookie}");
            }
        }
        let waited = disk.waited.load(std::sync::atomic::Ordering::Relaxed);
        // Two go past what is near; a long simple reply is read piece by piece, and always waits.
        let wanted = if is_structured { 2 } else { 4 };
        assert_eq!(waited, 30 * wanted, "structured: {is_structured}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_replies_are_in_one_piece_however_long() {
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let World { mut client, ended, .. } = begin(Plain::new(bytes.clone(), false), false);
    // All at once: answers come in any order.
    for (cookie, length) in [(1, 1), (2, 900_000), (3, 4096), (4, 600_000), (5, PIECE_BYTES as u32)] {
        client.request(0, command::READ, cookie, cookie, length).await;
    }
    let lengths = [0, 1, 900_000, 4096, 600_000, PIECE_BYTES];
    let mut seen = Vec::new();
    for _ in 1..lengths.len() {
        let (cookie, error) = client.simple().await;
        assert_eq!(error, 0);
        let mut read = vec![0; lengths[cookie as usize]];
        client.0.read_exact(&mut read).await.unwrap();
        assert_eq!(read, bytes[cookie as usize..cookie as usize + read.len()]);
        seen.push(cookie);
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    drop(client);
    assert_eq!(ended.await.unwrap(), Ended::Broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn extents_are_told_as_far_as_was_asked() {
    let World { mut client, .. } = begin(Plain::new(blocks(&[true, false, false, true]), false), true);
    for (flags, offset, length, expected) in [
        (0, 0, 16384, &[(4096, 0), (8192, HOLE_OF_ZEROS), (4096, 0)][..]),
        (0, 100, 5000, &[(3996, 0), (1004, HOLE_OF_ZEROS)]),
        (command_flag::REQUEST_ONE, 4096, 12288, &[(8192, HOLE_OF_ZEROS)]),
    ] {
        client.request(flags, command::BLOCK_STATUS, 1, offset, length).await;
        let chunk = client.chunk().await;
        assert!(chunk.is_last && chunk.kind == chunk::BLOCK_STATUS && chunk.data[..4] == [0, 0, 0, 1]);
        let numbers = chunk.data[4..].chunks(4).map(|n| u32::from_be_bytes(n.try_into().unwrap()));
        let numbers: Vec<u32> = numbers.collect();
        let told: Vec<(u32, u32)> = numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_zeros_and_trims_change_the_disk() {
    let World { mut client, disk, .. } = begin(Plain::new(vec![9; 1 << 20], true), true);
    client.request(command_flag::FUA, command::WRITE, 1, 10, 600_000).await;
    client.0.write_all(&vec![4; 600_000]).await.unwrap();
    assert_eq!(client.simple().await, (1, 0));
    client.request(command_flag::NO_HOLE, command::WRITE_ZEROES, 2, 100, 50).await;
    assert_eq!(client.simple().await, (2, 0));
    client.request(0, command::TRIM, 3, 200, 50).await;
    assert_eq!(client.simple().await, (3, 0));
    client.request(0, command::FLUSH, 4, 0, 0).await;
    assert_eq!(client.simple().await, (4, 0));
    client.request(0, command::CACHE, 5, 0, 1 << 20).await;
    assert_eq!(client.simple().await, (5, 0));
    let mut expected = vec![9; 1 << 20];
    expected[10..600_010].fill(4);
    expected[100..150].fill(0);
    expected[200..250].fill(0);
    assert_eq!(disk.bytes(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_answered_with_its_error() {
    let World { mut client, disk, .. } = begin(Plain::new(vec![9; 8192], false), false);
    let cases = [
        (0, command::READ, 8000, 193, Errno::Invalid),
        (0, command::READ, u64::MAX, 100, Errno::Invalid),
        (0, command::READ, 0, 0, Errno::Invalid),
        (0, command::READ, 0, REQUEST_BYTES_MAX + 1, Errno::Invalid),
        (command_flag::DONT_FRAGMENT, command::READ, 0, 100, Errno::Invalid),
        (1 << 9, command::READ, 0, 100, Errno::Invalid),
        (0, command::BLOCK_STATUS, 0, 100, Errno::Invalid),
        (0, command::TRIM, 0, 100, Errno::Permission),
        (0, command::WRITE_ZEROES, 0, 100, Errno::Permission),
        (0, command::CACHE, 8192, 1, Errno::Invalid),
        // Resizing, and what nobody knows.
        (0, 8, 0, 100, Errno::Invalid),
        (0, 4711, 0, 100, Errno::Invalid),
    ];
    for (cookie, (flags, command, offset, length, expected)) in cases.into_iter().enumerate() {
        client.request(flags, command, cookie as u64, offset, length).await;
        assert_eq!(client.simple().await, (cookie as u64, expected as u32), "case {cookie}");
    }
    // What follows a write that is refused is not taken for a request.
    client.request(0, command::WRITE, 99, 0, 5000).await;
    client.0.write_all(&[1; 5000]).await.unwrap();
    assert_eq!(client.simple().await, (99, Errno::Permission as u32));
    client.request(0, command::FLUSH, 100, 0, 0).await;
    assert_eq!(client.simple().await, (100, 0));
    assert_eq!(disk.bytes(), vec![9; 8192]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_behind_the_end_find_no_room() {
    let World { mut client, .. } = begin(Plain::new(vec![9; 8192], true), true);
    client.request(0, command::WRITE, 1, 8000, 200).await;
    client.0.write_all(&[1; 200]).await.unwrap();
    assert_eq!(client.simple().await, (1, Errno::NoSpace as u32));
    client.request(0, command::WRITE_ZEROES, 2, 8192, 1).await;
    assert_eq!(client.simple().await, (2, Errno::NoSpace as u32));
    client.request(command_flag::DONT_FRAGMENT, command::READ, 3, 0, 8193).await;
    let chunk = client.chunk().await;
    assert_eq!((chunk.kind, chunk.is_last, chunk.data), (chunk::ERROR, true, vec![0, 0, 0, 22, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_hears_of_each_write_that_was_refused_whatever_the_reason() {
    let mut disk = Plain::new(vec![9; 8192], true);
    disk.broken_from = 4096;
    let World { mut client, disk, ended, .. } = begin(disk, true);
    let lost = || disk.lost.load(std::sync::atomic::Ordering::Relaxed);
    for (flags, command, offset, length, expected, so_far) in [
        (0, command::WRITE, 0, 4096, 0, 0),
        (0, command::WRITE, 8000, 200, Errno::NoSpace as u32, 1),
        (1 << 9, command::WRITE, 0, 200, Errno::Invalid as u32, 2),
        (0, command::WRITE_ZEROES, 8192, 1, Errno::NoSpace as u32, 3),
        // The thread that writes dies.
        (0, command::WRITE, 4096, 100, Errno::Io as u32, 4),
        // Nobody wants anything in particular.
        (0, command::TRIM, 8192, 1, Errno::Invalid as u32, 4),
        (0, command::FLUSH, 0, 0, 0, 4),
    ] {
        client.request(flags, command, 1, offset, length).await;
        if command == command::WRITE {
            client.0.write_all(&vec![4; length as usize]).await.unwrap();
        }
        assert_eq!(client.simple().await, (1, expected));
        assert_eq!(lost(), so_far, "{command} {offset}");
    }
    client.request(0, command::DISCONNECT, 0, 0, 0).await;
    assert_eq!(ended.await.unwrap(), Ended::Left);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_without_its_answers_has_not_left_in_good_order() {
    let linger = Duration::from_millis(200);
    let World { mut client, disk, ended, .. } = begin_with(Plain::new(vec![9; 1 << 20], true), true, linger);
    // The answer does not fit on its way; what comes then waits behind it.
    client.request(0, command::READ, 1, 0, 1 << 20).await;
    client.chunk().await;
    client.request(0, command::WRITE_ZEROES, 2, 0, 4096).await;
    client.request(0, command::DISCONNECT, 3, 0, 0).await;
    assert_eq!(ended.await.unwrap(), Ended::Broken);
    assert_eq!(disk.lost.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_to_a_client_is_bounded_and_an_answer_that_is_lost_is_no_good_order() {
    for (way, expected) in [(Way::Broken, Ended::Broken), (Way::Endless, Ended::Left)] {
        let (ours, theirs) = tokio::io::duplex(4096);
        let mut client = Client(ours);
        // Both are there before any is answered.
        client.request(0, command::FLUSH, 1, 0, 0).await;
        client.request(0, command::DISCONNECT, 2, 0, 0).await;
        let disk = Arc::new(Plain::new(vec![9; 8192], true));
        let agreed = Agreed { disk, is_structured: true, has_allocation: true };
        let (pages, stopped) = (Pages::new(1 << 20), std::future::pending());
        let linger = Duration::from_millis(100);
        let ended = run_and_linger(theirs, way, agreed, &pages, Arc::default(), stopped, linger);
        let ended = timeout(Duration::from_secs(20), ended).await;
        assert_eq!(ended.ok(), Some(expected), "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_and_never_made_up() {
    for is_structured in [true, false] {
        let broken_from = 600_000;
        let mut disk = Plain::new(vec![9; 1 << 20], false);
        disk.broken_from = broken_from;
        let World { mut client, ended, .. } = begin(disk, is_structured);
        client.request(0, command::READ, 1, 0, 1 << 20).await;
        if is_structured {
            assert!(gather(&mut client, 1, 0, 1 << 20).await.is_none());
            client.request(0, command::READ, 2, 0, 4096).await;
            assert!(gather(&mut client, 2, 0, 4096).await.is_some());
            continue;
        }
        // It had begun: only an end can say that it will not come.
        assert_eq!(client.simple().await, (1, 0));
        let mut read = Vec::new();
        client.0.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, vec![9; 2 * PIECE_BYTES]);
        assert_eq!(ended.await.unwrap(), Ended::Broken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_answered_before_a_stop() {
    let World { mut client, ended, stop, .. } = begin(Plain::new(vec![9; 1 << 20], false), true);
    for cookie in 0..4 {
        client.request(0, command::READ, cookie, 0, 100_000).await;
    }
    let first = client.chunk().await;
    stop.cancel();
    let mut seen = vec![first.cookie];
    while seen.len() < 4 {
        seen.push(client.chunk().await.cookie);
    }
    assert_eq!(ended.await.unwrap(), Ended::Stopped);
    assert_eq!(client.0.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_nobody_was_told_to_send_end_the_connection() {
    let World { mut client, ended, .. } = begin(Plain::new(vec![9; 8192], true), true);
    client.request(0, command::WRITE, 1, 0, REQUEST_BYTES_MAX + 1).await;
    assert_eq!(ended.await.unwrap(), Ended::Broken);
    let World { mut client, ended, .. } = begin(Plain::new(vec![9; 8192], true), true);
    client.0.write_all(&[0; REQUEST_BYTES]).await.unwrap();
    assert_eq!(ended.await.unwrap(), Ended::Broken);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_request_ends_somehow(
        flags in 0u16..64, command in 0u16..12, offset in prop_oneof![0u64..70_000, any::<u64>()],
        length in prop_oneof![0u32..70_000, any::<u32>()], is_structured: bool, is_writable: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        runtime.block_on(async {
            let World { mut client, ended, .. } = begin(Plain::new(vec![3; 65_536], is_writable), is_structured);
            client.request(flags, command, 1, offset, length).await;
            client.0.shutdown().await.unwrap();
            let mut told = Vec::new();
            client.0.read_to_end(&mut told).await.unwrap();
            let ended = ended.await.unwrap();
            prop_assert!(told.len() <= 66_000, "{} bytes", told.len());
            prop_assert_eq!(ended == Ended::Left, command == super::command::DISCONNECT);
            Ok(())
        })?;
    }
}
