//! Where data goes as it arrives: a file, whose holes take no room, a device, on which they are zeroed, or a stream.
//!
//! Must not know what the data is.

use std::io::SeekFrom;

use rustix::fs::{FallocateFlags, fallocate};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWrite, AsyncWriteExt};

/// What zeros are written in.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
/// Bytes of a device that the kernel zeroes at once: it tells nothing in between.
const ZEROED_BYTES: u64 = 1 << 30;
/// What a device zeroes begins and ends at such a multiple, however long its sectors are.
const SECTOR_BYTES: u64 = 4096;

/// Where data goes.
pub(super) enum Sink {
    /// To this place of a file that has nothing behind it.
    File(File),
    /// To this place of a device that may have anything behind it.
    Device(File),
    /// Out.
    Out(Box<dyn AsyncWrite + Send + Unpin>),
}

impl Sink {
    /// Writes the next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Sink::File(file) | Sink::Device(file) => file.write_all(bytes).await,
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
            Sink::Device(device) => zero(device, bytes).await,
            Sink::Out(out) => write_zeros(out, bytes).await,
        }
    }

    /// Has everything written that was taken.
    pub(super) async fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Sink::File(file) | Sink::Device(file) => file.flush().await,
            Sink::Out(out) => out.flush().await,
        }
    }

    /// Ends a file here, durably; on a device, what is behind stays.
    pub(super) async fn end(&mut self, bytes: u64) -> std::io::Result<()> {
        match self {
            Sink::File(file) => {
                file.set_len(bytes).await?;
                file.sync_all().await
            }
            Sink::Device(device) => device.sync_all().await,
            Sink::Out(out) => out.flush().await,
        }
    }
}

async fn write_zeros(out: &mut (impl AsyncWrite + Unpin + ?Sized), bytes: u64) -> std::io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let now = left.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..now as usize]).await?;
        left -= now;
    }
    Ok(())
}

/// Zeroes the next bytes of a device, whatever it has there: by the kernel, which may have a way that is shorter than writing.
async fn zero(device: &mut File, bytes: u64) -> std::io::Result<()> {
    device.flush().await?;
    let from = device.stream_position().await?;
    let end = from + bytes;
    let (first, last) = (from.next_multiple_of(SECTOR_BYTES).min(end), end / SECTOR_BYTES * SECTOR_BYTES);
    write_zeros(device, first - from).await?;
    device.flush().await?;
    let mut at = first;
    while at < last {
        let (same, step) = (device.try_clone().await?.into_std().await, (last - at).min(ZEROED_BYTES));
        let zeroed = tokio::task::spawn_blocking(move || {
            fallocate(&same, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, at, step)
        });
        match zeroed.await.map_err(std::io::Error::other)? {
            Ok(()) => at = device.seek(SeekFrom::Start(at + step)).await?,
            // It does not know how; whether it can be written to shows.
            Err(_) => break,
        }
    }
    write_zeros(device, end - at).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_skipped_on_a_device_is_zeroed_there_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device");
        for (from, bytes) in [(0, 1), (1, 4095), (5, 4100), (4096, 8192), (5000, 100_000), (0, 200_000)] {
            std::fs::write(&path, vec![7; 200_000]).unwrap();
            let file = File::options().write(true).open(&path).await.unwrap();
            let mut sink = Sink::Device(file);
            sink.write(&vec![1; from]).await.unwrap();
            sink.skip(bytes as u64).await.unwrap();
            sink.write(&[2; 10][..10.min(200_000 - from - bytes)]).await.unwrap();
            sink.end(0).await.unwrap();
            let mut expected = vec![7; 200_000];
            expected[..from].fill(1);
            expected[from..from + bytes].fill(0);
            let rest = &mut expected[from + bytes..];
            let written = rest.len().min(10);
            rest[..written].fill(2);
            assert!(std::fs::read(&path).unwrap() == expected, "{bytes} from {from}");
        }
    }
}
