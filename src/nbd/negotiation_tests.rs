//! Negotiations with clients of all kinds: what is answered, and what ends them.

use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::super::talk::OPTION_BYTES_MAX;
use super::super::testing::{Client, One, Plain};
use super::super::wire::info;
use super::*;

type Ended = io::Result<Outcome<Plain>>;

/// A client, and how the server's side will have ended.
fn talk(tls: Tls) -> (Client, tokio::task::JoinHandle<Ended>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let ended = tokio::spawn(async move {
        let mut stream = theirs;
        let exports = One(Arc::new(Plain::new(vec![7; 10_000], false)));
        match greet(&mut stream).await? {
            Some(greeted) => negotiate(&mut stream, greeted, &exports, tls).await,
            None => Ok(Outcome::Left),
        }
    });
    (Client(ours), ended)
}

fn named(name: &str, infos: &[u16]) -> Vec<u8> {
    let mut data = (name.len() as u32).to_be_bytes().to_vec();
    data.extend(name.as_bytes());
    data.extend((infos.len() as u16).to_be_bytes());
    infos.iter().for_each(|info| data.extend(info.to_be_bytes()));
    data
}

fn asking(name: &str, queries: &[&str]) -> Vec<u8> {
    let mut data = (name.len() as u32).to_be_bytes().to_vec();
    data.extend(name.as_bytes());
    data.extend((queries.len() as u32).to_be_bytes());
    for query in queries {
        data.extend((query.len() as u32).to_be_bytes());
        data.extend(query.as_bytes());
    }
    data
}

#[tokio::test]
async fn a_client_of_today_agrees_on_everything() {
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    client.option(option::STRUCTURED_REPLY, &[]).await;
    assert_eq!(client.answer().await, (option::STRUCTURED_REPLY, answer::ACK, vec![]));
    client.option(option::SET_META_CONTEXT, &asking("disk", &["base:allocation", "x:y"])).await;
    let context = [&[0, 0, 0, 1], ALLOCATION.as_bytes()].concat();
    assert_eq!(client.answer().await, (option::SET_META_CONTEXT, answer::META_CONTEXT, context));
    assert_eq!(client.answer().await.1, answer::ACK);
    client.option(option::INFO, &named("disk", &[info::NAME, info::DESCRIPTION])).await;
    for expected in [&[0, 0][..], b"\0\x01disk", b"\0\x02in memory"] {
        let (_, kind, data) = client.answer().await;
        assert_eq!(kind, answer::INFO);
        assert!(data.starts_with(expected), "{data:?}");
    }
    assert_eq!(client.answer().await.1, answer::ACK);
    client.option(option::GO, &named("disk", &[info::BLOCK_SIZE])).await;
    let (_, _, export) = client.answer().await;
    let flags = export_flag::HAS_FLAGS | export_flag::READ_ONLY | export_flag::MULTI_CONN;
    let flags = flags | export_flag::FLUSH | export_flag::CACHE | export_flag::DONT_FRAGMENT;
    let told = [&[0, 0][..], &10_000u64.to_be_bytes(), &flags.to_be_bytes()].concat();
    assert_eq!(export, told);
    assert_eq!(client.answer().await.2, [0, 3, 0, 0, 0, 1, 0, 0, 16, 0, 2, 0, 0, 0]);
    assert_eq!(client.answer().await.1, answer::ACK);
    let Outcome::Agreed(agreed) = ended.await.unwrap().unwrap() else { panic!("no export") };
    assert!(agreed.is_structured && agreed.has_allocation);
}

#[tokio::test]
async fn contexts_hold_for_the_export_that_they_were_chosen_for() {
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    client.option(option::LIST_META_CONTEXT, &asking("disk", &[])).await;
    assert_eq!(client.answer().await.1, answer::INVALID);
    client.option(option::STRUCTURED_REPLY, &[]).await;
    client.answer().await;
    for (queries, found) in [(&[][..], 1), (&["base:"], 1), (&["base:allocation"], 1), (&["qemu:"], 0)] {
        client.option(option::LIST_META_CONTEXT, &asking("disk", queries)).await;
        for _ in 0..found {
            assert_eq!(client.answer().await.1, answer::META_CONTEXT, "{queries:?}");
        }
        assert_eq!(client.answer().await.1, answer::ACK, "{queries:?}");
    }
    client.option(option::SET_META_CONTEXT, &asking("disk", &["base:allocation"])).await;
    client.answer().await;
    client.answer().await;
    // Choosing for another one lets go of what was chosen.
    client.option(option::SET_META_CONTEXT, &asking("none", &["base:allocation"])).await;
    assert_eq!(client.answer().await.1, answer::UNKNOWN);
    client.option(option::GO, &named("disk", &[])).await;
    client.answer().await;
    client.answer().await;
    let Outcome::Agreed(agreed) = ended.await.unwrap().unwrap() else { panic!("no export") };
    assert!(agreed.is_structured && !agreed.has_allocation);
}

#[tokio::test]
async fn the_old_way_has_zeros_after_its_answer() {
    for (flags, zeros) in [(1, 124), (3, 0)] {
        let (mut client, ended) = talk(Tls::None);
        client.hello(flags).await;
        client.option(option::EXPORT_NAME, b"disk").await;
        let mut told = vec![0; 10 + zeros];
        client.0.read_exact(&mut told).await.unwrap();
        assert_eq!(told[..8], 10_000u64.to_be_bytes());
        let Outcome::Agreed(agreed) = ended.await.unwrap().unwrap() else { panic!("no export") };
        assert!(!agreed.is_structured);
    }
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    client.option(option::EXPORT_NAME, b"none").await;
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
}

#[tokio::test]
async fn the_old_way_ends_without_an_answer_where_its_name_is_too_long() {
    for tls in [Tls::None, Tls::Required, Tls::Begun] {
        let (mut client, ended) = talk(tls);
        client.hello(3).await;
        client.option(option::EXPORT_NAME, &vec![b'a'; OPTION_BYTES_MAX as usize + 1]).await;
        assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left), "{tls:?}");
        let mut told = Vec::new();
        client.0.read_to_end(&mut told).await.unwrap();
        assert!(told.is_empty(), "{tls:?}: {told:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_and_the_talk_goes_on() {
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    for (code, data, expected) in [
        (option::GO, named("none", &[]), answer::UNKNOWN),
        (option::INFO, named("closed", &[]), answer::POLICY),
        (option::GO, vec![0, 0], answer::INVALID),
        (option::STARTTLS, vec![], answer::UNSUPPORTED),
        (option::LIST, vec![1], answer::INVALID),
        (option::STRUCTURED_REPLY, vec![1], answer::INVALID),
        // Extended headers, and what nobody knows.
        (11, vec![], answer::UNSUPPORTED),
        (4711, vec![1, 2, 3], answer::UNSUPPORTED),
        (option::GO, vec![0; OPTION_BYTES_MAX as usize + 1], answer::TOO_BIG),
    ] {
        client.option(code, &data).await;
        let (of, kind, _) = client.answer().await;
        assert_eq!((of, kind), (code, expected), "{code}");
    }
    client.option(option::LIST, &[]).await;
    assert_eq!(client.answer().await.2, b"\0\0\0\x04diskin memory");
    assert_eq!(client.answer().await.1, answer::ACK);
    client.option(option::ABORT, &[]).await;
    assert_eq!(client.answer().await, (option::ABORT, answer::ACK, vec![]));
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
}

#[tokio::test]
async fn nothing_is_told_before_tls_where_it_is_required() {
    let (mut client, ended) = talk(Tls::Required);
    client.hello(3).await;
    for code in [option::GO, option::INFO, option::LIST, option::STRUCTURED_REPLY, option::SET_META_CONTEXT] {
        client.option(code, &named("disk", &[])).await;
        assert_eq!(client.answer().await.1, answer::TLS_REQUIRED, "{code}");
    }
    client.option(option::STARTTLS, &[]).await;
    assert_eq!(client.answer().await.1, answer::ACK);
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::StartTls));
    let (mut client, ended) = talk(Tls::Required);
    client.hello(3).await;
    client.option(option::EXPORT_NAME, b"disk").await;
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    let (mut client, ended) = talk(Tls::None);
    client.hello(1 << 9).await;
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    client.0.write_all(&[9; 16]).await.unwrap();
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    client.0.write_u64(wire::OPTION).await.unwrap();
    client.0.write_u64(u64::MAX).await.unwrap();
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
    // More options than anybody needs.
    let (mut client, ended) = talk(Tls::None);
    client.hello(3).await;
    for _ in 0..OPTIONS_MAX {
        client.option(4711, &[]).await;
        client.answer().await;
    }
    assert!(matches!(ended.await.unwrap().unwrap(), Outcome::Left));
}

proptest! {
    #[test]
    fn any_bytes_end_somehow(bytes in proptest::collection::vec(any::<u8>(), 0..300), code in 0u32..12, is_option: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut client, ended) = talk(Tls::None);
            client.hello(3).await;
            match is_option {
                true => client.option(code, &bytes).await,
                false => client.0.write_all(&bytes).await.unwrap(),
            }
            // What the server had to say fits into the stream; it hears that nothing follows.
            client.0.shutdown().await.unwrap();
            let _ = ended.await.unwrap();
        });
    }
}
