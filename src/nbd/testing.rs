//! Disks and exports in memory, and a client that says what a test wants, for tests of the protocol.

// Fuzzers take the half of it that is no client.
#![cfg_attr(fuzzing, allow(dead_code))]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::exports::{Disk, Exports, Extent, Listed, Refusal};
use super::wire::{self, Errno, Fields};

/// A disk in memory; blocks of zeros are known to be.
pub struct Plain {
    bytes: Mutex<Vec<u8>>,
    is_writable: bool,
    /// From here on nothing can be read, and to write is a panic.
    pub broken_from: u64,
    /// From here on reads have to wait.
    pub near_until: u64,
    /// Reads that waited.
    pub waited: AtomicU64,
    /// Writes that were lost.
    pub lost: AtomicU64,
}

impl Plain {
    pub fn new(bytes: Vec<u8>, is_writable: bool) -> Plain {
        Plain {
            bytes: Mutex::new(bytes),
            is_writable,
            broken_from: u64::MAX,
            near_until: 0,
            waited: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Disk for Plain {
    fn size_bytes(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn is_writable(&self) -> bool {
        self.is_writable
    }

    fn description(&self) -> String {
        "in memory".into()
    }

    fn extent_at(&self, at: u64) -> Result<Extent, Errno> {
        let bytes = self.bytes.lock().unwrap();
        let end = (at / 512 * 512 + 512).min(bytes.len() as u64);
        let is_zero = bytes[at as usize..end as usize].iter().all(|byte| *byte == 0);
        Ok(Extent { bytes: end - at, is_zero })
    }

    fn extent_near(&self, at: u64) -> Option<Extent> {
        self.extent_at(at).ok().filter(|_| at < self.near_until)
    }

    fn read_near(&self, at: u64, out: &mut [u8]) -> bool {
        let is_near = at + out.len() as u64 <= self.near_until;
        if is_near {
            out.copy_from_slice(&self.bytes.lock().unwrap()[at as usize..at as usize + out.len()]);
        }
        is_near
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.waited.fetch_add(1, Ordering::Relaxed);
        if at + out.len() as u64 > self.broken_from {
            return Err(Errno::Io);
        }
        out.copy_from_slice(&self.bytes.lock().unwrap()[at as usize..at as usize + out.len()]);
        Ok(())
    }

    fn write_at(&self, at: u64, data: &[u8]) -> Result<(), Errno> {
        assert!(at + data.len() as u64 <= self.broken_from, "as a test wants it");
        self.bytes.lock().unwrap()[at as usize..at as usize + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn zero(&self, at: u64, bytes: u64) -> Result<(), Errno> {
        self.bytes.lock().unwrap()[at as usize..(at + bytes) as usize].fill(0);
        Ok(())
    }

    fn write_was_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// One export called `disk`, and one that is refused.
pub struct One(pub Arc<Plain>);

impl Exports for One {
    type Disk = Plain;

    async fn open(&self, name: &str) -> Result<Arc<Plain>, Refusal> {
        match name {
            "disk" => Ok(self.0.clone()),
            "closed" => Err(Refusal::Policy("not today".into())),
            _ => Err(Refusal::Unknown),
        }
    }

    async fn list(&self) -> Result<Vec<Listed>, Refusal> {
        Ok(vec![Listed { name: "disk".into(), description: "in memory".into() }])
    }
}

/// A client.
pub struct Client(pub DuplexStream);

impl Client {
    /// Reads the first word and says its own.
    pub async fn hello(&mut self, flags: u32) {
        let mut hello = [0; 18];
        self.0.read_exact(&mut hello).await.unwrap();
        let mut fields = Fields(&hello);
        assert_eq!(fields.u64(), Some(wire::NEGOTIATION));
        assert_eq!((fields.u64(), fields.u16()), (Some(wire::OPTION), Some(3)));
        self.0.write_u32(flags).await.unwrap();
    }

    pub async fn option(&mut self, code: u32, data: &[u8]) {
        self.0.write_u64(wire::OPTION).await.unwrap();
        self.0.write_u32(code).await.unwrap();
        self.0.write_u32(data.len() as u32).await.unwrap();
        self.0.write_all(data).await.unwrap();
    }

    /// The next answer: the option, its kind, and its data.
    pub async fn answer(&mut self) -> (u32, u32, Vec<u8>) {
        assert_eq!(self.0.read_u64().await.unwrap(), wire::OPTION_REPLY);
        let (code, kind) = (self.0.read_u32().await.unwrap(), self.0.read_u32().await.unwrap());
        let mut data = vec![0; self.0.read_u32().await.unwrap() as usize];
        self.0.read_exact(&mut data).await.unwrap();
        (code, kind, data)
    }

    pub async fn request(&mut self, flags: u16, command: u16, cookie: u64, offset: u64, length: u32) {
        let mut bytes = wire::REQUEST.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(command.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        self.0.write_all(&bytes).await.unwrap();
    }

    /// The next simple reply: cookie and error.
    pub async fn simple(&mut self) -> (u64, u32) {
        assert_eq!(self.0.read_u32().await.unwrap(), wire::SIMPLE_REPLY);
        let error = self.0.read_u32().await.unwrap();
        (self.0.read_u64().await.unwrap(), error)
    }

    /// The next chunk.
    pub async fn chunk(&mut self) -> Chunk {
        assert_eq!(self.0.read_u32().await.unwrap(), wire::STRUCTURED_REPLY);
        let (flags, kind) = (self.0.read_u16().await.unwrap(), self.0.read_u16().await.unwrap());
        let cookie = self.0.read_u64().await.unwrap();
        let mut data = vec![0; self.0.read_u32().await.unwrap() as usize];
        self.0.read_exact(&mut data).await.unwrap();
        Chunk { is_last: flags == wire::chunk::DONE, kind, cookie, data }
    }
}

/// A chunk of a structured reply.
#[derive(Debug)]
pub struct Chunk {
    pub is_last: bool,
    pub kind: u16,
    pub cookie: u64,
    pub data: Vec<u8>,
}
