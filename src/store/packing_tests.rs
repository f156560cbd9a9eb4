//! What lies in packs does not depend on who compressed it, nor when.

use bytes::Bytes;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::objects::Memory;

/// Blocks that compress more or less, each unlike all others.
fn data() -> Bytes {
    let mut out = vec![0; 6 << 20];
    for (number, block) in out.chunks_mut(4096).enumerate() {
        let noise = number * 7 % 4096;
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut block[..noise.max(8)]);
    }
    out.into()
}

/// What every frame of every pack is, where `places` frames may wait for a core.
async fn frames(places: usize) -> Vec<String> {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let options = Options { pack_bytes: 1 << 20, ..Options::default() };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), Arc::new(Memory::new()), None, options, clock, entropy).unwrap();
    store.inner.lines.forget_permits(usize::MAX >> 8);
    store.inner.lines.add_permits(places);
    let mut ingest = store.ingest(Scope::STORE).unwrap();
    ingest.write(data()).await.unwrap();
    let receipt = ingest.finish(Vec::new()).await.unwrap();
    let (content, packs) = (receipt.content(), receipt.0.manifest.packs());
    let publisher = store.clone();
    db.write(move |txn| publisher.publish(txn, &receipt)).unwrap();
    let mut back = vec![0; data().len()];
    store.reader(&content).unwrap().read_at(0, &mut back).unwrap();
    assert!(back == data());
    assert_eq!(store.inner.lines.available_permits(), places, "no place is lost");
    let packs = packs.iter().map(|number| store.pack(number).unwrap());
    packs.flat_map(|pack| pack.footer.frames.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_end_where_they_would_if_each_frame_were_written_at_once() {
    let alone = frames(0).await;
    assert!(alone.len() > 20);
    for places in [1, 3, 1000] {
        assert_eq!(frames(places).await, alone, "{places} places");
    }
}
