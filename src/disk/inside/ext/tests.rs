//! ext2 and ext4 as they are read, and what is refused of them.

use super::super::fixtures::{Content, ext, ext_of_large_inodes};
use super::super::part::tests::disk;
use super::super::recognise::Kind;
use super::super::tree::{NodeKind, Remark, Tree};
use super::super::{Fault, mount};
use crate::disk::fixtures::put;

const BLOCK: usize = 1024;

fn usual() -> Vec<u8> {
    ext(&[
        ("/etc/os-release", Content::File(b"ID=debian\n")),
        ("/bin", Content::Link("usr/bin")),
        ("/usr/bin/sh", Content::File(&[7; 5000])),
        ("/up", Content::Link("../../etc/./os-release")),
        ("/absolute", Content::Link("/bin/sh")),
        ("/loop", Content::Link("loop")),
        ("/long", Content::Link("/usr/../usr/../usr/../usr/../usr/../usr/../usr/../usr/../usr/bin/sh")),
        ("/empty", Content::File(b"")),
    ])
}

fn open(image: Vec<u8>) -> Result<Tree, Fault> {
    mount(&disk(image), Kind::Ext).map(|tree| tree.expect("it is read"))
}

/// Where the inode of a file of [`usual`] lies: files get theirs in the order in which directories list them.
fn inode_at(index: u32) -> usize {
    5 * BLOCK + (11 + index as usize - 1) * 128
}

#[test]
fn files_are_found_through_directories_and_links() {
    let tree = open(usual()).unwrap();
    assert_eq!(tree.read("/etc/os-release", 100).unwrap().unwrap(), b"ID=debian\n");
    assert_eq!(tree.read("etc//os-release", 2).unwrap().unwrap(), b"ID");
    for path in ["/bin/sh", "/absolute", "/long", "/etc/../bin/./sh"] {
        let found = tree.find(path).unwrap().unwrap();
        assert_eq!((found.path.as_str(), found.node.size_bytes), ("/usr/bin/sh", 5000), "{path}");
    }
    // No link leads out: the root is its own parent.
    assert_eq!(tree.find("/up").unwrap().unwrap().path, "/etc/os-release");
    assert!(tree.find("/nothing").unwrap().is_none());
    assert!(tree.find("/etc/os-release/below").unwrap().is_none());
    assert_eq!(tree.read("/empty", 10).unwrap().unwrap(), b"");
    assert_eq!(tree.read("/etc", 10).unwrap(), None);
}

#[test]
fn a_directory_is_listed_by_name_as_far_as_is_asked() {
    let tree = open(usual()).unwrap();
    let listing = tree.list("/", 100).unwrap().unwrap();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["absolute", "bin", "empty", "etc", "long", "loop", "up", "usr"]);
    assert!(!listing.is_cut);
    let kinds: Vec<NodeKind> = listing.entries.iter().map(|entry| entry.node.kind).collect();
    assert_eq!((kinds[1], kinds[2], kinds[3]), (NodeKind::Link, NodeKind::File, NodeKind::Directory));
    let cut = tree.list("/", 3).unwrap().unwrap();
    assert_eq!((cut.entries.len(), cut.is_cut), (3, true));
}

#[test]
fn a_name_that_is_no_text_is_found_by_what_it_is_listed_as() {
    /// These files, one of them with the last letter of its name as systems of old write it.
    fn in_latin_1(files: &[(&str, Content<'_>)]) -> Tree {
        let mut image = ext(files);
        let at = image.windows(4).position(|bytes| bytes == b"caf_").unwrap();
        image[at + 3] = 0xe9;
        open(image).unwrap()
    }
    let tree = in_latin_1(&[("/caf_", Content::File(b"au lait"))]);
    let listing = tree.list("/", 10).unwrap().unwrap();
    assert_eq!(listing.entries[0].name, "caf\u{fffd}");
    assert_eq!(tree.read("/caf\u{fffd}", 10).unwrap().unwrap(), b"au lait");
    assert!(tree.find("/caf\u{e9}").unwrap().is_none());
    // Beside a file that is really called that.
    let tree = in_latin_1(&[("/caf_", Content::File(b"au lait")), ("/caf\u{fffd}", Content::File(b"noir"))]);
    assert_eq!(tree.read("/caf\u{fffd}", 10).unwrap().unwrap(), b"noir");
}

#[test]
fn times_are_signed_and_those_of_large_inodes_go_on() {
    let files = [("/file", Content::File(b"x"))];
    let modified_s = |image: Vec<u8>| open(image).unwrap().find("/file").unwrap().unwrap().node.modified_s;
    assert_eq!(modified_s(ext(&files)), Some(1_700_000_000));
    let mut old = ext(&files);
    put(&mut old, inode_at(0) + 0x10, &0x8000_0000_u32.to_le_bytes());
    assert_eq!(modified_s(old), Some(-0x8000_0000));
    // Bytes of the second half that are used; the time's two halves. From the table in the description of ext4.
    for (used, time, extra, wanted) in [
        (32_u16, 0xffff_ffff_u32, 0_u32, -1),
        (32, 0x8000_0000, 1, 0x8000_0000),
        (32, 0, 1, 0x1_0000_0000),
        (12, 0x7fff_ffff, 0xffff_fffd, 0x1_7fff_ffff),
        (32, 0x8000_0000, 3, 0x2_8000_0000),
        (32, 0x7fff_ffff, 3, 0x3_7fff_ffff),
        (8, 0x7fff_ffff, 3, 0x7fff_ffff),
        (0, 0x7fff_ffff, 3, 0x7fff_ffff),
    ] {
        let mut image = ext_of_large_inodes(&files);
        let at = 5 * BLOCK + (11 - 1) * 256;
        put(&mut image, at + 0x10, &time.to_le_bytes());
        put(&mut image, at + 0x80, &used.to_le_bytes());
        put(&mut image, at + 0x88, &extra.to_le_bytes());
        assert_eq!(modified_s(image), Some(wanted), "{used} {time:#x} {extra:#x}");
    }
}

#[test]
fn links_that_lead_to_each_other_end() {
    assert!(matches!(open(usual()).unwrap().find("/loop"), Err(Fault::TooLarge(_))));
}

#[test]
fn blocks_that_were_never_written_read_as_zeros_and_not_as_what_was_there() {
    let mut image = ext(&[("/file", Content::File(&[9; 4 * BLOCK]))]);
    // Its first two blocks as they are, two that were only allocated, a hole, and the second block once more.
    let map = inode_at(0) + 0x28;
    let first = u32::from_le_bytes(image[map + 20..map + 24].try_into().unwrap());
    put(&mut image, inode_at(0) + 4, &(6 * BLOCK as u32).to_le_bytes());
    put(&mut image, map + 2, &3_u16.to_le_bytes());
    for (index, (from, blocks, at)) in
        [(0_u32, 2_u16, first), (2, 0x8000 + 2, first + 2), (5, 1, first + 1)].into_iter().enumerate()
    {
        let entry = map + 12 * (index + 1);
        put(&mut image, entry, &from.to_le_bytes());
        put(&mut image, entry + 4, &blocks.to_le_bytes());
        put(&mut image, entry + 6, &[0, 0]);
        put(&mut image, entry + 8, &at.to_le_bytes());
    }
    let read = open(image).unwrap().read("/file", 6 * BLOCK).unwrap().unwrap();
    let wanted = [vec![9; 2 * BLOCK], vec![0; 3 * BLOCK], vec![9; BLOCK]].concat();
    assert_eq!(read, wanted);
}

#[test]
fn the_lists_of_ext2_are_read_through_their_indirect_blocks() {
    let content: Vec<u8> = (0..16 * BLOCK).map(|at| (at / BLOCK) as u8 + 1).collect();
    let mut image = ext(&[("/file", Content::File(&content))]);
    let map = inode_at(0) + 0x28;
    let first = u32::from_le_bytes(image[map + 20..map + 24].try_into().unwrap());
    put(&mut image, inode_at(0) + 0x20, &0_u32.to_le_bytes());
    image[map..map + 60].fill(0);
    for index in 0..12 {
        put(&mut image, map + 4 * index, &(first + index as u32).to_le_bytes());
    }
    // The list lies in one of the free blocks at the end; its third entry is a hole.
    let list = image.len() / BLOCK - 1;
    put(&mut image, map + 48, &(list as u32).to_le_bytes());
    for (index, block) in [first + 12, first + 13, 0, first + 15].into_iter().enumerate() {
        put(&mut image, list * BLOCK + 4 * index, &block.to_le_bytes());
    }
    let mut wanted = content;
    wanted[14 * BLOCK..15 * BLOCK].fill(0);
    assert_eq!(open(image).unwrap().read("/file", 1 << 20).unwrap().unwrap(), wanted);
}

#[test]
fn it_tells_how_full_it_is_and_that_a_journal_waits() {
    let mut image = usual();
    let usage = open(image.clone()).unwrap().usage().unwrap();
    let blocks = (image.len() / BLOCK) as u64;
    assert_eq!((usage.size_bytes, usage.free_bytes), (Some(blocks * 1024), Some(16 * 1024)));
    assert_eq!(usage.remarks, []);
    image[BLOCK + 0x60] |= 0x4;
    image[BLOCK + 0x3a] |= 0x2;
    let remarks = open(image).unwrap().usage().unwrap().remarks;
    assert_eq!(remarks, [Remark::JournalWaits, Remark::HasErrors]);
}

#[test]
fn what_cannot_be_is_refused() {
    let with = |at: usize, bytes: &[u8]| {
        let mut image = usual();
        put(&mut image, BLOCK + at, bytes);
        open(image).map(drop)
    };
    let broken = |outcome: Result<(), Fault>| matches!(outcome, Err(Fault::Broken(_)));
    assert!(broken(with(0x4, &u32::MAX.to_le_bytes())));
    assert!(broken(with(0x18, &30_u32.to_le_bytes())));
    assert!(broken(with(0x28, &0_u32.to_le_bytes())));
    assert!(broken(with(0x58, &0_u16.to_le_bytes())));
    assert!(broken(with(0x38, &[0, 0])));
    assert!(matches!(with(0x60, &0x1_u32.to_le_bytes()), Err(Fault::Unsupported(_))));
}

#[test]
fn a_map_that_leads_out_of_the_file_system_is_refused_where_it_is_read() {
    let mut image = ext(&[("/file", Content::File(&[1; 100]))]);
    put(&mut image, inode_at(0) + 0x28 + 20, &u32::MAX.to_le_bytes());
    let tree = open(image).unwrap();
    assert!(matches!(tree.read("/file", 100), Err(Fault::Broken(_))));
}
