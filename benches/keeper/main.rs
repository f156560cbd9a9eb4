//! The library as a program that keeps files, for `benches/peers` to hold beside others: one process
//! an action, no server and no HTTP.
//!
//! `keeper init DIR`, `keeper put DIR NAME FILE` (holes of the file are not read), `keeper get DIR NAME`
//! (to standard output), `keeper random DIR NAME BYTES COUNT`, and as its yardstick `keeper reads FILE
//! BYTES COUNT`: reads of that many bytes at the same places of any file, such as one on a mount of
//! another program. Names stand beside the store, one file each; a name that is put again moves on.
//! Streams carry BLAKE3 and no other digest.

mod file;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use tintype::base::{OsEntropy, SystemClock};
use tintype::db::{self, Db};
use tintype::model::{ByteRange, ContentId, DigestChoice};
use tintype::objects::Native;
use tintype::store::{Options, Reader, Scope, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "keeper init DIR | put DIR NAME FILE | get DIR NAME | random DIR NAME BYTES COUNT | \
                     reads FILE BYTES COUNT";

fn main() -> Outcome {
    // Cargo adds `--bench` of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // All benches are run at once: this one is for others to run.
        [] => println!("{USAGE}"),
        ["init", dir] => {
            fs::create_dir_all(dir)?;
            open(dir)?;
        }
        ["put", dir, name, path] => put(dir, name, Path::new(path))?,
        ["get", dir, name] => get(&reader(dir, name)?)?,
        ["random", dir, name, bytes, count] => {
            let reader = reader(dir, name)?;
            at_random(reader.size_bytes(), bytes, count, |at, out| Ok(reader.read_at(at, out)?))?;
        }
        ["reads", path, bytes, count] => {
            let file = File::open(path)?;
            at_random(file.metadata()?.len(), bytes, count, |at, out| Ok(file.read_exact_at(out, at)?))?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn open(dir: &str) -> Outcome<(Db, Store)> {
    let dir = Path::new(dir);
    let db = Db::open(&dir.join("catalog.redb"), db::Options::default())?;
    let objects = Arc::new(Native::open(dir.join("store"))?);
    let options = Options { digests: DigestChoice::NONE, ..Options::default() };
    let store = Store::open(db.clone(), objects, None, options, Arc::new(SystemClock), Arc::new(OsEntropy))?;
    Ok((db, store))
}

fn name_file(dir: &str, name: &str) -> PathBuf {
    Path::new(dir).join(format!("{name}.name"))
}

fn put(dir: &str, name: &str, path: &Path) -> Outcome {
    let (db, store) = open(dir)?;
    let content = runtime()?.block_on(async {
        let mut ingest = store.ingest(Scope::STORE)?;
        let mut pieces = file::Pieces::open(path)?;
        while let Some(piece) = pieces.next_piece()? {
            ingest.write(piece).await?;
        }
        let receipt = ingest.finish(Vec::new()).await?;
        let content = receipt.content();
        db.write(move |txn| store.publish(txn, &receipt))?;
        Outcome::Ok(content)
    })?;
    Ok(fs::write(name_file(dir, name), hex::encode(content.0))?)
}

fn reader(dir: &str, name: &str) -> Outcome<Reader> {
    let mut content = ContentId([0; 16]);
    hex::decode_to_slice(fs::read_to_string(name_file(dir, name))?, &mut content.0)?;
    Ok(open(dir)?.1.reader(&content)?)
}

fn get(reader: &Reader) -> Outcome {
    let mut out = File::from(std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned()?);
    runtime()?.block_on(async {
        let mut pieces = reader.stream(ByteRange::whole(reader.size_bytes()));
        while let Some(piece) = pieces.next().await {
            out.write_all(&piece?)?;
        }
        Ok(())
    })
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Reads at places that follow from nothing but the length of what is read.
fn at_random(
    size: u64,
    bytes: &str,
    count: &str,
    mut read: impl FnMut(u64, &mut [u8]) -> Outcome,
) -> Outcome {
    let (bytes, count): (usize, u64) = (bytes.parse()?, count.parse()?);
    let mut out = vec![0; bytes];
    let blocks = (size / bytes as u64).max(1);
    let mut place = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..count {
        place ^= place << 13;
        place ^= place >> 7;
        place ^= place << 17;
        read(place % blocks * bytes as u64, &mut out)?;
    }
    Ok(())
}
