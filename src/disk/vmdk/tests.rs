//! Images made byte by byte: sparse and streams, and every field that can be wrong.

use std::io::Write;

use super::*;
use crate::disk::fixtures::{self, pattern, put};
use crate::disk::{Survey, survey};

const GRAIN: usize = 8 * 512;
const DESCRIPTOR_AT: usize = 512;
const DIRECTORY_AT: usize = 2048;
const TABLE_AT: usize = 2560;
const DATA_AT: usize = TABLE_AT + 2048;
/// The last grain is of three sectors only.
const SIZE: usize = 4 * GRAIN + 3 * 512;

fn descriptor(kind: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=ffffffff\ncreateType=\"{kind}\"\n\
         RW {} SPARSE \"x.vmdk\"\nddb.adapterType = \"ide\"\n",
        SIZE / 512
    )
}

fn header(flags: u32, directory_at: u64, algorithm: u16) -> Vec<u8> {
    let mut header = vec![0; 512];
    put(&mut header, 0, b"KDMV");
    put(&mut header, 4, &1_u32.to_le_bytes());
    put(&mut header, 8, &flags.to_le_bytes());
    for (at, sectors) in [(12, SIZE / 512), (20, GRAIN / 512), (28, DESCRIPTOR_AT / 512), (36, 2), (64, 9)] {
        put(&mut header, at, &(sectors as u64).to_le_bytes());
    }
    put(&mut header, 44, &512_u32.to_le_bytes());
    put(&mut header, 56, &directory_at.to_le_bytes());
    put(&mut header, 73, b"\n \r\n");
    put(&mut header, 77, &algorithm.to_le_bytes());
    header
}

fn sparse(entries: &[u32], data: &[u8]) -> Vec<u8> {
    let mut image = vec![0; DATA_AT];
    put(&mut image, 0, &header(0b101, (DIRECTORY_AT / 512) as u64, 0));
    put(&mut image, DESCRIPTOR_AT, descriptor("monolithicSparse").as_bytes());
    put(&mut image, DIRECTORY_AT, &((TABLE_AT / 512) as u32).to_le_bytes());
    for (grain, entry) in entries.iter().enumerate() {
        put(&mut image, TABLE_AT + grain * 4, &entry.to_le_bytes());
    }
    [&image, data].concat()
}

fn sector(at: usize) -> u32 {
    (at / 512) as u32
}

/// Two grains in a row, a zero one, a hole, and the short last one.
fn good() -> (Vec<u8>, Vec<u8>) {
    let data = pattern(3 * GRAIN, 1);
    let entries = [sector(DATA_AT), sector(DATA_AT + GRAIN), 1, 0, sector(DATA_AT + 2 * GRAIN)];
    let disk = [&data[..2 * GRAIN], &[0; 2 * GRAIN], &data[2 * GRAIN..][..3 * 512]].concat();
    (sparse(&entries, &data), disk)
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A stream: compressed grains behind the header, tables behind them, and the copy of the header at the end.
pub(super) fn stream() -> (Vec<u8>, Vec<u8>) {
    let data = pattern(2 * GRAIN, 2);
    let mut image = vec![0; 1536];
    put(&mut image, 0, &header(0x3_0001, u64::MAX, 1));
    // The grains follow the descriptor: three sectors are before them.
    put(&mut image, 64, &3_u64.to_le_bytes());
    put(&mut image, DESCRIPTOR_AT, descriptor("streamOptimized").as_bytes());
    let mut entries = [0; 5];
    for (grain, part) in [(0, &data[..GRAIN]), (2, &data[GRAIN..])] {
        entries[grain] = sector(image.len());
        let packed = zlib(part);
        image.extend((grain as u64 * 8).to_le_bytes());
        image.extend((packed.len() as u32).to_le_bytes());
        image.extend(packed);
        image.resize(image.len().next_multiple_of(512), 0);
    }
    let table_at = image.len();
    image.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    image.resize(table_at + 2048, 0);
    let directory_at = image.len();
    image.extend(sector(table_at).to_le_bytes());
    image.resize(directory_at + 512, 0);
    let mut marker = vec![0; 512];
    put(&mut marker, 0, &1_u64.to_le_bytes());
    put(&mut marker, 12, &3_u32.to_le_bytes());
    image.extend(marker);
    image.extend(header(0x3_0001, (directory_at / 512) as u64, 1));
    image.extend([0; 512]);
    let disk = [&data[..GRAIN], &[0; GRAIN], &data[GRAIN..], &[0; GRAIN], &[0; 3 * 512]].concat();
    (image, disk)
}

fn read(image: Vec<u8>) -> Result<Vec<u8>, Error> {
    fixtures::read(Format::Vmdk, image)
}

fn fault(
    (mut image, _): (Vec<u8>, Vec<u8>),
    change: impl FnOnce(&mut Vec<u8>),
) -> Option<(Code, &'static str)> {
    change(&mut image);
    fixtures::fault(Format::Vmdk, image)
}

#[test]
fn a_sparse_disk_is_its_grains_and_zeros() {
    let (image, disk) = good();
    assert_eq!(read(image.clone()).unwrap(), disk);
    let guest = Vmdk::open(image, &Budgets::default()).unwrap();
    let run = |at: usize| guest.run_at(at as u64, u64::MAX).unwrap();
    assert_eq!(run(5), Run { bytes: 2 * GRAIN as u64 - 5, place: Place::Plain(DATA_AT as u64 + 5) });
    assert_eq!(run(2 * GRAIN), Run { bytes: 2 * GRAIN as u64, place: Place::Zeros });
    assert_eq!(run(4 * GRAIN), Run { bytes: 1536, place: Place::Plain((DATA_AT + 2 * GRAIN) as u64) });
}

#[test]
fn a_stream_is_its_compressed_grains_found_by_the_copy_at_its_end() {
    let (image, disk) = stream();
    assert_eq!(read(image).unwrap(), disk);
}

#[test]
fn header_fields_out_of_range_are_refused() {
    let field = |at: usize, bytes: &[u8]| fault(good(), |image| put(image, at, bytes));
    for version in [0_u32, 4] {
        assert_eq!(field(4, &version.to_le_bytes()), Some((Code::Unsupported, "version")));
    }
    assert_eq!(field(73, b"\n \n\n"), Some((Code::BadField, "newline characters")));
    for sectors in [0_u64, 4, 9, 4096] {
        assert_eq!(field(20, &sectors.to_le_bytes()), Some((Code::BadField, "grainSize")), "{sectors}");
    }
    assert_eq!(field(44, &256_u32.to_le_bytes()), Some((Code::Unsupported, "numGTEsPerGT")));
    assert_eq!(field(12, &u64::MAX.to_le_bytes()), Some((Code::BadField, "capacity")));
    assert_eq!(field(12, &(1_u64 << 40).to_le_bytes()), Some((Code::OverBudget, "capacity")));
    assert_eq!(field(77, &1_u16.to_le_bytes()), Some((Code::BadField, "compressAlgorithm")));
    let unmarked = field(8, &0x1_0001_u32.to_le_bytes());
    assert_eq!(unmarked, Some((Code::BadField, "compressAlgorithm")));
    assert_eq!(field(28, &0_u64.to_le_bytes()), Some((Code::BadField, "descriptorOffset")));
    assert_eq!(field(36, &(1_u64 << 30).to_le_bytes()), Some((Code::OverBudget, "descriptor")));
    assert_eq!(field(56, &0_u64.to_le_bytes()), Some((Code::BadTable, "gdOffset")));
    assert_eq!(field(56, &(1_u64 << 30).to_le_bytes()), Some((Code::CutShort, "grain directory")));
}

#[test]
fn tables_that_point_where_they_may_not_are_refused() {
    let entry = |entry: u32| fault(good(), |image| put(image, TABLE_AT, &entry.to_le_bytes()));
    assert_eq!(entry(1 << 30), Some((Code::CutShort, "grain table")));
    let unflagged = fault(good(), |image| put(image, 8, &1_u32.to_le_bytes()));
    assert_eq!(unflagged, Some((Code::BadTable, "grain table")), "a zero grain without the flag");
    let far = fault(good(), |image| put(image, DIRECTORY_AT, &(1_u32 << 30).to_le_bytes()));
    assert_eq!(far, Some((Code::CutShort, "grain table")));
}

/// A sparse disk whose directory has these entries, each of a table; the one table that is there is all zeros.
fn with_directory(entries: &[u32]) -> Vec<u8> {
    let tables_bytes = entries.len() * 512 * GRAIN;
    let mut image = sparse(&[0; 5], &[]);
    put(&mut image, 12, &((tables_bytes / 512) as u64).to_le_bytes());
    put(&mut image, 56, &((DATA_AT / 512) as u64).to_le_bytes());
    image.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    image
}

#[test]
fn b7_a_directory_that_names_one_table_for_a_large_disk_is_refused() {
    let named = |tables: usize| {
        let image = with_directory(&vec![sector(TABLE_AT); tables]);
        match Vmdk::open(image, &Budgets::default()) {
            Err(Error::Refused(refusal)) => Some((refusal.code, refusal.field)),
            outcome => outcome.map(|_| None).unwrap(),
        }
    };
    // Each would be gone through 512 entries long.
    assert_eq!(named(5000), Some((Code::BadTable, "grain directory")));
    assert_eq!(named(100), None);
}

#[test]
fn b7_a_large_disk_without_tables_is_one_run() {
    let mut directory = vec![0; 200_000];
    directory[150_000] = sector(TABLE_AT);
    let guest = Vmdk::open(with_directory(&directory), &Budgets::default()).unwrap();
    let each = 512 * GRAIN as u64;
    let run = |at: u64, wanted: u64| guest.run_at(at, wanted).unwrap();
    assert_eq!(run(5, u64::MAX), Run { bytes: 150_000 * each - 5, place: Place::Zeros });
    assert_eq!(run(5, each).bytes, 2 * each - 5, "nobody looks further than is wanted");
    assert_eq!(run(150_000 * each, u64::MAX), Run { bytes: each, place: Place::Zeros });
    let last = 199_999 * each + 7;
    assert_eq!(run(last, u64::MAX), Run { bytes: each - 7, place: Place::Zeros });
    assert_eq!(guest.run_near(last, u64::MAX), Some(run(last, u64::MAX)));
    assert_eq!(survey(&guest, 1 << 20, Format::Vmdk, &Budgets::default()).unwrap(), Survey::default());
}

#[test]
fn a_stream_whose_end_is_not_in_order_is_refused() {
    let end = stream().0.len();
    let changed = |from_end: usize, bytes: &[u8]| fault(stream(), |image| put(image, end - from_end, bytes));
    assert_eq!(changed(1536, &[2]), Some((Code::CutShort, "footer")), "no marker");
    assert_eq!(changed(512, &[1]), Some((Code::CutShort, "footer")), "no end");
    assert_eq!(changed(1024 - 12, &[9]), Some((Code::Disagreement, "footer")));
    assert_eq!(changed(1024 - 28, &[9]), Some((Code::Disagreement, "footer")), "another descriptor");
    assert_eq!(
        changed(1024 - 56, &[0xff; 8]),
        Some((Code::BadField, "footer")),
        "a footer that names another"
    );
    assert_eq!(fault(stream(), |image| image.truncate(1000)), Some((Code::CutShort, "footer")));
}

#[test]
fn a_compressed_grain_is_of_its_place_and_of_its_size() {
    let first = 1536;
    let changed = |at: usize, bytes: &[u8]| fault(stream(), |image| put(image, first + at, bytes));
    assert_eq!(changed(0, &8_u64.to_le_bytes()), Some((Code::BadTable, "grain marker")));
    for bytes in [0, u32::MAX] {
        assert_eq!(changed(8, &bytes.to_le_bytes()), Some((Code::BadField, "grain marker")));
    }
    assert_eq!(changed(8, &(1_u32 << 21).to_le_bytes()), Some((Code::CutShort, "grain marker")));
    assert_eq!(changed(8, &20_u32.to_le_bytes()), Some((Code::BadData, "compressed data")));
    assert_eq!(changed(14, &[0xff; 8]), Some((Code::BadData, "compressed data")));
}

#[test]
fn a_file_cut_short_anywhere_is_refused_or_reads_as_before() {
    for (image, disk) in [good(), stream()] {
        for length in (0..image.len()).step_by(53) {
            match read(image[..length].to_vec()) {
                // What a last grain has behind the disk's end.
                Ok(found) => assert_eq!(found, disk, "{length}"),
                Err(Error::Refused(_)) => {}
                Err(Error::Source(error)) => panic!("{length}: {error}"),
            }
        }
    }
}

#[test]
fn a_disk_that_was_not_closed_is_noted() {
    let notes = |image: Vec<u8>| Vmdk::open(image, &Budgets::default()).unwrap().notes();
    let (mut image, _) = good();
    assert_eq!(notes(image.clone()), []);
    image[72] = 1;
    assert_eq!(notes(image), [Note::new(NoteCode::UncleanShutdown, "uncleanShutdown")]);
}
