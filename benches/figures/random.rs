//! Blocks of 4 KiB at random places: through a reader, from `qemu-nbd` and from a plain file, of dense
//! data and, where `BENCH_CORPUS` names a folder of them, of a real disk.
//!
//! Packs, qcow2 and plain file lie in the page cache; the reader's own memory is bounded as in the
//! product, so a read of dense data seldom finds its frame there. A real disk is mostly holes.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use tintype::store::{Reader, Scope};

use super::measure::{Paired, Wanted, note, setting};
use super::nbd::Peer;
use super::{Outcome, dense, ingest, server};

/// What a guest's disk reads at once.
const BLOCK: usize = 4096;
/// Random reads of one measurement.
const READS: u64 = 20_000;
/// Bytes of a disk that are read at once on its way in.
const PIECE: usize = 1 << 20;
/// The real disk.
const DISK: &str = "web.raw";

/// Measures both disks.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_DOWNLOAD_MIB", 512)? << 20) as usize;
    let dir = server::new_dir()?;
    let mut data = dense::base(bytes)?;
    dense::stamp(&mut data, 0, 0);
    let disk = dir.path().join("dense.raw");
    std::fs::write(&disk, data)?;
    measure("dense data", &disk, Wanted::Nothing)?;
    match std::env::var_os("BENCH_CORPUS") {
        Some(corpus) => measure("a real disk", &PathBuf::from(corpus).join(DISK), Wanted::RatioAtLeast(0.5)),
        None => {
            note("random reads of a real disk not measured: BENCH_CORPUS names no folder of disks");
            Ok(())
        }
    }
}

fn measure(what: &str, disk: &Path, wanted: Wanted) -> Outcome {
    let dir = server::new_dir()?;
    let reader = store(disk, dir.path())?;
    let mut peer = Peer::start(disk, dir.path())?;
    let plain = File::open(disk)?;
    let bytes = reader.size_bytes();
    let (mut beside_peer, mut beside_plain) = (Paired::default(), Paired::default());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let ours = reads(bytes, round, |at, out| Ok(reader.read_at(at, out)?))?;
        let peers = reads(bytes, round, |at, out| peer.read_at(at, out))?;
        let direct = reads(bytes, round, |at, out| Ok(plain.read_exact_at(out, at)?))?;
        note(format!("round {round}: {ours:.0} random reads/s, qemu-nbd {peers:.0}, plain file {direct:.0}"));
        beside_peer.add(ours, peers);
        beside_plain.add(ours, direct);
    }
    beside_peer.print(&format!("random 4 KiB reads, {what}"), "1/s", "qemu-nbd on a qcow2", wanted);
    beside_plain.print("  beside a plain file", "1/s", "the same of a plain file", Wanted::Nothing);
    Ok(())
}

/// Brings a disk into a new store.
fn store(disk: &Path, dir: &Path) -> Result<Reader, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (db, store) = ingest::open(dir)?;
    runtime.block_on(async {
        let mut ingest = store.ingest(Scope::STORE)?;
        let mut file = File::open(disk)?;
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            if (&mut file).take(PIECE as u64).read_to_end(&mut piece)? == 0 {
                break;
            }
            ingest.write(Bytes::from(piece)).await?;
        }
        let receipt = ingest.finish(Vec::new()).await?;
        let content = ingest::publish(db, store.clone(), receipt).await?;
        Ok(store.reader(&content)?)
    })
}

/// Reads of one block a second, at places that follow from `seed`.
fn reads(
    bytes: u64,
    seed: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Outcome,
) -> Result<f64, Box<dyn Error>> {
    let mut block = [0; BLOCK];
    let mut place = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let start = Instant::now();
    for _ in 0..READS {
        place ^= place << 13;
        place ^= place >> 7;
        place ^= place << 17;
        read(place % (bytes / BLOCK as u64) * BLOCK as u64, &mut block)?;
    }
    Ok(READS as f64 / start.elapsed().as_secs_f64())
}
