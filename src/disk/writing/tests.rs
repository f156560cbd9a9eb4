//! Every form of disks of every shape, read back by the readers, and put together from any ranges.

use proptest::prelude::*;

use super::*;
use crate::disk::fixtures::pattern;
use crate::disk::probe::Format;
use crate::disk::{Budgets, Guest, Place, View, open};

/// A disk, and where its data is.
#[derive(Debug, Clone)]
struct Disk {
    bytes: Vec<u8>,
    data: Vec<(usize, usize)>,
}

impl Disk {
    /// Zeros, with a pattern in these ranges; each third one is zeros that nothing is known of.
    fn new(bytes: usize, data: &[(usize, usize)]) -> Disk {
        let mut disk = Disk { bytes: vec![0; bytes], data: data.to_vec() };
        for (number, (start, end)) in data.iter().enumerate().filter(|(number, _)| number % 3 != 2) {
            let noise = pattern(end - start, number as u64);
            // Some gets smaller when it is packed, some does not.
            match number % 2 {
                0 => disk.bytes[*start..*end].copy_from_slice(&noise),
                _ => disk.bytes[*start..*end].fill(number as u8),
            }
        }
        disk
    }

    fn blocks(&self, form: Form) -> Blocks {
        let bytes = self.bytes.len() as u64;
        let mut blocks = Blocks::new(bytes, form.block_bytes(bytes).unwrap_or(512));
        for (start, end) in &self.data {
            blocks.add(*start as u64..*end as u64);
        }
        blocks
    }

    fn unit(&self, number: u64) -> Vec<u8> {
        let start = (number * UNIT_BYTES) as usize;
        let end = self.bytes.len().min(start + UNIT_BYTES as usize);
        let mut unit = self.bytes[start..end].to_vec();
        unit.resize(UNIT_BYTES as usize, 0);
        unit
    }

    fn sizes(&self, blocks: &Blocks, as_: Packed) -> Sizes {
        let mut sizes = Sizes::default();
        for ordinal in 0..blocks.count() {
            sizes.push(pack(&self.unit(blocks.block(ordinal)), as_).unwrap().len());
        }
        sizes
    }

    fn layout(&self, form: Form) -> Result<Box<dyn Layout>, Unfit> {
        let blocks = self.blocks(form);
        let sizes = match form {
            Form::Qcow2Compressed => Some(self.sizes(&blocks, Packed::Cluster)),
            Form::Vmdk => Some(self.sizes(&blocks, Packed::Grain)),
            _ => None,
        };
        layout(form, blocks, sizes, &names())
    }

    /// The bytes of a range, put together piece by piece.
    fn range(&self, file: &dyn Layout, start: u64, end: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while start + (out.len() as u64) < end {
            let at = start + out.len() as u64;
            let piece = match file.piece_at(at) {
                Piece::Made(bytes) => bytes,
                Piece::Zeros(bytes) => vec![0; bytes.min(end - at) as usize],
                Piece::Guest { at, bytes } => self.bytes[at as usize..(at + bytes) as usize].to_vec(),
                Piece::Packed { unit, as_, packed_bytes, skip } => {
                    let mut packed = pack(&self.unit(unit), as_).unwrap();
                    assert_eq!(packed.len() as u64, packed_bytes);
                    packed.split_off(skip as usize)
                }
            };
            assert!(!piece.is_empty(), "nothing at {at}");
            out.extend(piece);
        }
        out.truncate((end - start) as usize);
        out
    }

    fn file(&self, form: Form) -> Vec<u8> {
        let file = self.layout(form).unwrap();
        self.range(&*file, 0, file.size_bytes())
    }
}

fn names() -> Names {
    Names::new([7; 32])
}

fn format(form: Form) -> Option<Format> {
    match form {
        Form::Raw => None,
        Form::Qcow2 | Form::Qcow2Compressed => Some(Format::Qcow2),
        Form::Vmdk => Some(Format::Vmdk),
        Form::Vhd | Form::VhdFixed => Some(Format::Vhd),
        Form::Vhdx => Some(Format::Vhdx),
        Form::Vdi => Some(Format::Vdi),
    }
}

/// What a reader makes of a file.
fn read(form: Form, file: Vec<u8>) -> Vec<u8> {
    let Some(format) = format(form) else { return file };
    let budgets = Budgets::default();
    let guest = open(format, file, &budgets).unwrap().expect("it is a container");
    let mut disk = vec![0xaa; guest.size_bytes() as usize];
    View::new(guest, &budgets).read_at(0, &mut disk).unwrap();
    disk
}

fn expect_same(form: Form, disk: &Disk) {
    let found = read(form, disk.file(form));
    let mut wanted = disk.bytes.clone();
    if form != Form::Raw {
        wanted.resize(wanted.len().next_multiple_of(512), 0);
    }
    assert!(found == wanted, "{} of {} bytes", form.as_str(), disk.bytes.len());
}

const M: usize = 1 << 20;

fn disks() -> Vec<Disk> {
    vec![
        Disk::new(5 * M, &[(0, 100), (70_000, 300_000), (M, 2 * M), (4 * M + 5, 5 * M - 512)]),
        Disk::new(3 * M + 7 * 512, &[(3 * M, 3 * M + 7 * 512)]),
        Disk::new(M + 100, &[(0, 65_536), (M, M + 100)]),
        Disk::new(512, &[(0, 512)]),
        Disk::new(1, &[(0, 1)]),
        Disk::new(2 * M, &[]),
        // More than one table of grains.
        Disk::new(70 * M, &[(10, 200_000), (40 * M, 40 * M + 9), (69 * M, 70 * M)]),
    ]
}

#[test]
fn each_form_of_each_disk_reads_back_as_the_disk() {
    for disk in disks() {
        Form::ALL.iter().for_each(|form| expect_same(*form, &disk));
    }
}

#[test]
fn an_empty_disk_leaves_in_every_form_that_has_one() {
    let disk = Disk::new(0, &[]);
    for form in Form::ALL.into_iter().filter(|form| *form != Form::Vmdk) {
        expect_same(form, &disk);
    }
    assert!(disk.layout(Form::Vmdk).is_err());
}

#[test]
fn a_vmdk_in_one_pass_is_the_one_whose_lengths_were_known() {
    for disk in disks() {
        let blocks = disk.blocks(Form::Vmdk);
        let (mut stream, mut file) = VmdkStream::begin(&blocks, &names()).unwrap();
        for ordinal in 0..blocks.count() {
            let unit = blocks.block(ordinal);
            file.extend(stream.unit(unit, &pack(&disk.unit(unit), Packed::Grain).unwrap()).unwrap());
        }
        file.extend(stream.finish());
        assert!(file == disk.file(Form::Vmdk), "{} bytes", disk.bytes.len());
    }
}

#[test]
fn units_of_zeros_take_no_place_in_compressed_forms() {
    let disk = Disk::new(4 * M, &[(0, 1), (9, 10), (10, 4 * M)]);
    for (form, most) in [(Form::Qcow2Compressed, 6 * 65_536), (Form::Vmdk, 72_000)] {
        assert!(disk.file(form).len() <= most, "{}", form.as_str());
        expect_same(form, &disk);
    }
}

/// Terabytes that hold a little: nothing of the layout may grow with the disk.
#[test]
fn a_large_sparse_disk_has_a_small_layout() {
    const T: u64 = 1 << 40;
    for (form, bytes) in [
        (Form::Qcow2, 60 * T),
        (Form::Vhd, 2040 << 30),
        (Form::Vhdx, 60 * T),
        (Form::Vdi, 60 * T),
        (Form::VhdFixed, 2 * T - (10 << 30)),
        (Form::Raw, 60 * T),
    ] {
        let mut blocks = Blocks::new(bytes, form.block_bytes(bytes).unwrap_or(512));
        for at in [0, bytes / 2, bytes - 512] {
            blocks.add(at..at + 512);
        }
        let made = layout(form, blocks, None, &names()).unwrap();
        assert!(made.kept_bytes() < 4096, "{}", form.as_str());
        let after = if form.disk_format() == "vhd" { 512 } else { 0 };
        let last = made.piece_at(made.size_bytes() - after - 1);
        assert_eq!(last, Piece::Guest { at: bytes - 1, bytes: 1 }, "{}", form.as_str());
    }
    let mut large = Blocks::new(3 * T, 2 << 20);
    large.add(0..512);
    for form in [Form::Vhd, Form::VhdFixed] {
        let refused = layout(form, large.clone(), None, &names()).err().unwrap().to_string();
        assert!(refused.contains("2040 GiB"), "{refused}");
    }
}

/// Whoever changes this changed what clients have half of: count [`VERSION`] up.
#[test]
fn the_bytes_of_a_disk_never_change() {
    let disk = Disk::new(3 * M + 512, &[(0, 100_000), (M, M + 70_000), (2 * M, 3 * M), (3 * M, 3 * M + 512)]);
    let sums: Vec<String> = Form::ALL
        .iter()
        .map(|form| format!("{} {}", form.as_str(), &blake3::hash(&disk.file(*form)).to_hex()[..16]))
        .collect();
    assert_eq!((VERSION, sums), (1, GOLDEN.map(str::to_owned).to_vec()));
}

const GOLDEN: [&str; 8] = [
    "raw 45954a6730090d80",
    "qcow2 fe28d8caceccf570",
    "qcow2-compressed 36c83824b621e8e7",
    "vmdk b359a24e35d63961",
    "vhd 15fb644f362277ed",
    "vhd-fixed 368ac82028b3a2bc",
    "vhdx 1b4925302343f18f",
    "vdi cb75af2ac90df440",
];

/// A disk of any size with data anywhere.
fn any_disk() -> impl Strategy<Value = Disk> {
    (1..3_000_000_usize, prop::collection::btree_set(0..3_000_000_usize, 0..24)).prop_map(|(bytes, cuts)| {
        let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes).collect();
        let data: Vec<_> = cuts.chunks_exact(2).map(|cut| (cut[0], cut[1])).collect();
        Disk::new(bytes, &data)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_is_that_part_of_the_whole(
        disk in any_disk(),
        form in prop::sample::select(Form::ALL.to_vec()),
        cuts in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64), 6),
    ) {
        let file = disk.layout(form).unwrap();
        let size = file.size_bytes();
        let whole = disk.range(&*file, 0, size);
        prop_assert_eq!(whole.len() as u64, size);
        for (one, other) in cuts {
            let [a, b] = [one, other].map(|part| (size as f64 * part) as u64);
            let (start, end) = (a.min(b), a.max(b));
            prop_assert!(disk.range(&*file, start, end) == whole[start as usize..end as usize]);
        }
        expect_same(form, &disk);
    }

    /// Reading what lies there whole cannot tell a hole from zeros: what is known to be zeros is not in the file.
    #[test]
    fn what_is_known_to_be_zeros_is_no_data_of_the_file(disk in any_disk()) {
        let blocks = disk.blocks(Form::Qcow2);
        let guest = open(Format::Qcow2, disk.file(Form::Qcow2), &Budgets::default()).unwrap().unwrap();
        let (mut at, mut there) = (0, 0);
        while at < guest.size_bytes() {
            let run = guest.run_at(at, u64::MAX).unwrap();
            there += if run.place == Place::Zeros { 0 } else { run.bytes.div_ceil(UNIT_BYTES) };
            at += run.bytes;
        }
        prop_assert_eq!(there, blocks.count());
    }
}
