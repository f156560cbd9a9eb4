//! The client against this server's own side of the protocol, and against one that says nonsense.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::super::negotiation::{Outcome, Tls, greet, negotiate};
use super::super::pages::Pages;
use super::super::testing::{One, Plain};
use super::super::transmission;
use super::super::wire::{HOLE_OF_ZEROS, REQUEST_BYTES, Request, simple_reply};
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

/// Agrees on a disk of this size with one client, and answers its requests as a test wants it.
fn make_up(dir: &tempfile::TempDir, size: usize, answer: impl Fn(Request) -> Vec<u8> + Send + 'static) {
    let listener = UnixListener::bind(dir.path().join("nbd.sock")).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(async {
            let mut stream = tokio::net::UnixStream::from_std(stream).unwrap();
            let exports = One(Arc::new(Plain::new(vec![0; size], false)));
            let greeted = greet(&mut stream).await.unwrap().unwrap();
            negotiate(&mut stream, greeted, &exports, Tls::None).await.unwrap();
            stream.into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        let mut request = [0; REQUEST_BYTES];
        while (&stream).read_exact(&mut request).is_ok() {
            (&stream).write_all(&answer(Request::parse(&request).unwrap())).unwrap();
        }
    });
}

fn chunk_of(request: Request, kind: u16, is_last: bool, data: &[&[u8]]) -> Vec<u8> {
    let data = data.concat();
    [&wire::chunk_header(request.cookie, kind, is_last, data.len() as u32)[..], &data].concat()
}

fn refusal_of(request: Request, is_last: bool, words: &str) -> Vec<u8> {
    let length = (words.len() as u16).to_be_bytes();
    // With a place, as ERROR_OFFSET has it.
    chunk_of(request, chunk::ERROR + 1, is_last, &[&[0, 0, 0, 5], &length, words.as_bytes(), &[0; 8]])
}

/// All bytes of a read, each of them 7.
fn sevens(request: Request) -> Vec<u8> {
    let data = vec![7; request.length as usize];
    chunk_of(request, chunk::OFFSET_DATA, true, &[&request.offset.to_be_bytes(), &data])
}

#[test]
fn what_a_server_does_not_tell_of_is_read() {
    type Refuses = fn(Request) -> Vec<u8>;
    let whole: Refuses = |request| refusal_of(request, true, "no map here");
    let in_parts: Refuses =
        |request| [refusal_of(request, false, ""), chunk_of(request, chunk::NONE, true, &[])].concat();
    let simple: Refuses = |request| simple_reply(request.cookie, 22).to_vec();
    let nothing: Refuses = |request| chunk_of(request, chunk::NONE, true, &[]);
    for refuses in [whole, in_parts, simple, nothing] {
        let dir = tempfile::tempdir().unwrap();
        let asked = Arc::new(Mutex::new(0));
        let counted = asked.clone();
        make_up(&dir, 3 << 20, move |request| match request.command {
            command::BLOCK_STATUS => {
                *counted.lock().unwrap() += 1;
                refuses(request)
            }
            _ => sevens(request),
        });
        let remote = Remote::connect(&address(&dir, "disk")).unwrap();
        for at in [0, 4096] {
            assert_eq!(remote.stretch_at(at), Stretch { bytes: (3 << 20) - at, is_zero: false });
            let mut read = vec![0; 2 << 20];
            remote.read_exact_at(at, &mut read).unwrap();
            assert!(read.iter().all(|byte| *byte == 7));
        }
        assert_eq!(*asked.lock().unwrap(), 1);
    }
}

#[test]
fn a_read_that_is_refused_says_why_and_the_next_one_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    make_up(&dir, 1 << 20, |request| match request.offset {
        0 => {
            let words = "the disk\u{1b}[2J is gone".to_owned() + &"!".repeat(2000);
            [refusal_of(request, false, &words), sevens(request)].concat()
        }
        _ => sevens(request),
    });
    let remote = Remote::connect(&address(&dir, "disk")).unwrap();
    let mut read = vec![0; 512];
    let why = remote.read_exact_at(0, &mut read).unwrap_err().to_string();
    assert!(why.contains("(error 5): the disk\u{fffd}[2J is gone!") && why.len() < 500, "{why}");
    remote.read_exact_at(512, &mut read).unwrap();
    assert_eq!(read, vec![7; 512]);
}

#[test]
fn an_answer_that_goes_on_and_on_is_none() {
    let extent = [&[0, 0, 0, 1][..], &(1u32 << 20).to_be_bytes(), &HOLE_OF_ZEROS.to_be_bytes()].concat();
    let extents = move |request, is_last| chunk_of(request, chunk::BLOCK_STATUS, is_last, &[&extent]);
    type Answers = Box<dyn Fn(Request) -> Vec<u8> + Send>;
    let answers: [Answers; 3] = [
        Box::new(move |request| [extents(request, false), extents(request, true)].concat()),
        Box::new(|request| vec![refusal_of(request, false, ""); REFUSALS_MAX + 1].concat()),
        Box::new(|request| vec![chunk_of(request, chunk::NONE, false, &[]); 2].concat()),
    ];
    for answer in answers {
        let dir = tempfile::tempdir().unwrap();
        make_up(&dir, 1 << 20, answer);
        let remote = Remote::connect(&address(&dir, "disk")).unwrap();
        // What is read instead shows that the server cannot be understood.
        assert_eq!(remote.stretch_at(0), Stretch { bytes: 1 << 20, is_zero: false });
        assert!(remote.read_exact_at(0, &mut [0; 512]).is_err());
    }
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
