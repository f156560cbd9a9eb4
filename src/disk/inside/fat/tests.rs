//! FAT as it is read, and what is refused of it.

use std::sync::Arc;

use super::super::fixtures::{Content, chain, fat, fat32};
use super::super::part::tests::disk;
use super::super::recognise::{Kind, recognise};
use super::super::tree::Tree;
use super::super::{Allowance, Effort, Fault, Part, mount};
use crate::disk::Source;
use crate::disk::fixtures::put;

fn usual() -> Vec<u8> {
    let long: &[u8] = &[5; 1300];
    fat(&[
        ("/EFI/BOOT/BOOTX64.EFI", Content::File(long)),
        ("/EFI/a rather long name.conf", Content::File(b"x=1\n")),
        ("/README.TXT", Content::File(b"read me")),
    ])
}

fn open(image: Vec<u8>) -> Result<Tree, Fault> {
    mount(&disk(image), Kind::Fat).map(|tree| tree.expect("it is read"))
}

#[test]
fn files_are_found_whatever_the_case_of_their_names() {
    let tree = open(usual()).unwrap();
    assert_eq!(tree.read("/readme.txt", 100).unwrap().unwrap(), b"read me");
    assert_eq!(tree.read("/efi/boot/bootx64.efi", 1 << 20).unwrap().unwrap(), vec![5; 1300]);
    assert_eq!(tree.read("/EFI/A RATHER long name.conf", 100).unwrap().unwrap(), b"x=1\n");
    let listing = tree.list("/EFI", 100).unwrap().unwrap();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["BOOT", "a rather long name.conf"]);
    assert!(tree.find("/EFI/nothing").unwrap().is_none());
}

#[test]
fn it_tells_its_label_its_id_and_its_room() {
    let found = recognise(&disk(usual())).unwrap().unwrap();
    assert_eq!((found.name, found.label.as_deref()), ("vfat", Some("EFI SYSTEM")));
    assert_eq!(found.id.as_deref(), Some("1234-5678"));
    let usage = open(usual()).unwrap().usage().unwrap();
    // Of 1000 clusters, two directories, and files of three, one and one.
    assert_eq!((usage.size_bytes, usage.free_bytes), (Some(1000 * 512), Some(993 * 512)));
}

#[test]
fn a_fat32_of_few_clusters_is_one_all_the_same() {
    let content: Vec<u8> = (0..1300_u32).map(|at| at as u8).collect();
    let image = fat32(&[
        ("/EFI/BOOT/BOOTX64.EFI", Content::File(&content)),
        ("/a rather long name.conf", Content::File(b"x=1\n")),
    ]);
    let found = recognise(&disk(image.clone())).unwrap().unwrap();
    assert_eq!((found.name, found.label.as_deref()), ("vfat", Some("EFI SYSTEM")));
    let tree = open(image.clone()).unwrap();
    let listing = tree.list("/", 100).unwrap().unwrap();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["EFI", "a rather long name.conf"]);
    assert_eq!(tree.read("/efi/boot/bootx64.efi", 1 << 20).unwrap().unwrap(), content);
    // Of 1000 clusters, three directories, and files of three and one.
    let usage = tree.usage().unwrap();
    assert_eq!((usage.size_bytes, usage.free_bytes), (Some(1000 * 512), Some(993 * 512)));
    // Its table has to have room for entries of four bytes.
    let mut short = image;
    put(&mut short, 36, &7_u32.to_le_bytes());
    assert!(matches!(open(short), Err(Fault::Broken(_))));
}

#[test]
fn the_high_half_of_a_first_cluster_counts_in_a_fat32_alone() {
    let files = [("/README.TXT", Content::File(b"read me"))];
    let with_high_half = |mut image: Vec<u8>| {
        let at = image.windows(11).position(|bytes| bytes == b"README  TXT").unwrap();
        put(&mut image, at + 20, &[1, 0]);
        open(image).unwrap().read("/README.TXT", 100)
    };
    assert_eq!(with_high_half(fat(&files)).unwrap().unwrap(), b"read me");
    assert!(matches!(with_high_half(fat32(&files)), Err(Fault::Broken(_))));
}

#[test]
fn a_short_name_may_begin_with_the_byte_of_deleted_ones() {
    let mut image = usual();
    let at = image.windows(11).position(|bytes| bytes == b"README  TXT").unwrap();
    image[at] = 0x05;
    let tree = open(image).unwrap();
    let listing = tree.list("/", 100).unwrap().unwrap();
    // Which character that is depends on where it was written.
    assert_eq!(listing.entries[1].name, "\u{fffd}EADME.TXT");
    assert_eq!(tree.read("/\u{fffd}EADME.TXT", 100).unwrap().unwrap(), b"read me");
}

/// A disk of zeros but for its first bytes.
struct Sparse(Vec<u8>, u64);

impl Source for Sparse {
    fn size_bytes(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> std::io::Result<()> {
        out.fill(0);
        let there = self.0.get(at as usize..).unwrap_or_default();
        out.iter_mut().zip(there).for_each(|(out, byte)| *out = *byte);
        Ok(())
    }
}

/// A FAT32 without a file, of so many MiB in clusters of 4 KiB.
fn large(mebibytes: u32) -> Tree {
    let mut head = vec![0; 512];
    put(&mut head, 11, &512_u16.to_le_bytes());
    put(&mut head, 13, &[8, 32, 0, 2]);
    put(&mut head, 32, &(mebibytes << 11).to_le_bytes());
    // Four bytes for each cluster, and those of the two before the first.
    put(&mut head, 36, &(mebibytes * 2 + 1).to_le_bytes());
    put(&mut head, 44, &2_u32.to_le_bytes());
    let disk = Arc::new(Sparse(head, u64::from(mebibytes) << 20));
    let part = Part::whole(disk, Arc::new(Effort::new(Allowance::LOOK)));
    mount(&part, Kind::Fat).unwrap().expect("it is read")
}

#[test]
fn a_table_that_is_too_large_to_count_leaves_the_room_unknown() {
    let usage = large(1 << 10).usage().unwrap();
    assert_eq!(usage.free_bytes, usage.size_bytes);
    let tree = large(60 << 10);
    let usage = tree.usage().unwrap();
    assert!(usage.size_bytes.is_some_and(|bytes| bytes > 59 << 30));
    assert_eq!(usage.free_bytes, None);
    assert_eq!(tree.list("/", 10).unwrap().unwrap().entries.len(), 0);
}

#[test]
fn a_file_of_more_clusters_than_there_are_steps_is_read_forwards_and_backwards() {
    const CLUSTER: usize = 512;
    const PIECE: usize = 16 * CLUSTER;
    let laid: Vec<u8> = (0..900 * CLUSTER).map(|at| (at / 7 % 251) as u8).collect();
    let mut image = fat(&[("/LARGE.BIN", Content::File(&laid))]);
    // Every second cluster, and then the others: no two lie one after the other.
    let order: Vec<u16> = (2..902).step_by(2).chain((3..902).step_by(2)).collect();
    order.windows(2).for_each(|pair| chain(&mut image, pair[0], pair[1]));
    chain(&mut image, 901, 0xfff);
    let content: Vec<u8> = order
        .iter()
        .flat_map(|cluster| &laid[(*cluster as usize - 2) * CLUSTER..][..CLUSTER])
        .copied()
        .collect();
    let effort = Arc::new(Effort::new(Allowance::PIECE));
    let part = Part::whole(Arc::new(image), effort.clone());
    let tree = mount(&part, Kind::Fat).unwrap().expect("it is read");
    let file = tree.find("/LARGE.BIN").unwrap().unwrap().node;
    let read = |at: usize, steps: u64| {
        effort.renew(Allowance { steps, ..Allowance::PIECE });
        let mut piece = vec![0xaa; PIECE.min(content.len() - at)];
        tree.read_at(&file, at as u64, &mut piece).unwrap();
        assert!(piece == content[at..at + piece.len()], "at {at}");
    };
    let pieces = || (0..content.len()).step_by(PIECE);
    // Those of a piece alone; and one more for 64 links of the way there.
    pieces().for_each(|at| read(at, 17));
    pieces().rev().for_each(|at| read(at, 17 + 900 / 64));
    [100, 8292, 8300, 100].into_iter().for_each(|at| read(at, 20));
}

#[test]
fn chains_that_are_short_or_bite_their_tail_end() {
    let mut short = usual();
    chain(&mut short, 3, 0xfff);
    let mut looped = usual();
    (2..7).for_each(|cluster| chain(&mut looped, cluster, 2));
    let mut outside = usual();
    (2..7).for_each(|cluster| chain(&mut outside, cluster, 0x800));
    for image in [short, looped, outside] {
        let tree = open(image).unwrap();
        for path in ["/EFI/BOOT/BOOTX64.EFI", "/EFI/nothing", "/README.TXT"] {
            // Whatever comes of it, it comes.
            let _ = tree.read(path, 1 << 20);
            let _ = tree.list(path, 1 << 20);
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let with = |at: usize, bytes: &[u8]| {
        let mut image = usual();
        put(&mut image, at, bytes);
        matches!(open(image), Err(Fault::Broken(_)))
    };
    assert!(with(11, &[0, 0]));
    assert!(with(13, &[0]));
    assert!(with(19, &u16::MAX.to_le_bytes()));
    assert!(with(22, &1_u16.to_le_bytes()));
    assert!(with(14, &u16::MAX.to_le_bytes()));
}
