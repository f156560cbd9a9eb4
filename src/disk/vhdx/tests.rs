//! Images made byte by byte: blocks, logs in every order, and every field that can be wrong.

use uuid::{Uuid, uuid};

use super::*;
use crate::disk::fixtures::{self, pattern, put};

const BAT: Uuid = uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08");
const METADATA: Uuid = uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e");
const LOG_NAME: Uuid = uuid!("11111111-2222-3333-4444-555555555555");
const HEADERS_AT: [usize; 2] = [64 << 10, 128 << 10];
const REGIONS_AT: [usize; 2] = [192 << 10, 256 << 10];
const M: usize = 1 << 20;
const LOG_AT: usize = M;
const METADATA_AT: usize = 2 * M;
const BAT_AT: usize = 3 * M;
const DATA_AT: usize = 4 * M;
const BLOCK: usize = M;
/// The last block is of a part only.
const SIZE: usize = 3 * BLOCK + 4096;
const ITEMS: [(Uuid, usize); 5] = [
    (uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b"), 8),
    (uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8"), 8),
    (uuid!("beca12ab-b2e6-4523-93ef-c309e000c746"), 16),
    (uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f"), 4),
    (uuid!("cda348c7-445d-4471-9cc9-e9885251c556"), 4),
];
const PRESENT: u64 = 6;

fn sealed(structure: &mut [u8]) {
    put(structure, 4, &[0; 4]);
    let sum = format::checksum(structure, 4);
    put(structure, 4, &sum.to_le_bytes());
}

fn header_of(sequence: u64, log: Uuid) -> Vec<u8> {
    let mut header = vec![0; 4096];
    put(&mut header, 0, b"head");
    put(&mut header, 8, &sequence.to_le_bytes());
    put(&mut header, 48, &log.to_bytes_le());
    put(&mut header, 66, &1_u16.to_le_bytes());
    put(&mut header, 68, &(M as u32).to_le_bytes());
    put(&mut header, 72, &(LOG_AT as u64).to_le_bytes());
    sealed(&mut header);
    header
}

fn with_regions(image: &mut [u8], regions: &[(Uuid, usize, u32, u32)]) {
    let mut table = vec![0; 64 << 10];
    put(&mut table, 0, b"regi");
    put(&mut table, 8, &(regions.len() as u32).to_le_bytes());
    for (number, (id, at, bytes, required)) in regions.iter().enumerate() {
        let entry = 16 + number * 32;
        put(&mut table, entry, &id.to_bytes_le());
        put(&mut table, entry + 16, &(*at as u64).to_le_bytes());
        put(&mut table, entry + 24, &bytes.to_le_bytes());
        put(&mut table, entry + 28, &required.to_le_bytes());
    }
    sealed(&mut table);
    REGIONS_AT.iter().for_each(|at| put(image, *at, &table));
}

/// Blocks: data, a hole, zeros, and the last one that is there in part.
fn good() -> (Vec<u8>, Vec<u8>) {
    let (first, last) = (pattern(BLOCK, 1), pattern(4096, 2));
    let mut image = vec![0; DATA_AT];
    put(&mut image, 0, b"vhdxfile");
    put(&mut image, HEADERS_AT[0], &header_of(7, Uuid::nil()));
    put(&mut image, HEADERS_AT[1], &header_of(6, Uuid::nil()));
    with_regions(&mut image, &[(BAT, BAT_AT, M as u32, 1), (METADATA, METADATA_AT, M as u32, 1)]);
    put(&mut image, METADATA_AT, b"metadata");
    put(&mut image, METADATA_AT + 10, &(ITEMS.len() as u16).to_le_bytes());
    for (number, (id, bytes)) in ITEMS.iter().enumerate() {
        let entry = METADATA_AT + 32 + number * 32;
        put(&mut image, entry, &id.to_bytes_le());
        put(&mut image, entry + 16, &item_at(number).to_le_bytes());
        put(&mut image, entry + 20, &(*bytes as u32).to_le_bytes());
        put(&mut image, entry + 24, &4_u32.to_le_bytes());
    }
    for (item, number) in [(0, BLOCK as u64), (1, SIZE as u64), (3, 512), (4, 4096)] {
        let bytes = ITEMS[item].1;
        put(&mut image, METADATA_AT + item_at(item) as usize, &number.to_le_bytes()[..bytes]);
    }
    for (block, entry) in [(0, DATA_AT as u64 | PRESENT), (1, 0), (2, 2), (3, (DATA_AT + M) as u64 | PRESENT)]
    {
        set_block(&mut image, block, entry);
    }
    image.extend(&first);
    image.extend(&last);
    image.resize(DATA_AT + 2 * M, 0);
    (image, [&first[..], &vec![0; 2 * BLOCK], &last].concat())
}

fn item_at(number: usize) -> u32 {
    (64 << 10) + number as u32 * 64
}

fn set_block(image: &mut [u8], block: usize, entry: u64) {
    put(image, BAT_AT + block * 8, &entry.to_le_bytes());
}

fn set_item(image: &mut [u8], item: usize, at: usize, bytes: &[u8]) {
    put(image, METADATA_AT + item_at(item) as usize + at, bytes);
}

fn read(image: Vec<u8>) -> Result<Vec<u8>, Error> {
    fixtures::read(Format::Vhdx, image)
}

fn fault(change: impl FnOnce(&mut Vec<u8>)) -> Option<(Code, &'static str)> {
    let (mut image, _) = good();
    change(&mut image);
    fixtures::fault(Format::Vhdx, image)
}

#[test]
fn blocks_read_as_data_or_zeros() {
    let (image, disk) = good();
    assert!(read(image.clone()).unwrap() == disk);
    let guest = Vhdx::open(image, &Budgets::default()).unwrap();
    let run = |at: usize| guest.run_at(at as u64, u64::MAX).unwrap();
    assert_eq!(run(3), Run { bytes: BLOCK as u64 - 3, place: Place::Plain(DATA_AT as u64 + 3) });
    assert_eq!(run(BLOCK), Run { bytes: 2 * BLOCK as u64, place: Place::Zeros });
    assert_eq!(run(3 * BLOCK).bytes, 4096);
}

#[test]
fn the_newer_header_counts_and_twins_are_taken() {
    let headers = |first: Option<Vec<u8>>, second: Option<Vec<u8>>| {
        fault(|image| {
            for (at, header) in HEADERS_AT.into_iter().zip([first, second]) {
                put(image, at, &header.unwrap_or_else(|| vec![0; 4096]));
            }
        })
    };
    let plain = |sequence| Some(header_of(sequence, Uuid::nil()));
    let logged = |sequence| Some(header_of(sequence, LOG_NAME));
    assert_eq!(headers(plain(1), None), None);
    assert_eq!(headers(None, plain(1)), None);
    assert_eq!(headers(plain(3), plain(3)), None, "twins");
    assert_eq!(headers(None, None), Some((Code::BadChecksum, "header")));
    assert_eq!(headers(plain(3), logged(3)), Some((Code::Disagreement, "header sequence number")));
    assert_eq!(headers(plain(2), logged(1)), None, "an old one's log is nothing");
    assert_eq!(headers(plain(1), logged(2)), Some((Code::BadField, "log")), "its log is empty");
    let version = |image: &mut Vec<u8>| {
        let mut header = header_of(9, Uuid::nil());
        put(&mut header, 66, &2_u16.to_le_bytes());
        sealed(&mut header);
        put(image, HEADERS_AT[0], &header);
    };
    assert_eq!(fault(version), Some((Code::Unsupported, "header version")));
}

#[test]
fn regions_lie_in_the_file_apart_and_are_known() {
    let regions = |regions: &[(Uuid, usize, u32, u32)]| fault(|image| with_regions(image, regions));
    let (bat, metadata) = ((BAT, BAT_AT, M as u32, 1), (METADATA, METADATA_AT, M as u32, 1));
    let unknown = |required| (LOG_NAME, 5 * M, M as u32, required);
    let table = |code| Some((code, "region table"));
    assert_eq!(regions(&[bat, metadata, unknown(0)]), None);
    assert_eq!(regions(&[bat, metadata, unknown(1)]), table(Code::Unsupported));
    assert_eq!(regions(&[bat]), table(Code::BadTable));
    assert_eq!(regions(&[bat, metadata, bat]), table(Code::BadTable));
    assert_eq!(regions(&[bat, (METADATA, BAT_AT, M as u32, 1)]), table(Code::BadTable), "overlapping");
    assert_eq!(regions(&[bat, (METADATA, 0, M as u32, 1)]), table(Code::BadTable), "over the headers");
    assert_eq!(
        regions(&[bat, (METADATA, METADATA_AT + 4096, M as u32, 1)]),
        table(Code::BadTable),
        "off the grid"
    );
    assert_eq!(regions(&[bat, (METADATA, 64 * M, M as u32, 1)]), table(Code::CutShort));
    let broken = |image: &mut Vec<u8>| REGIONS_AT.iter().for_each(|at| image[at + 100] ^= 1);
    assert_eq!(fault(broken), table(Code::BadChecksum));
    assert_eq!(fault(|image| image[REGIONS_AT[0] + 100] ^= 1), None, "the other one is whole");
}

#[test]
fn metadata_out_of_range_is_refused() {
    let item = |number: usize, at: usize, bytes: &[u8]| fault(|image| set_item(image, number, at, bytes));
    assert_eq!(item(0, 4, &[2]), Some((Code::NeedsAnotherFile, "file parameters")));
    for block in [0_u32, 4096, 3 << 20, 1 << 29] {
        assert_eq!(item(0, 0, &block.to_le_bytes()), Some((Code::BadField, "block size")), "{block}");
    }
    assert_eq!(item(1, 0, &u64::MAX.to_le_bytes()), Some((Code::OverBudget, "virtual disk size")));
    assert_eq!(item(1, 0, &513_u64.to_le_bytes()), Some((Code::BadField, "virtual disk size")));
    assert_eq!(item(3, 0, &1024_u32.to_le_bytes()), Some((Code::BadField, "sector sizes")));
    let entry = |number: usize, at: usize, bytes: &[u8]| {
        fault(|image| put(image, METADATA_AT + 32 + number * 32 + at, bytes))
    };
    let locator = uuid!("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").to_bytes_le();
    assert_eq!(entry(2, 0, &locator), Some((Code::NeedsAnotherFile, "metadata table")));
    assert_eq!(entry(2, 0, &LOG_NAME.to_bytes_le()), Some((Code::Unsupported, "metadata table")));
    assert_eq!(
        entry(2, 0, &ITEMS[0].0.to_bytes_le()),
        Some((Code::BadTable, "metadata table")),
        "another length"
    );
    assert_eq!(entry(0, 16, &u32::MAX.to_le_bytes()), Some((Code::BadTable, "metadata table")));
    let fewer = |image: &mut Vec<u8>| put(image, METADATA_AT + 10, &1_u16.to_le_bytes());
    assert_eq!(fault(fewer), Some((Code::BadField, "logical sector size")));
}

#[test]
fn blocks_in_no_known_state_or_place_are_refused() {
    let block = |entry: u64| fault(|image| set_block(image, 0, entry));
    assert_eq!(block(DATA_AT as u64 | 7), Some((Code::NeedsAnotherFile, "block allocation table")));
    for state in [4, 5] {
        assert_eq!(block(DATA_AT as u64 | state), Some((Code::BadTable, "block allocation table")));
    }
    assert_eq!(block(PRESENT), Some((Code::BadTable, "block allocation table")), "in the header");
    assert_eq!(block(1 << 40 | PRESENT), Some((Code::CutShort, "block allocation table")));
    for state in [0, 1, 2, 3] {
        assert_eq!(block(state), None, "{state}");
    }
    let large = |image: &mut Vec<u8>| set_item(image, 1, 0, &(1_u64 << 40).to_le_bytes());
    assert_eq!(fault(large), Some((Code::BadTable, "block allocation table")), "too small for the disk");
}

/// A log entry that writes `sectors` and zeros `ranges`.
fn log_entry(sequence: u64, tail: usize, sectors: &[(usize, Vec<u8>)], zeros: &[(usize, usize)]) -> Vec<u8> {
    let mut entry = vec![0; 4096];
    put(&mut entry, 0, b"loge");
    put(&mut entry, 12, &(tail as u32).to_le_bytes());
    put(&mut entry, 16, &sequence.to_le_bytes());
    put(&mut entry, 24, &((sectors.len() + zeros.len()) as u32).to_le_bytes());
    put(&mut entry, 32, &LOG_NAME.to_bytes_le());
    let size = (DATA_AT + 2 * M) as u64;
    put(&mut entry, 48, &size.to_le_bytes());
    put(&mut entry, 56, &size.to_le_bytes());
    for (number, (at, data)) in sectors.iter().enumerate() {
        let descriptor = 64 + number * 32;
        put(&mut entry, descriptor, b"desc");
        put(&mut entry, descriptor + 4, &data[4092..]);
        put(&mut entry, descriptor + 8, &data[..8]);
        put(&mut entry, descriptor + 16, &(*at as u64).to_le_bytes());
        put(&mut entry, descriptor + 24, &sequence.to_le_bytes());
        let mut sector = data.clone();
        put(&mut sector, 0, b"data");
        put(&mut sector, 4, &((sequence >> 32) as u32).to_le_bytes());
        put(&mut sector, 4092, &(sequence as u32).to_le_bytes());
        entry.extend(sector);
    }
    for (number, (at, bytes)) in zeros.iter().enumerate() {
        let descriptor = 64 + (sectors.len() + number) * 32;
        put(&mut entry, descriptor, b"zero");
        put(&mut entry, descriptor + 8, &(*bytes as u64).to_le_bytes());
        put(&mut entry, descriptor + 16, &(*at as u64).to_le_bytes());
        put(&mut entry, descriptor + 24, &sequence.to_le_bytes());
    }
    let length = entry.len() as u32;
    put(&mut entry, 8, &length.to_le_bytes());
    sealed(&mut entry);
    entry
}

/// The image with these entries in its log, each at its place, and a header that says that they count.
fn logged(entries: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let (mut image, _) = good();
    put(&mut image, HEADERS_AT[0], &header_of(9, LOG_NAME));
    for (at, entry) in entries {
        let first = entry.len().min(M - at);
        put(&mut image, LOG_AT + at, &entry[..first]);
        put(&mut image, LOG_AT, &entry[first..]);
    }
    image
}

/// The table's first sector, with the hole made the same data as the first block, and that one a hole.
fn swapped() -> Vec<u8> {
    let mut table = good().0[BAT_AT..BAT_AT + 4096].to_vec();
    put(&mut table, 0, &0_u64.to_le_bytes());
    put(&mut table, 8, &(DATA_AT as u64 | PRESENT).to_le_bytes());
    table
}

#[test]
fn a_log_is_replayed_before_anything_else_is_read() {
    let (_, disk) = good();
    let image = logged(&[(0, log_entry(5, 0, &[(BAT_AT, swapped())], &[(DATA_AT, 8192)]))]);
    let words = |image: Vec<u8>| {
        let notes = Vhdx::open(image, &Budgets::default()).unwrap().notes();
        notes.iter().map(|note| note.code.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((words(image.clone()), words(good().0)), (vec!["log-replayed"], vec![]));
    let found = read(image.clone()).unwrap();
    assert!(found[..BLOCK].iter().all(|byte| *byte == 0), "the first block is a hole now");
    let moved = &found[BLOCK..2 * BLOCK];
    assert!(moved[..8192].iter().all(|byte| *byte == 0) && moved[8192..] == disk[8192..BLOCK]);
    // Nothing of it is in the file.
    assert!(image[DATA_AT..DATA_AT + 8192] == disk[..8192]);
}

#[test]
fn the_newest_whole_sequence_counts_and_a_torn_entry_does_not() {
    let fill = |byte: u8| (DATA_AT, vec![byte; 4096]);
    let old = log_entry(3, 16384, &[fill(1)], &[]);
    let first = log_entry(7, 0, &[fill(2)], &[]);
    let second = log_entry(8, 0, &[fill(3)], &[]);
    let mut torn = log_entry(9, 0, &[fill(4)], &[]);
    torn[5000] ^= 1;
    let places = [(16384, old.clone()), (0, first.clone()), (8192, second.clone()), (24576, torn.clone())];
    let byte_of = |entries: &[(usize, Vec<u8>)]| read(logged(entries)).map(|disk| disk[100]).ok();
    assert_eq!(byte_of(&places[..1]), Some(1));
    assert_eq!(byte_of(&places[..3]), Some(3));
    // In its place it would go on the sequence.
    let next = 16384;
    assert_eq!(byte_of(&[(0, first.clone()), (8192, second.clone()), (next, torn)]), Some(3));
    let mut inside = first;
    inside[5000] ^= 1;
    assert_eq!(byte_of(&[(0, inside), (8192, second)]), None, "what the newest entry belongs with is broken");
}

#[test]
fn a_log_goes_on_at_the_start_of_its_ring() {
    let at = M - 4096;
    let entry = log_entry(5, at, &[(DATA_AT, vec![9; 4096])], &[]);
    assert_eq!(read(logged(&[(at, entry)])).unwrap()[50], 9);
}

#[test]
fn log_entries_that_are_of_no_use_are_refused() {
    let code = |entry: Vec<u8>| match read(logged(&[(0, entry)])) {
        Err(Error::Refused(refusal)) => Some((refusal.code, refusal.field)),
        Err(Error::Source(error)) => panic!("{error}"),
        Ok(_) => None,
    };
    let changed = |at: usize, bytes: &[u8]| {
        let mut entry = log_entry(5, 0, &[(DATA_AT, vec![9; 4096])], &[]);
        put(&mut entry, at, bytes);
        sealed(&mut entry);
        code(entry)
    };
    let entry = |code| Some((code, "log entry"));
    assert_eq!(changed(64, b"desx"), entry(Code::BadField));
    assert_eq!(changed(64 + 24, &[6]), entry(Code::BadField), "of another entry");
    assert_eq!(changed(64 + 16, &[1]), entry(Code::BadField), "off the grid");
    assert_eq!(changed(4096, b"date"), entry(Code::BadField));
    assert_eq!(changed(24, &2_u32.to_le_bytes()), entry(Code::BadField), "fewer sectors than descriptors");
    assert_eq!(changed(24, &u32::MAX.to_le_bytes()), entry(Code::BadField));
    assert_eq!(changed(48, &u64::MAX.to_le_bytes()), entry(Code::CutShort), "the file was longer");
    assert_eq!(changed(32, &[0; 16]), Some((Code::BadField, "log")), "another log's");
    assert_eq!(changed(12, &[0, 16]), Some((Code::BadField, "log")), "its sequence begins elsewhere");
    let far = log_entry(5, 0, &[], &[(1 << 50, 4096)]);
    assert_eq!(code(far), entry(Code::BadField), "past the file's end");
}

#[test]
fn a_log_off_the_grid_or_above_its_budget_is_refused() {
    let header = |at: usize, bytes: &[u8]| {
        let mut header = header_of(9, LOG_NAME);
        put(&mut header, at, bytes);
        sealed(&mut header);
        fault(|image| put(image, HEADERS_AT[0], &header))
    };
    assert_eq!(header(72, &4096_u64.to_le_bytes()), Some((Code::BadField, "log offset")));
    assert_eq!(header(68, &4096_u32.to_le_bytes()), Some((Code::BadField, "log offset")));
    assert_eq!(header(72, &(1_u64 << 40).to_le_bytes()), Some((Code::CutShort, "log offset")));
    assert_eq!(header(64, &[1]), Some((Code::Unsupported, "log version")));
    let budgets = Budgets { log_bytes_max: 4096, ..Budgets::default() };
    let Err(Error::Refused(refusal)) = Vhdx::open(logged(&[]), &budgets) else { panic!("it was read") };
    assert_eq!((refusal.code, refusal.field), (Code::OverBudget, "log"));
}
