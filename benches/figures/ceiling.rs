//! What all cores together can do of the work no transfer is spared. An upload: MD5, SHA-512 and
//! BLAKE3 of the stream, BLAKE3 of its chunks, zstd of its frames; of known data, the digests alone. A download: the frames decoded, and
//! BLAKE3 of their chunks. Nothing waits for anything here, so no store that computes these can be faster.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fast_md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use tintype::model::{DigestChoice, HashAlgorithm};

use super::measure::processor_seconds;

/// Handed to a thread at once; stays in its second-level cache.
const SEGMENT: usize = 1 << 20;
const CHUNK: usize = 64 << 10;
const FRAME: usize = 128 << 10;
/// The level new data is stored at by default.
const ZSTD_LEVEL: i32 = 1;

/// One measurement of it.
pub struct Ceiling {
    /// Wall seconds for the whole data.
    pub seconds: f64,
    /// Processor seconds of all threads.
    pub processor_seconds: f64,
}

/// Runs the primitives of an upload over `data` on all cores.
pub fn measure(data: &[u8]) -> Result<Ceiling, Box<dyn Error>> {
    let next = AtomicUsize::new(0);
    on_all_cores(&|| work(data, &next))
}

/// Runs the digests of an upload of known data over it on all cores. Where one of them takes longer
/// alone, that is the ceiling: it is one chain.
pub fn measure_digests(data: &[u8], choice: DigestChoice) -> Result<Ceiling, Box<dyn Error>> {
    let next = AtomicUsize::new(0);
    let spread = on_all_cores(&|| {
        digest(data, choice, &next);
        Ok(())
    })?;
    let mut seconds = spread.seconds;
    for alone in
        [DigestChoice { md5: choice.md5, secure: None }, DigestChoice { md5: false, secure: choice.secure }]
    {
        seconds = seconds.max(chain(data, alone));
    }
    Ok(Ceiling { seconds, ..spread })
}

/// Seconds that one digest of the whole takes on one core; `choice` has one at most.
fn chain(data: &[u8], choice: DigestChoice) -> f64 {
    let start = Instant::now();
    match choice {
        DigestChoice { md5: true, .. } => _ = std::hint::black_box(fast_md5::digest(data)),
        DigestChoice { secure: Some(HashAlgorithm::Sha512), .. } => {
            _ = std::hint::black_box(Sha512::digest(data));
        }
        DigestChoice { secure: Some(HashAlgorithm::Sha256), .. } => {
            _ = std::hint::black_box(Sha256::digest(data));
        }
        DigestChoice::NONE => _ = std::hint::black_box(blake3::hash(data)),
    }
    start.elapsed().as_secs_f64()
}

/// Runs the primitives of a download on all cores, over frames made before the clock starts.
pub fn measure_reads(data: &[u8]) -> Result<Ceiling, Box<dyn Error>> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let frames: Vec<Vec<u8>> =
        data.chunks(FRAME).map(|frame| compressor.compress(frame)).collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    on_all_cores(&|| decode(&frames, &next))
}

fn on_all_cores(work: &(dyn Fn() -> std::io::Result<()> + Sync)) -> Result<Ceiling, Box<dyn Error>> {
    let before = processor_seconds(std::process::id())?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..std::thread::available_parallelism()?.get()).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread of the ceiling died")??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Ceiling { seconds, processor_seconds: processor_seconds(std::process::id())? - before })
}

fn work(data: &[u8], next: &AtomicUsize) -> std::io::Result<()> {
    let (mut md5, mut sha512, mut root) = (Md5::new(), Sha512::new(), blake3::Hasher::new());
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    loop {
        let start = next.fetch_add(SEGMENT, Ordering::Relaxed);
        if start >= data.len() {
            break;
        }
        let segment = &data[start..data.len().min(start + SEGMENT)];
        md5.update(segment);
        sha512.update(segment);
        root.update(segment);
        for chunk in segment.chunks(CHUNK) {
            std::hint::black_box(blake3::hash(chunk));
        }
        for frame in segment.chunks(FRAME) {
            std::hint::black_box(compressor.compress(frame)?);
        }
    }
    std::hint::black_box((md5.finalize(), sha512.finalize(), root.finalize()));
    Ok(())
}

fn digest(data: &[u8], choice: DigestChoice, next: &AtomicUsize) {
    let mut md5 = choice.md5.then(Md5::new);
    let mut sha512 = (choice.secure == Some(HashAlgorithm::Sha512)).then(Sha512::new);
    let mut sha256 = (choice.secure == Some(HashAlgorithm::Sha256)).then(Sha256::new);
    let mut root = blake3::Hasher::new();
    loop {
        let start = next.fetch_add(SEGMENT, Ordering::Relaxed);
        if start >= data.len() {
            break;
        }
        let segment = &data[start..data.len().min(start + SEGMENT)];
        md5.iter_mut().for_each(|md5| md5.update(segment));
        sha512.iter_mut().for_each(|sha512| sha512.update(segment));
        sha256.iter_mut().for_each(|sha256| sha256.update(segment));
        root.update(segment);
        for chunk in segment.chunks(CHUNK) {
            std::hint::black_box(blake3::hash(chunk));
        }
    }
    std::hint::black_box((
        md5.map(Md5::finalize),
        sha512.map(Sha512::finalize),
        sha256.map(Sha256::finalize),
    ));
    std::hint::black_box(root.finalize());
}

fn decode(frames: &[Vec<u8>], next: &AtomicUsize) -> std::io::Result<()> {
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    let mut raw = Vec::with_capacity(FRAME);
    while let Some(frame) = frames.get(next.fetch_add(1, Ordering::Relaxed)) {
        raw.clear();
        decompressor.decompress_to_buffer(frame, &mut raw)?;
        for chunk in raw.chunks(CHUNK) {
            std::hint::black_box(blake3::hash(chunk));
        }
    }
    Ok(())
}
