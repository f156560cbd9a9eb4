//! The peer that hands out blocks of a disk: `qemu-nbd` on an uncompressed qcow2, and a client of it
//! that costs as little as a client can.
//!
//! The protocol: <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>, fixed newstyle.

use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Outcome;

const NEGOTIATION: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const OPTION: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const EXPORT_NAME: u32 = 1;
/// Fixed newstyle, and no zeros after the export's description; both sides number them alike.
const FLAGS: u32 = 0b11;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
const START_MAX: Duration = Duration::from_secs(10);

/// A running `qemu-nbd`, and a connection to it. Dropping it ends both.
pub struct Peer {
    child: Child,
    stream: UnixStream,
}

impl Peer {
    /// Turns a raw disk into a qcow2 in `dir` and serves it.
    pub fn start(raw: &Path, dir: &Path) -> Result<Peer, Box<dyn Error>> {
        let (disk, socket) = (dir.join("peer.qcow2"), dir.join("peer.socket"));
        let convert = ["convert", "-f", "raw", "-O", "qcow2"];
        let made = Command::new("qemu-img").args(convert).args([raw, &disk]).status()?;
        if !made.success() {
            return Err(format!("qemu-img ended with {made}").into());
        }
        let options = ["--read-only", "--persistent", "--format=qcow2", "--cache=writeback", "--socket"];
        let child =
            Command::new("qemu-nbd").args(options).args([&socket, &disk]).stdin(Stdio::null()).spawn()?;
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > START_MAX => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut peer = Peer { child, stream };
        peer.shake_hands()?;
        Ok(peer)
    }

    fn shake_hands(&mut self) -> Outcome {
        let mut hello = [0; 18];
        self.stream.read_exact(&mut hello)?;
        if hello[..8] != NEGOTIATION.to_be_bytes() || hello[8..16] != OPTION.to_be_bytes() {
            return Err("that is no NBD server".into());
        }
        let mut answer = FLAGS.to_be_bytes().to_vec();
        answer.extend(OPTION.to_be_bytes());
        answer.extend(EXPORT_NAME.to_be_bytes());
        answer.extend(0u32.to_be_bytes());
        self.stream.write_all(&answer)?;
        // The export's length and flags.
        Ok(self.stream.read_exact(&mut [0; 10])?)
    }

    /// Fills `out` from `offset`.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Outcome {
        let mut request = REQUEST.to_be_bytes().to_vec();
        request.extend([0; 4]);
        request.extend(offset.to_be_bytes());
        request.extend(offset.to_be_bytes());
        request.extend((out.len() as u32).to_be_bytes());
        self.stream.write_all(&request)?;
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        if head[..4] != REPLY.to_be_bytes() || head[4..8] != [0; 4] || head[8..] != offset.to_be_bytes() {
            return Err(format!("qemu-nbd did not read at {offset}").into());
        }
        Ok(self.stream.read_exact(out)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
