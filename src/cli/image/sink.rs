//! Where data goes as it arrives: a file, whose holes take no room, or standard output.
//!
//! Must not know what the data is.

use std::io::SeekFrom;

use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, Stdout};

/// What zeros are written in.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// Where data goes.
pub(super) enum Sink {
    /// To this place of a file.
    File(File),
    /// Out.
    Out(Stdout),
}

impl Sink {
    /// Writes the next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Sink::File(file) => file.write_all(bytes).await,
            Sink::Out(out) => out.write_all(bytes).await,
        }
    }

    /// Goes on so many zeros later. A file that ends there has to be told so ([`Sink::end`]).
    pub(super) async fn skip(&mut self, bytes: u64) -> std::io::Result<()> {
        match self {
            Sink::File(file) => {
                // What cannot be told in one step is more than a file can have.
                let bytes = i64::try_from(bytes).map_err(std::io::Error::other)?;
                file.seek(SeekFrom::Current(bytes)).await.map(|_| ())
            }
            Sink::Out(out) => {
                let mut left = bytes;
                while left > 0 {
                    let now = left.min(ZEROS.len() as u64);
                    out.write_all(&ZEROS[..now as usize]).await?;
                    left -= now;
                }
                Ok(())
            }
        }
    }

    /// Has everything written that was taken.
    pub(super) async fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Sink::File(file) => file.flush().await,
            Sink::Out(out) => out.flush().await,
        }
    }

    /// Ends a file here, durably.
    pub(super) async fn end(&mut self, bytes: u64) -> std::io::Result<()> {
        match self {
            Sink::File(file) => {
                file.set_len(bytes).await?;
                file.sync_all().await
            }
            Sink::Out(out) => out.flush().await,
        }
    }
}
