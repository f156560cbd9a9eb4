//! What looking at containers takes of their uploads: telling the format while data arrives, and the walk over all tables before an
//! image becomes active, as the service does both.

use std::error::Error;
use std::io;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use tintype::disk::probe::{Format, Probe};
use tintype::disk::{self, Budgets, Passed, Passing, Source, Stretch};
use tintype::store::{Reader, Scope};
use tokio::runtime::Runtime;

use super::measure::{Paired, Wanted, note, processor_seconds, setting};
use super::{Outcome, dense, ingest, server};

/// Bytes that arrive at once.
const PIECE: usize = 1 << 20;
/// What is uploaded: its name, its format, and what makes it of a raw disk (`qemu-img convert`).
const KINDS: [(&str, Format, &[&str]); 5] = [
    ("qcow2", Format::Qcow2, &["-O", "qcow2"]),
    ("compressed qcow2", Format::Qcow2, &["-O", "qcow2", "-c"]),
    ("sparse VMDK", Format::Vmdk, &["-O", "vmdk"]),
    ("stream-optimised VMDK", Format::Vmdk, &["-O", "vmdk", "-o", "subformat=streamOptimized"]),
    ("VHDX", Format::Vhdx, &["-O", "vhdx"]),
];

/// A stream of the store.
struct Stored(Reader);

impl Source for Stored {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(at, out).map_err(io::Error::other)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        let (bytes, is_zero) = self.0.stretch_at(at);
        Stretch { bytes, is_zero }
    }
}

/// Measures each kind, new data in each round.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let base = dense::base(bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (name, format, options) in KINDS {
        let mut shares = Paired::default();
        for round in 0..setting("BENCH_ROUNDS", 5)? {
            let mut data = base.clone();
            dense::stamp(&mut data, round, 0);
            let file = container(&data, options)?;
            drop(data);
            let before = processor_seconds(std::process::id())?;
            let looking = upload(&runtime, format, file)?;
            let whole = processor_seconds(std::process::id())? - before;
            note(format!("round {round}, {name}: {:.1} ms of {whole:.2} s of processor", looking * 1e3));
            shares.add(looking * 100.0, whole * 100.0);
        }
        // Of seconds in hundredths, so that the figures are not all zeros.
        let wanted = Wanted::RatioAtMost(0.03);
        shares.print(
            &format!("looking at a {name} that arrives"),
            "cs",
            "processor time of its upload",
            wanted,
        );
    }
    Ok(())
}

/// A file of a raw disk in another format.
fn container(disk: &[u8], options: &[&str]) -> Result<Bytes, Box<dyn Error>> {
    let dir = server::new_dir()?;
    let (raw, made) = (dir.path().join("raw"), dir.path().join("made"));
    std::fs::write(&raw, disk)?;
    let output =
        Command::new("qemu-img").args(["convert", "-f", "raw"]).args(options).args([&raw, &made]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(std::fs::read(made)?.into())
}

/// Brings a file in; seconds that looking at it took, all of them on one thread.
fn upload(runtime: &Runtime, format: Format, file: Bytes) -> Result<f64, Box<dyn Error>> {
    let dir = server::new_dir()?;
    let (db, store) = ingest::open(dir.path())?;
    runtime.block_on(async {
        let (mut ingest, mut probe, mut seconds) = (store.ingest(Scope::STORE)?, Probe::default(), 0.0);
        // As the service does of what it is told to be a VMDK.
        let mut passing = (format == Format::Vmdk).then(Passing::default);
        for start in (0..file.len()).step_by(PIECE) {
            let piece = file.slice(start..file.len().min(start + PIECE));
            let push = || {
                probe.push(&piece);
                if let Some(passing) = &mut passing {
                    passing.push(&piece);
                }
            };
            seconds += timed(push).0;
            ingest.write(piece).await?;
        }
        let (told, formats) = timed(|| probe.formats());
        if !formats.contains(&format) {
            return Err(format!("the file is told to be {formats:?}").into());
        }
        let receipt = ingest.finish(Vec::new()).await?;
        let (looked, outcome) = timed(|| look(&store, &receipt, format, passing.unwrap_or_default()));
        outcome?;
        ingest::publish(db, store, receipt).await?;
        Ok(seconds + told + looked)
    })
}

/// What stands between a file that came whole and an image that is active.
fn look(
    store: &tintype::store::Store,
    receipt: &tintype::store::Receipt,
    format: Format,
    passing: Passing,
) -> Outcome {
    let (source, budgets) = (Passed::new(Stored(store.inspect(receipt)?), passing), Budgets::default());
    let file_bytes = source.size_bytes();
    let guest = disk::open(format, source, &budgets)?.ok_or("it is no container")?;
    disk::survey(&*guest, file_bytes, format, &budgets)?;
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed().as_secs_f64(), made)
}
