//! Disks without a container, hand-made: whole ones, and each with one thing that is not in order.

use super::*;
use crate::disk::fixtures::put;
use crate::disk::inside::partitions::gpt_image;
use crate::disk::probe::{Ends, Probe};

const LINUX: uuid::Uuid = uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

fn entry(image: &mut [u8], index: usize, flag: u8, kind: u8, first: u32, sectors: u32) {
    let at = MBR_ENTRIES_AT + index * MBR_ENTRY_BYTES;
    (image[at], image[at + 4]) = (flag, kind);
    put(image, at + 8, &first.to_le_bytes());
    put(image, at + 12, &sectors.to_le_bytes());
    put(image, SECTOR - 2, &MBR_SIGNATURE);
}

/// A disk with a whole GUID partition table of sectors of 512 bytes.
fn gpt() -> Vec<u8> {
    let mut image = gpt_image(&[(LINUX, 100, 299, "root")]);
    let sectors = (image.len() / SECTOR) as u32;
    let end = image.len();
    // The fixture's headers do not name each other.
    for (at, other) in [(512, u64::from(sectors) - 1), (end - 512, 1)] {
        put(&mut image, at + 32, &other.to_le_bytes());
        seal(&mut image, at);
    }
    entry(&mut image, 0, 0, PROTECTIVE, 1, sectors - 1);
    image
}

/// Puts a header's checksum right.
fn seal(image: &mut [u8], at: usize) {
    put(image, at + 16, &[0; 4]);
    let sum = crc32(&[&image[at..at + 92]]);
    put(image, at + 16, &sum.to_le_bytes());
}

/// The same table in sectors of 4096 bytes.
fn gpt_of_4096() -> Vec<u8> {
    let small = gpt();
    let mut image = vec![0; 4096 * 64];
    let last = image.len() - 4096;
    put(&mut image, 0, &small[..512]);
    put(&mut image, 8192, &small[1024..1024 + 16384]);
    put(&mut image, last - 16384, &small[1024..1024 + 16384]);
    for (at, own, other, entries) in [(4096, 1_u64, 63_u64, 2_u64), (last, 63, 1, 59)] {
        put(&mut image, at, &small[512..1024]);
        put(&mut image, at + 24, &own.to_le_bytes());
        put(&mut image, at + 32, &other.to_le_bytes());
        put(&mut image, at + 72, &entries.to_le_bytes());
        seal(&mut image, at);
    }
    image
}

/// What is said of a disk, which is the same whether all of it is there or its ends alone.
fn said(image: &[u8]) -> (Option<&'static str>, Vec<(&'static str, Option<String>)>) {
    let advice = advise(&image.to_vec()).unwrap();
    let mut probe = Probe::default();
    image.chunks(10_000).for_each(|piece| probe.push(piece));
    assert_eq!(advise(&probe.ends(image.len() as u64)).unwrap(), advice);
    (advice.kind, advice.notes.into_iter().map(|note| (note.code.as_str(), note.value)).collect())
}

fn words(image: &[u8]) -> Vec<&'static str> {
    said(image).1.into_iter().map(|(word, _)| word).collect()
}

#[test]
fn whole_tables_of_both_sectors_have_nothing_said_of_them() {
    for image in [gpt(), gpt_of_4096()] {
        assert_eq!(said(&image), (Some("gpt"), vec![]));
    }
    let mut mbr = vec![0; 300 * SECTOR];
    entry(&mut mbr, 0, 0x80, 0x83, 1, 200);
    assert_eq!(said(&mbr), (Some("mbr"), vec![]));
}

#[test]
fn a_disk_without_a_table_is_what_lies_on_it() {
    let alone = vec![("no-partition-table", None)];
    assert_eq!(said(&vec![0; 1 << 20]), (None, alone.clone()));
    assert_eq!(said(b"x"), (None, alone.clone()));
    let mut ext = vec![0; 1 << 20];
    put(&mut ext, 1024 + 56, &0xef53_u16.to_le_bytes());
    assert_eq!(said(&ext).0.map(|name| &name[..3]), Some("ext"));
    // The boot sector of a FAT is signed as a table is, and has code where entries would be.
    let mut fat = vec![0; 1 << 20];
    put(&mut fat, 0, &[0xeb, 0x3c, 0x90]);
    put(&mut fat, 11, &512_u16.to_le_bytes());
    put(&mut fat, 13, &[4, 1, 0, 2]);
    put(&mut fat, 19, &2048_u16.to_le_bytes());
    fat[21] = 0xf8;
    entry(&mut fat, 0, 0x80, 0x83, 1, 200);
    assert_eq!(said(&fat), (Some("vfat"), alone));
}

#[test]
fn what_is_not_in_order_about_a_master_boot_record_is_said() {
    let mut mbr = vec![0; 300 * SECTOR];
    entry(&mut mbr, 0, 0x80, 0x83, 1, 100);
    entry(&mut mbr, 1, 0x42, 0x83, 101, 100);
    entry(&mut mbr, 2, 0, 0x83, 201, 100);
    let found = said(&mbr).1;
    assert_eq!(
        found,
        [("mbr-boot-flag", Some("0x42 of partition 2".into())), ("mbr-past-end", Some("3".into()))]
    );
}

#[test]
fn a_protective_entry_is_there_starts_at_sector_one_and_is_alone() {
    let mut none = gpt();
    none[446..510].fill(0);
    assert_eq!(words(&none), ["mbr-protective"]);
    let mut elsewhere = gpt();
    entry(&mut elsewhere, 0, 0, PROTECTIVE, 2, 10);
    assert_eq!(words(&elsewhere), ["mbr-protective"]);
    let mut company = gpt();
    entry(&mut company, 1, 0x80, 0x83, 100, 10);
    assert_eq!(said(&company).1, [("mbr-protective", Some("there are 1 entries beside it".into()))]);
}

#[test]
fn each_checksum_of_a_guid_partition_table_is_looked_at() {
    let with = |at: usize| {
        let mut image = gpt();
        let at = if at > 1 << 20 { image.len() - (usize::MAX - at) } else { at };
        image[at] ^= 1;
        words(&image)
    };
    assert_eq!(with(512 + 40), ["gpt-header"]);
    assert_eq!(with(1024 + 5), ["gpt-entries"]);
    assert_eq!(with(usize::MAX - 512 + 40), ["gpt-backup"]);
    let mut disagrees = gpt();
    let end = disagrees.len();
    disagrees[end - 512 + 56] ^= 1;
    seal(&mut disagrees, end - 512);
    assert_eq!(said(&disagrees).1, [("gpt-backup", Some("it differs from the first".into()))]);
    let mut grown = gpt();
    grown.resize(grown.len() + 4096, 0);
    assert_eq!(words(&grown), ["gpt-backup"]);
    let mut no_table = vec![0; 1 << 20];
    entry(&mut no_table, 0, 0, PROTECTIVE, 1, 2047);
    assert_eq!(words(&no_table), ["gpt-header"]);
}

#[test]
fn b3_entries_of_more_than_a_mebibyte_are_not_read() {
    let mut image = gpt();
    put(&mut image, 512 + 80, &u32::MAX.to_le_bytes());
    seal(&mut image, 512);
    let found = said(&image).1;
    assert_eq!(found[0], ("gpt-entries", Some("they take more than 1 MiB".into())));
}

#[test]
fn entries_between_the_ends_are_read_from_the_disk_itself() {
    let mut image = gpt();
    image.resize(2 << 20, 0);
    let entries = image[1024..1024 + 16384].to_vec();
    put(&mut image, 1 << 20, &entries);
    put(&mut image, 512 + 72, &2048_u64.to_le_bytes());
    seal(&mut image, 512);
    let mut probe = Probe::default();
    probe.push(&image);
    let refused = advise(&probe.ends(image.len() as u64)).unwrap_err();
    assert!(Ends::is_not_kept(&refused));
    assert!(advise(&image).unwrap().notes.iter().all(|note| note.code != NoteCode::GptEntries));
}
