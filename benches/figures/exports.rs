//! Disks out in another format over HTTP, into a file, beside `qemu-img convert` of the same file. Packs and files lie in the
//! page cache, as they do after an upload; and once more where the box has memory enough for the disk's frames, as the page cache
//! has for the file.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::measure::{Paired, Wanted, note, processor_seconds, setting};
use super::server::{self, Server};
use super::{Outcome, dense};

/// What is stored, what is asked for, and both as qemu-img calls them.
const WAYS: [(&str, &str); 2] = [("raw", "qcow2"), ("qcow2", "raw")];

/// Of a box's memory two thirds at most are frames: this is enough for the disk's, in bytes of it.
const MEMORY_SHARE: usize = 4;

/// Measures both ways in turn with qemu-img, with the default memory and with more.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_DOWNLOAD_MIB", 512)? << 20) as usize;
    let dir = server::new_dir()?;
    let mut data = dense::base(bytes)?;
    dense::stamp(&mut data, 0, 0);
    std::fs::write(dir.path().join("disk.raw"), &data)?;
    drop(data);
    convert(dir.path(), "raw", "qcow2", "disk.qcow2")?;
    both_ways(dir.path(), bytes, "", &[])?;
    let much = [("TINTYPE_STORE_MEMORY_BYTES", (bytes * MEMORY_SHARE).to_string())];
    both_ways(dir.path(), bytes, ", frames in memory", &much)
}

fn both_ways(dir: &Path, bytes: usize, circumstance: &str, environment: &[(&str, String)]) -> Outcome {
    let rounds = setting("BENCH_ROUNDS", 5)?;
    let home = dir.join(format!("box{}", environment.len()));
    let server = Server::start_with(&home, environment)?;
    let token = server.sign_in(&home)?;
    for (from, to) in WAYS {
        let stored = std::fs::read(dir.join(format!("disk.{from}")))?;
        let path = upload(&server, &token, from, &stored)?;
        drop(stored);
        let asked = format!("{path}?format={to}");
        let (mut whole, mut first, mut cost) = (Paired::default(), Paired::default(), Paired::default());
        let speed = |seconds: f64| bytes as f64 / seconds / 1e6;
        for round in 0..rounds {
            let start = Instant::now();
            convert(dir, from, to, "theirs")?;
            let theirs = start.elapsed().as_secs_f64();
            let mut file = File::create(dir.join("ours"))?;
            let before = processor_seconds(server.pid())?;
            let (waited, ours) = server.connect()?.save(&asked, &token, &mut file)?;
            let processor = processor_seconds(server.pid())? - before;
            note(format!(
                "round {round}: {:.0} MB/s of {:.0}, first byte after {:.2} ms, {processor:.2} s of processor",
                speed(ours),
                speed(theirs),
                waited * 1e3
            ));
            whole.add(speed(ours), speed(theirs));
            first.add(waited * 1e3, theirs * 1e3);
            cost.add(processor, theirs);
        }
        compare(dir, to)?;
        whole.print(
            &format!("export {from} as {to}, HTTP{circumstance}"),
            "MB/s",
            "qemu-img convert",
            Wanted::RatioAtLeast(1.0),
        );
        first.print("  its first byte", "ms", "all of qemu-img convert", Wanted::Below(20.0));
        cost.print("  its processor time", "s", "time of qemu-img convert", Wanted::Nothing);
    }
    server.stop()
}

/// Has qemu-img make a file of the disk.
fn convert(dir: &Path, from: &str, to: &str, name: &str) -> Outcome {
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", from, "-O", to]).arg(dir.join(format!("disk.{from}"))).arg(dir.join(name));
    succeed(&mut command)
}

/// Has qemu-img find the disk in what came.
fn compare(dir: &Path, format: &str) -> Outcome {
    let mut command = Command::new("qemu-img");
    command.args(["compare", "-f", "raw", "-F", format]).arg(dir.join("disk.raw")).arg(dir.join("ours"));
    succeed(&mut command)
}

fn succeed(command: &mut Command) -> Outcome {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Stores a file as an image of its format; gives the native API's path of its data.
fn upload(server: &Server, token: &str, format: &str, data: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut connection = server.connect()?;
    let record = format!(r#"{{"name": "bench", "disk_format": "{format}", "container_format": "bare"}}"#);
    connection.post("/v2/images", token, &record)?;
    let image: Value = serde_json::from_slice(connection.body())?;
    let id = image["id"].as_str().ok_or("no image was registered")?;
    let path = format!("/v2/images/{id}/file");
    connection.begin("PUT", &path, token, "application/octet-stream", data.len() as u64)?;
    connection.send(data)?;
    match connection.answer()?.status {
        204 => Ok(format!("/tintype/v1/images/{id}/file")),
        status => Err(format!("an upload ended with {status}").into()),
    }
}
