//! QEMU's tools, and a folder for what they write.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of a test's own.
pub struct Bench(tempfile::TempDir);

impl Bench {
    pub fn new() -> Bench {
        Bench(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Has qemu-img make an image of a raw disk, with `options` such as `-c` or `-o cluster_size=512`.
    pub fn convert(&self, raw: &Path, format: &str, options: &[&str]) -> PathBuf {
        let image = self.path(&format!("image.{format}"));
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-f", "raw", "-O", format]).args(options).arg(raw).arg(&image);
        run(&mut command);
        image
    }

    /// What qemu-img reads of an image.
    pub fn raw_of(&self, image: &Path, format: &str) -> Vec<u8> {
        let raw = self.path("back.raw");
        run(Command::new("qemu-img").args(["convert", "-f", format, "-O", "raw"]).arg(image).arg(&raw));
        std::fs::read(raw).unwrap()
    }
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; install qemu-utils"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
