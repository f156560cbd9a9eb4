//! The client against this server's own side of the protocol, and against one that says nonsense.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::super::negotiation::{Outcome, Tls, greet, negotiate};
use super::super::pages::Pages;
use super::super::testing::{One, Plain};
use super::super::transmission;
use super::*;

fn address(dir: &tempfile::TempDir, name: &str) -> Address {
    let socket = dir.path().join("nbd.sock");
    Address::parse(&format!("nbd+unix:///{name}?socket={}", socket.display())).unwrap().unwrap()
}

/// Serves one connection to a disk; holes are of 512 bytes at least.
fn serve(dir: &tempfile::TempDir, bytes: Vec<u8>) {
    let listener = UnixListener::bind(dir.path().join("nbd.sock")).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.unwrap().block_on(async {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let mut stream = tokio::net::UnixStream::from_std(stream).unwrap();
            let exports = One(Arc::new(Plain::new(bytes, false)));
            let greeted = greet(&mut stream).await.unwrap().unwrap();
            let outcome = negotiate(&mut stream, greeted, &exports, Tls::None).await.unwrap();
            if let Outcome::Agreed(agreed) = outcome {
                let (reader, writer) = tokio::io::split(stream);
                let pages = Pages::new(1 << 20);
                transmission::run(reader, writer, agreed, &pages, Arc::default(), std::future::pending())
                    .await;
            }
        });
    });
}

#[test]
fn a_disk_is_read_and_its_holes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8 | 1).collect();
    bytes[512 * 100..512 * 4000].fill(0);
    serve(&dir, bytes.clone());
    let remote = Remote::connect(&address(&dir, "disk")).unwrap();
    assert_eq!(remote.size_bytes(), bytes.len() as u64);
    let mut read = vec![9; bytes.len()];
    remote.read_exact_at(0, &mut read).unwrap();
    assert!(read == bytes);
    let (mut at, mut stretches) = (0, Vec::new());
    while at < remote.size_bytes() {
        let Stretch { bytes, is_zero } = remote.stretch_at(at);
        at += bytes;
        stretches.push((at, is_zero));
    }
    assert_eq!(stretches, [(51_200, false), (2_048_000, true), (3_000_000, false)]);
    assert_eq!(remote.stretch_at(60_000), Stretch { bytes: 2_048_000 - 60_000, is_zero: true });
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let dir = tempfile::tempdir().unwrap();
    serve(&dir, vec![1; 512]);
    let refused = Remote::connect(&address(&dir, "none")).err().unwrap();
    assert!(refused.to_string().contains("there is no such export"), "{refused}");
}

#[test]
fn nonsense_is_no_answer() {
    // A server that goes on after its first word with these bytes.
    for rest in [vec![0; 64], vec![0xff; 64], Vec::new()] {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("nbd.sock")).unwrap();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let hello = [&wire::NEGOTIATION.to_be_bytes()[..], &wire::OPTION.to_be_bytes(), &[0, 3]].concat();
            stream.write_all(&[hello, rest].concat()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert!(Remote::connect(&address(&dir, "disk")).is_err());
        served.join().unwrap();
    }
}
