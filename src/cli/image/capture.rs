//! `tintype image capture`: a disk of another NBD server, a block device or a sparse file becomes an image, without its holes
//! being read.
//!
//! It goes up as `image import` does, in parts that outlive broken connections. Invariant: zeros that the disk tells of are made
//! here, and everything else is read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{io, result};

use clap::Args;
use http::Method;
use rustix::fs::{SeekFrom, seek};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::interruption::Interruption;
use super::super::output::Output;
use super::new::NewImage;
use super::reading::{Data, Resized};
use super::send::Sending;
use crate::disk::{Source, Stretch};
use crate::nbd::client::{Address, Remote};

/// Arguments of `tintype image capture`.
#[derive(Args)]
pub struct Capture {
    /// nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH, a block device, or a file
    from: String,
    #[command(flatten)]
    new: NewImage,
    /// Store its data in this store of the box; without it in the default one
    #[arg(long)]
    store: Option<String>,
}

impl Capture {
    /// Registers the image and sends its data. Nothing is left of it when that fails.
    ///
    /// # Errors
    /// When the disk cannot be read or has nothing in it, or the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (file, disk) = self.open().await?;
        let mut record = self.new.record(&file, None);
        self.new.seal(client, &mut record).await?;
        let interruption = Interruption::listen();
        let created = client.call_json(Method::POST, Api::Image, "/v2/images", &record).await?.json().await?;
        let id = super::id(&created)?;
        let total = disk.size_bytes();
        let data = Data::Disk(self.from.clone(), disk);
        let sent = match Sending::begin(client, data, id, total, self.store.as_deref()).await {
            Ok(sending) => sending.run(client, &interruption).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = sent {
            return Err(super::take_back(client, id, failure).await);
        }
        output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?)
    }

    /// The disk, and the file that names and formats come from where nobody says.
    async fn open(&self) -> Result<(PathBuf, Arc<dyn Source>), Failure> {
        let (from, is_named) = (self.from.clone(), self.new.name.is_some());
        let opened = tokio::task::spawn_blocking(move || open(&from, is_named)).await;
        opened.unwrap_or_else(|died| Err(Failure::failed(died.to_string())))
    }
}

fn open(from: &str, is_named: bool) -> Result<(PathBuf, Arc<dyn Source>), Failure> {
    let (file, disk) = find(from, is_named)?;
    if disk.size_bytes() == 0 {
        return Err(Failure::usage(format!("{from}: there is nothing in it")));
    }
    Ok((file, disk))
}

fn find(from: &str, is_named: bool) -> Result<(PathBuf, Arc<dyn Source>), Failure> {
    match Address::parse(from) {
        Some(address) => {
            // The name of an export may be a secret.
            if !is_named {
                return Err(Failure::usage(
                    "an NBD server's disk has no name for the image: give it a --name",
                ));
            }
            let address = address.map_err(Failure::usage)?;
            let remote = Remote::connect(&address).map_err(|e| Failure::failed(format!("{from}: {e}")))?;
            Ok((PathBuf::from("disk"), Arc::new(remote)))
        }
        None => {
            let path = Path::new(from);
            let disk = Local::open(path).map_err(|e| Failure::file(path, &e))?;
            Ok((path.to_owned(), Arc::new(disk)))
        }
    }
}

/// A file or a block device.
pub(super) struct Local {
    file: File,
    size_bytes: u64,
}

impl Local {
    /// Opens a file or a device.
    ///
    /// # Errors
    /// When it cannot be opened, or is a directory.
    pub(super) fn open(path: &Path) -> io::Result<Local> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Devices tell their length by where they end.
        let size_bytes = seek(&file, SeekFrom::End(0))?;
        Ok(Local { file, size_bytes })
    }

    /// Where it ends now.
    fn end(&self) -> rustix::io::Result<u64> {
        seek(&self.file, SeekFrom::End(0))
    }

    /// Where what is alike from `at` on ends, and whether it is a hole.
    fn seek(&self, at: u64) -> result::Result<(u64, bool), rustix::io::Errno> {
        match seek(&self.file, SeekFrom::Data(at)) {
            Ok(data) if data > at => Ok((data, true)),
            Ok(_) => Ok((seek(&self.file, SeekFrom::Hole(at))?, false)),
            // No data follows; where the file has come to end before, what is missing is no hole.
            Err(rustix::io::Errno::NXIO) if self.end()? >= self.size_bytes => Ok((self.size_bytes, true)),
            Err(error) => Err(error),
        }
    }
}

impl Source for Local {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_exact_at(out, at);
        // Its end is told nobody before it is known to be the file's.
        if read.is_ok() && at + out.len() as u64 == self.size_bytes {
            let is = self.end()?;
            return if is == self.size_bytes { Ok(()) } else { Err(Resized::error(self.size_bytes, is)) };
        }
        read.map_err(|error| match self.end() {
            Ok(is) if error.kind() == io::ErrorKind::UnexpectedEof && is < self.size_bytes => {
                Resized::error(self.size_bytes, is)
            }
            _ => error,
        })
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        let rest = self.size_bytes.saturating_sub(at);
        match self.seek(at) {
            Ok((end, is_zero)) => Stretch { bytes: end.saturating_sub(at).clamp(1, rest.max(1)), is_zero },
            // A device that knows no holes, or a file whose end is missing, which shows when it is read.
            Err(_) => Stretch { bytes: rest, is_zero: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::failure::Status;
    use super::*;

    #[test]
    fn a_sparse_file_tells_its_holes_or_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        file.set_len(10 << 20).unwrap();
        file.write_all_at(&[7; 4096], 4 << 20).unwrap();
        let disk = Local::open(&path).unwrap();
        assert_eq!(disk.size_bytes(), 10 << 20);
        let (mut at, mut zeros) = (0, 0);
        while at < disk.size_bytes() {
            let Stretch { bytes, is_zero } = disk.stretch_at(at);
            assert!(!is_zero || at + bytes <= 4 << 20 || at >= (4 << 20) + 4096);
            (at, zeros) = (at + bytes, zeros + if is_zero { bytes } else { 0 });
        }
        assert_eq!(at, 10 << 20);
        // Not every file system keeps holes.
        assert!(zeros == 0 || zeros >= 9 << 20, "{zeros}");
        let mut read = vec![0; 4096];
        disk.read_exact_at(4 << 20, &mut read).unwrap();
        assert_eq!(read, vec![7; 4096]);
        assert!(Local::open(dir.path()).is_err());
    }

    #[test]
    fn nothing_is_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        for nothing in [path.to_str().unwrap(), "/dev/null"] {
            let failure = open(nothing, true).err().unwrap();
            assert_eq!(
                (failure.status, failure.message),
                (Status::Usage, format!("{nothing}: there is nothing in it"))
            );
        }
        file.set_len(1).unwrap();
        assert_eq!(open(path.to_str().unwrap(), true).unwrap().1.size_bytes(), 1);
    }

    #[test]
    fn a_file_that_grew_shows_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        let disk = Local::open(&path).unwrap();
        disk.read_exact_at((1 << 20) - 1, &mut [0]).unwrap();
        file.set_len(2 << 20).unwrap();
        disk.read_exact_at(0, &mut [0; 4096]).unwrap();
        let error = disk.read_exact_at((1 << 20) - 1, &mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "became longer while it was read (1048576 -> 2097152 bytes)");
    }

    #[test]
    fn the_end_that_a_file_has_lost_is_no_hole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        file.set_len(10 << 20).unwrap();
        let disk = Local::open(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        for at in [1 << 20, 5 << 20, (10 << 20) - 1] {
            assert!(!disk.stretch_at(at).is_zero, "{at}");
            let error = disk.read_exact_at(at, &mut [0]).unwrap_err();
            assert_eq!(error.to_string(), "became shorter while it was read (10485760 -> 1048576 bytes)");
        }
    }
}
