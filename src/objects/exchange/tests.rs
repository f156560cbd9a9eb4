//! Directories as buckets: what is read, what is written, and that nothing leads out.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn opened(folder: &Folder, name: &str) -> Result<Box<dyn Source>, Error> {
    folder.open(&key(name))
}

fn refusal(folder: &Folder, name: &str) -> Error {
    opened(folder, name).map(|_| ()).unwrap_err()
}

fn whole(folder: &Folder, name: &str) -> Vec<u8> {
    let mut source = opened(folder, name).unwrap();
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < source.size_bytes() {
        match source.read(bytes.len() as u64).unwrap() {
            Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
            Piece::Hole(zeros) => bytes.resize(bytes.len() + zeros as usize, 0),
        }
    }
    source.expect_unchanged().unwrap();
    bytes
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let mut sink = folder.create(&key(name), bytes.len() as u64, "mark")?;
    sink.write(bytes)?;
    sink.commit()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_read_and_nothing_is_overwritten() {
    let outer = tempfile::tempdir().unwrap();
    let folder = Folder::new(outer.path());
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 3) as u8).collect();
    write(&folder, "a/b/Image 1.raw", &bytes).unwrap();
    assert!(whole(&folder, "a/b/Image 1.raw") == bytes);
    assert_eq!(write(&folder, "a/b/Image 1.raw", b"other"), Err(Error::Taken("a/b/Image 1.raw".into())));
    assert_eq!(names(&outer.path().join("a/b")), ["Image 1.raw"]);
    // One that somebody else puts there meanwhile stays.
    let mut sink = folder.create(&key("late"), 1, "mark").unwrap();
    sink.write(b"x").unwrap();
    assert_eq!(refusal(&folder, "late"), Error::Missing("late".into()));
    fs::write(outer.path().join("late"), "theirs").unwrap();
    assert_eq!(sink.commit(), Err(Error::Taken("late".into())));
    assert_eq!(whole(&folder, "late"), b"theirs");
    assert_eq!(names(outer.path()), ["a", "late"]);
}

#[test]
fn what_is_abandoned_or_left_over_goes() {
    let outer = tempfile::tempdir().unwrap();
    let folder = Folder::new(outer.path());
    let mut sink = folder.create(&key("a"), 9, "one").unwrap();
    sink.write(b"half").unwrap();
    drop(sink);
    assert!(names(outer.path()).is_empty());
    fs::write(outer.path().join(".tintype-two"), "of a process that died").unwrap();
    let mut sink = folder.create(&key("a"), 4, "two").unwrap();
    sink.write(b"data").unwrap();
    sink.commit().unwrap();
    assert_eq!((names(outer.path()), whole(&folder, "a")), (vec!["a".to_owned()], b"data".to_vec()));
}

#[test]
fn p7_no_link_and_no_device_leads_anywhere() {
    let (outer, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = outer.path().join("bucket");
    fs::create_dir(&root).unwrap();
    fs::write(elsewhere.path().join("secret"), "secret").unwrap();
    symlink(elsewhere.path(), root.join("out")).unwrap();
    symlink(elsewhere.path().join("secret"), root.join("file")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    fs::write(root.join("plain"), "plain").unwrap();
    symlink("plain", root.join("inside")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let folder = Folder::new(&root);
    for name in ["out/secret", "file", "inside", "dangling", "pipe", "plain/x", "out"] {
        assert!(
            matches!(refusal(&folder, name), Error::NotPlain(..)),
            "{name}: {:?}",
            refusal(&folder, name)
        );
    }
    fs::create_dir(root.join("folder")).unwrap();
    assert_eq!(refusal(&folder, "folder"), Error::NotPlain("folder".into(), "a folder"));
    for name in ["out/new", "file", "inside", "dangling"] {
        assert!(write(&folder, name, b"x").is_err(), "{name}");
    }
    assert_eq!(names(elsewhere.path()), ["secret"]);
    // The operator may name the bucket itself by a link.
    symlink(&root, outer.path().join("link")).unwrap();
    assert_eq!(whole(&Folder::new(outer.path().join("link")), "plain"), b"plain");
    assert!(matches!(refusal(&Folder::new("/nowhere/at/all"), "a"), Error::Unavailable(_)));
}

#[test]
fn holes_are_told_and_not_read() {
    let outer = tempfile::tempdir().unwrap();
    let file = fs::File::create(outer.path().join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 4096], 32 << 20).unwrap();
    drop(file);
    let folder = Folder::new(outer.path());
    let mut source = opened(&folder, "sparse").unwrap();
    // Not every file system tells of holes; where one does, they are not read.
    if let Piece::Hole(zeros) = source.read(0).unwrap() {
        assert_eq!(zeros, 32 << 20);
        assert!(matches!(source.read(32 << 20).unwrap(), Piece::Bytes(piece) if piece[0] == 7));
    }
    let bytes = whole(&folder, "sparse");
    assert_eq!((bytes.len(), bytes.iter().filter(|byte| **byte == 7).count()), (64 << 20, 4096));
}

#[test]
fn a_file_that_changes_is_noticed() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("a");
    fs::write(&path, vec![1; 2_000_000]).unwrap();
    let folder = Folder::new(outer.path());
    let mut source = opened(&folder, "a").unwrap();
    let stamp = source.stamp().to_owned();
    assert_eq!(opened(&folder, "a").unwrap().stamp(), stamp);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_500_000).unwrap();
    assert_eq!(source.read(1_048_576), Err(Error::Changed("a".into())));
    assert_eq!(source.expect_unchanged(), Err(Error::Changed("a".into())));
    assert_ne!(opened(&folder, "a").unwrap().stamp(), stamp);
}

#[test]
fn exports_are_not_for_everybody() {
    let outer = tempfile::tempdir().unwrap();
    write(&Folder::new(outer.path()), "a", b"x").unwrap();
    let mode = fs::metadata(outer.path().join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0);
}
