//! Images made byte by byte: every kind of cluster, and every field that can be wrong.

use super::*;
use crate::disk::fixtures::{self, be64, be64s, pattern, put};
use crate::disk::units::Codec;
use crate::disk::{NoteCode, View};
use crate::disk::{Survey, survey};

const CLUSTER: usize = 4096;
const BITS: u32 = 12;
const L1_AT: usize = CLUSTER;
const L2_AT: usize = 2 * CLUSTER;
const DATA_AT: usize = 3 * CLUSTER;
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Clusters of the disk.
const CLUSTERS: usize = 6;

/// A header of version 3 with the tables at their places: L1, one L2, then what `entries` point to.
fn image(entries: &[u64], data: &[u8]) -> Vec<u8> {
    let mut image = vec![0; DATA_AT];
    put(&mut image, 0, b"QFI\xfb");
    put(&mut image, 4, &3_u32.to_be_bytes());
    put(&mut image, 20, &BITS.to_be_bytes());
    put(&mut image, 24, &((CLUSTERS * CLUSTER) as u64).to_be_bytes());
    put(&mut image, 36, &1_u32.to_be_bytes());
    put(&mut image, 40, &(L1_AT as u64).to_be_bytes());
    put(&mut image, 96, &4_u32.to_be_bytes());
    put(&mut image, 100, &104_u32.to_be_bytes());
    put(&mut image, L1_AT, &be64s(&[L2_AT as u64 | COPIED]));
    put(&mut image, L2_AT, &be64s(entries));
    image.extend_from_slice(data);
    image
}

/// Two clusters of data, a marked zero, a hole, and a compressed one behind the others.
fn plain() -> (Vec<u8>, Vec<u8>) {
    let data = pattern(2 * CLUSTER, 1);
    let last = pattern(CLUSTER, 2);
    let packed = deflated(&last);
    let at = DATA_AT + 2 * CLUSTER + 700;
    let sectors = (at % 512 + packed.len()).div_ceil(512) as u64;
    let entries = [
        DATA_AT as u64 | COPIED,
        (DATA_AT + CLUSTER) as u64 | COPIED,
        1,
        0,
        COMPRESSED | (sectors - 1) << (62 - (BITS - 8)) | at as u64,
        (DATA_AT + CLUSTER) as u64 | 1,
    ];
    let body = [&data[..], &[0; 700], &packed].concat();
    let mut image = image(&entries, &body);
    let whole = image.len().next_multiple_of(512);
    image.resize(whole, 0);
    let zeros = vec![0; CLUSTER];
    (image, [&data[..], &zeros, &zeros, &last, &zeros].concat())
}

fn deflated(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn read(image: Vec<u8>) -> Result<Vec<u8>, Error> {
    fixtures::read(Format::Qcow2, image)
}

/// Why an image that `change` was done to is refused; reading it ends so in one step or another.
fn refused(change: impl FnOnce(&mut Vec<u8>)) -> Option<(Code, &'static str)> {
    let (mut image, _) = plain();
    change(&mut image);
    fixtures::fault(Format::Qcow2, image)
}

#[test]
fn every_kind_of_cluster_reads_as_it_should() {
    let (image, disk) = plain();
    assert_eq!(read(image.clone()).unwrap(), disk);
    let budgets = Budgets::default();
    let view = View::new(Qcow2::open(image, &budgets).unwrap(), &budgets);
    for (at, bytes) in
        [(0, 1), (CLUSTER - 1, 2), (4 * CLUSTER + 17, 100), (3 * CLUSTER - 5, 2 * CLUSTER), (24_575, 1)]
    {
        let mut part = vec![0xaa; bytes];
        view.read_at(at as u64, &mut part).unwrap();
        assert_eq!(part, disk[at..at + bytes], "{bytes} from {at}");
    }
    assert!(view.read_at(disk.len() as u64, &mut [0]).is_err());
    let run = |at: usize| view.guest().run_at(at as u64, u64::MAX).unwrap();
    assert_eq!(run(0), Run { bytes: 2 * CLUSTER as u64, place: Place::Plain(DATA_AT as u64) });
    assert_eq!(run(2 * CLUSTER), Run { bytes: 2 * CLUSTER as u64, place: Place::Zeros });
    assert!(matches!(
        run(4 * CLUSTER + 9).place,
        Place::Packed { skip: 9, unit: Unit { codec: Codec::Deflate, .. } }
    ));
}

#[test]
fn what_is_read_from_memory_is_what_was_read_before() {
    let (image, disk) = plain();
    let budgets = Budgets::default();
    let view = View::new(Qcow2::open(image, &budgets).unwrap(), &budgets);
    let mut near = vec![0; disk.len()];
    assert!(!view.read_near(0, &mut near[..1]) && view.extent_near(0).is_none(), "its table is not there");
    view.read_at(0, &mut near[..1]).unwrap();
    assert!(view.read_near(0, &mut near[..4 * CLUSTER]), "plain clusters");
    assert_eq!(near[..4 * CLUSTER], disk[..4 * CLUSTER]);
    assert_eq!(view.extent_near(17), Some(view.extent_at(17).unwrap()));
    assert!(!view.read_near(0, &mut near), "a compressed one was not decoded yet");
    view.read_at(0, &mut vec![0; disk.len()]).unwrap();
    assert!(view.read_near(0, &mut near));
    assert_eq!(near, disk);
    assert!(!view.read_near(1, &mut near), "it goes past the end");
}

#[test]
fn version_2_has_no_marked_zeros() {
    let v2 = |image: &mut Vec<u8>| put(image, 4, &2_u32.to_be_bytes());
    assert_eq!(refused(v2), Some((Code::BadTable, "l2 entry")));
    assert_eq!(
        refused(|image| {
            v2(image);
            put(image, L2_AT + 16, &be64s(&[0]));
            put(image, L2_AT + 40, &be64s(&[0]));
            // What of version 3 is a feature is the first extension here.
            put(image, 72, &[0; 32]);
        }),
        None
    );
}

#[test]
fn a_last_cluster_that_the_file_lacks_a_part_of_goes_on_with_zeros() {
    let entries = [DATA_AT as u64, 0, 0, 0, 0, 0];
    let disk = read(image(&entries, &[7; 1000])).unwrap();
    assert!(disk[..1000].iter().all(|byte| *byte == 7) && disk[1000..].iter().all(|byte| *byte == 0));
}

#[test]
fn whoever_needs_another_file_or_a_key_is_refused_before_a_byte_is_read() {
    let backing = |image: &mut Vec<u8>| put(image, 8, &be64s(&[1024]));
    assert_eq!(refused(backing), Some((Code::NeedsAnotherFile, "backing_file_offset")));
    let data_file = |image: &mut Vec<u8>| put(image, 72, &be64s(&[1 << 2]));
    assert_eq!(refused(data_file), Some((Code::NeedsAnotherFile, "incompatible_features")));
    for (kind, code) in [(0x4441_5441_u32, Code::NeedsAnotherFile), (0x0537_be77, Code::Encrypted)] {
        let extension = |image: &mut Vec<u8>| put(image, 104, &kind.to_be_bytes());
        assert_eq!(refused(extension), Some((code, "header extensions")));
    }
    for method in [1_u32, 2] {
        let crypt = |image: &mut Vec<u8>| put(image, 32, &method.to_be_bytes());
        assert_eq!(refused(crypt), Some((Code::Encrypted, "crypt_method")));
    }
    // The refusal comes from the header alone.
    let (mut image, _) = plain();
    backing(&mut image);
    assert!(Qcow2::open(image, &Budgets::default()).is_err());
}

#[test]
fn header_fields_out_of_range_are_refused() {
    let field = |at: usize, bytes: Vec<u8>| refused(move |image| put(image, at, &bytes));
    let be32 = |number: u32| number.to_be_bytes().to_vec();
    for version in [0, 1, 4] {
        assert_eq!(field(4, be32(version)), Some((Code::Unsupported, "version")));
    }
    for bits in [0, 8, 22, 64, u32::MAX] {
        assert_eq!(field(20, be32(bits)), Some((Code::BadField, "cluster_bits")));
    }
    for length in [0, 72, 103, 105, 4104, u32::MAX] {
        assert_eq!(field(100, be32(length)).map(|(_, field)| field), Some("header_length"), "{length}");
    }
    assert_eq!(field(24, be64s(&[u64::MAX])), Some((Code::OverBudget, "size")));
    assert_eq!(field(36, be32(0)), Some((Code::BadField, "l1_size")));
    assert_eq!(field(36, be32(u32::MAX)), Some((Code::CutShort, "l1_table_offset")));
    for at in [0, 1, 4097, u64::MAX - 4095] {
        assert!(
            matches!(field(40, be64s(&[at])), Some((Code::BadTable | Code::CutShort, "l1_table_offset"))),
            "{at}"
        );
    }
    assert_eq!(field(72, be64s(&[1 << 1])), Some((Code::MarkedCorrupt, "incompatible_features")));
    for bit in 5..64 {
        assert_eq!(
            field(72, be64s(&[1 << bit])),
            Some((Code::Unsupported, "incompatible_features")),
            "{bit}"
        );
    }
    assert_eq!(
        field(72, be64s(&[1 << 4])),
        Some((Code::BadField, "incompatible_features")),
        "small clusters"
    );
    assert_eq!(
        field(72, be64s(&[1 << 3])),
        Some((Code::BadField, "compression_type")),
        "a bit without a type"
    );
    assert_eq!(field(72, be64s(&[1])), None, "dirty is read");
}

#[test]
fn a_compression_type_goes_with_its_bit() {
    let typed = |bit: u64, kind: u8| {
        refused(move |image| {
            put(image, 72, &be64s(&[bit << 3]));
            put(image, 100, &112_u32.to_be_bytes());
            image[104] = kind;
        })
    };
    assert_eq!(typed(0, 0), None);
    assert_eq!(typed(0, 1), Some((Code::BadField, "compression_type")));
    assert_eq!(typed(1, 0), Some((Code::BadField, "compression_type")));
    assert_eq!(typed(1, 2), Some((Code::Unsupported, "compression_type")));
    // The cluster is deflated, and read as the other.
    assert_eq!(typed(1, 1), Some((Code::BadData, "compressed data")));
}

#[test]
fn extensions_end_in_the_first_cluster() {
    let extension = |kind: u32, bytes: u32| {
        refused(move |image| put(image, 104, &[kind.to_be_bytes(), bytes.to_be_bytes()].concat()))
    };
    assert_eq!(extension(0x1234_5678, 8), None, "unknown ones are passed by");
    assert_eq!(extension(0x1234_5678, 4000), Some((Code::BadField, "header extensions")));
    assert_eq!(extension(0x1234_5678, u32::MAX), Some((Code::BadField, "header extensions")));
    let twice = refused(|image| {
        for at in [104, 112] {
            put(image, at, &0x2385_2875_u32.to_be_bytes());
        }
    });
    assert_eq!(twice, Some((Code::BadField, "header extensions")));
}

#[test]
fn snapshots_are_counted_and_lie_in_the_file() {
    let snapshot = |image: &mut Vec<u8>, table: u64| {
        let at = image.len().next_multiple_of(CLUSTER);
        image.resize(at + 48, 0);
        put(image, at, &be64s(&[table]));
        put(image, at + 8, &1_u32.to_be_bytes());
        put(image, at + 12, &[0, 1, 0, 2]);
        put(image, 60, &1_u32.to_be_bytes());
        put(image, 64, &be64s(&[at as u64]));
    };
    let (mut image, disk) = plain();
    snapshot(&mut image, L1_AT as u64);
    let notes = Qcow2::open(image.clone(), &Budgets::default()).unwrap().notes();
    assert_eq!(notes, [Note::with(NoteCode::InternalSnapshots, "nb_snapshots", 1)]);
    assert_eq!(read(image).unwrap(), disk, "the active disk is what is read");
    assert_eq!(refused(|image| snapshot(image, 1 << 40)), Some((Code::CutShort, "snapshot l1_table_offset")));
    let many = |image: &mut Vec<u8>| put(image, 60, &u32::MAX.to_be_bytes());
    assert_eq!(refused(many), Some((Code::BadField, "nb_snapshots")));
    let outside = |image: &mut Vec<u8>| {
        put(image, 60, &1_u32.to_be_bytes());
        put(image, 64, &be64s(&[1 << 50]));
    };
    assert_eq!(refused(outside), Some((Code::CutShort, "snapshots_offset")));
}

#[test]
fn tables_that_point_where_they_may_not_are_refused() {
    let l1 = |entry: u64| refused(move |image| put(image, L1_AT, &be64s(&[entry])));
    for reserved in [1, 1 << 8, 1 << 56, 1 << 62] {
        assert_eq!(l1(L2_AT as u64 | reserved), Some((Code::BadTable, "l1 entry")), "{reserved:#x}");
    }
    for at in [L1_AT as u64, 512, 1 << 40, L2_AT as u64 + 512] {
        assert_eq!(l1(at), Some((Code::BadTable, "l1 entry")), "{at}");
    }
    let l2 = |entry: u64| refused(move |image| put(image, L2_AT, &be64s(&[entry])));
    for reserved in [1 << 1, 1 << 8, 1 << 56, 1 << 61] {
        assert_eq!(l2(DATA_AT as u64 | reserved), Some((Code::BadTable, "l2 entry")), "{reserved:#x}");
    }
    for at in [L1_AT as u64, DATA_AT as u64 + 512, 1 << 40] {
        assert_eq!(l2(at), Some((Code::BadTable, "l2 entry")), "{at}");
    }
    assert_eq!(l2(COMPRESSED | 1 << 40), Some((Code::BadTable, "l2 entry")));
    assert_eq!(l2(COMPRESSED | DATA_AT as u64), Some((Code::BadData, "compressed data")));
    // A cluster that is a table, read as data, is only bytes.
    assert_eq!(l2(L2_AT as u64), None);
}

#[test]
fn a_file_cut_short_at_any_structure_is_refused_or_reads_as_before() {
    let (image, disk) = plain();
    for length in (0..image.len()).step_by(97) {
        match read(image[..length].to_vec()) {
            Ok(found) => assert_eq!(found.len(), disk.len(), "{length}"),
            Err(Error::Refused(_)) => {}
            Err(Error::Source(error)) => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn subclusters_are_data_or_zeros() {
    const BITS: u32 = 14;
    let (cluster, each) = (1_usize << BITS, 512);
    let data = pattern(cluster, 3);
    let extended = |entry: u64, bitmap: u64| {
        let mut image = vec![0; 3 * cluster];
        put(&mut image, 0, &super::tests::image(&[], &[])[..112]);
        put(&mut image, 20, &BITS.to_be_bytes());
        put(&mut image, 24, &be64s(&[cluster as u64]));
        put(&mut image, 40, &be64s(&[cluster as u64]));
        put(&mut image, 72, &be64s(&[1 << 4]));
        put(&mut image, cluster, &be64s(&[2 * cluster as u64]));
        put(&mut image, 2 * cluster, &be64s(&[entry, bitmap]));
        read([&image[..], &data].concat())
    };
    let at = 3 * cluster as u64;
    assert_eq!(extended(at, 0xffff_ffff).unwrap(), data);
    assert_eq!(extended(at, 0).unwrap(), vec![0; cluster]);
    assert_eq!(extended(0, 0xffff_ffff << 32).unwrap(), vec![0; cluster]);
    let some = extended(at, 0b1011 | 1 << (32 + 5)).unwrap();
    for (number, part) in some.chunks(each).enumerate() {
        let wanted = if [0, 1, 3].contains(&number) { &data[number * each..][..each] } else { &[0; 512] };
        assert_eq!(part, wanted, "subcluster {number}");
    }
    for (entry, bitmap) in [(at, 1 | 1 << 32), (0, 1), (at | 1, 1), (COMPRESSED | at, 1)] {
        let Err(Error::Refused(refusal)) = extended(entry, bitmap) else { panic!("{entry:#x} {bitmap:#x}") };
        assert_eq!(refusal.code, Code::BadTable);
    }
}

#[test]
fn a_table_that_is_larger_than_its_budget_is_not_read() {
    let (mut image, _) = plain();
    put(&mut image, 24, &be64s(&[1 << 40]));
    let entries = (1_u64 << 40) / (CLUSTER as u64 * 512);
    put(&mut image, 36, &(entries as u32).to_be_bytes());
    image.resize(L1_AT + entries as usize * 8, 0);
    let budgets = Budgets { table_bytes_max: 1 << 20, ..Budgets::default() };
    let Err(Error::Refused(refusal)) = Qcow2::open(image, &budgets) else { panic!("it was read") };
    assert_eq!((refusal.code, refusal.field), (Code::OverBudget, "l1_table_offset"));
}

#[test]
fn b7_a_first_level_that_names_one_table_for_a_large_disk_is_refused() {
    let named = |tables: usize| {
        let (mut image, _) = plain();
        let l1_at = image.len().next_multiple_of(CLUSTER);
        put(&mut image, 24, &be64s(&[(tables * CLUSTER / 8 * CLUSTER) as u64]));
        put(&mut image, 36, &(tables as u32).to_be_bytes());
        put(&mut image, 40, &be64s(&[l1_at as u64]));
        image.resize(l1_at, 0);
        image.extend(be64s(&vec![L2_AT as u64 | COPIED; tables]));
        match Qcow2::open(image, &Budgets::default()) {
            Err(Error::Refused(refusal)) => Some((refusal.code, refusal.field)),
            outcome => outcome.map(|_| None).unwrap(),
        }
    };
    // Each would be gone through 512 entries long.
    assert_eq!(named(2200), Some((Code::BadTable, "l1 entry")));
    assert_eq!(named(100), None);
}

#[test]
fn every_entry_that_names_one_unit_reads_it() {
    let (mut image, disk) = plain();
    let packed = be64(&image, L2_AT + 32);
    put(&mut image, L2_AT, &be64s(&[packed; CLUSTERS]));
    let found = read(image).unwrap();
    assert!(found.chunks(CLUSTER).all(|cluster| cluster == &disk[4 * CLUSTER..5 * CLUSTER]));
}

#[test]
fn s31_a_disk_that_comes_out_of_next_to_nothing_is_a_bomb() {
    let (mut image, _) = plain();
    let packed = be64(&image, L2_AT + 32);
    put(&mut image, L2_AT, &be64s(&[packed; CLUSTERS]));
    let guest = Qcow2::open(image, &Budgets::default()).unwrap();
    let budgets = Budgets { ratio_max: 2, ..Budgets::default() };
    let (half, whole) = (CLUSTERS * CLUSTER / 2, (CLUSTERS * CLUSTER) as u64);
    let surveyed = |file_bytes: usize| survey(&guest, file_bytes as u64, Format::Qcow2, &budgets);
    assert_eq!(surveyed(half).unwrap(), Survey { plain_bytes: 0, packed_bytes: whole });
    let Err(Error::Refused(refusal)) = surveyed(half - 1) else { panic!("it was taken") };
    assert_eq!((refusal.code, refusal.field), (Code::OverBudget, "data"));
}

#[test]
fn what_the_header_says_of_its_past_is_noted() {
    let (mut image, _) = plain();
    put(&mut image, 79, &[1]);
    put(&mut image, 87, &[1]);
    put(&mut image, 104, &[0x23, 0x85, 0x28, 0x75, 0, 0, 0, 24, 0, 0, 0, 2]);
    let notes = Qcow2::open(image, &Budgets::default()).unwrap().notes();
    let told: Vec<_> = notes.iter().map(|note| (note.code, note.value.as_deref())).collect();
    assert_eq!(
        told,
        [(NoteCode::Dirty, None), (NoteCode::LazyRefcounts, None), (NoteCode::Bitmaps, Some("2"))]
    );
}
