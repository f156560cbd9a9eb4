//! What both cutters promise: nothing lost, no matter how the bytes arrive, and cuts that hold.

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Eq, Clone)]
enum Kept {
    Zeros(u64),
    Chunk(Vec<u8>),
}

impl Kept {
    fn len(&self) -> u64 {
        match self {
            Kept::Zeros(length) => *length,
            Kept::Chunk(bytes) => bytes.len() as u64,
        }
    }
}

fn cut_in_parts<'a>(params: CutterParams, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut keep = |piece: Piece<'_>| {
        kept.push(match piece {
            Piece::Zeros(length) => Kept::Zeros(length),
            Piece::Chunk(bytes) => Kept::Chunk(bytes.to_vec()),
        });
    };
    let mut cutter = Cutter::new(params);
    for part in parts {
        cutter.push(part, &mut keep);
    }
    cutter.finish(&mut keep);
    kept
}

fn cut(params: CutterParams, data: &[u8]) -> Vec<Kept> {
    cut_in_parts(params, [data])
}

fn lengths(pieces: &[Kept]) -> Vec<i64> {
    let sign = |piece: &Kept| if matches!(piece, Kept::Zeros(_)) { -1 } else { 1 };
    pieces.iter().map(|piece| sign(piece) * piece.len() as i64).collect()
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let seed = blake3::hash(&seed.to_le_bytes());
    blake3::Hasher::new_keyed(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// One block that ends no chunk by itself.
fn plain_block(seed: u64) -> Vec<u8> {
    let is_plain =
        |block: &Vec<u8>| !xxhash_rust::xxh3::xxh3_64(block).is_multiple_of(8) && !ends_in_zeros(block);
    (seed * 1000..).map(|s| noise(s, BLOCK)).find(is_plain).unwrap()
}

/// One block that ends a file.
fn last_block(seed: u64) -> Vec<u8> {
    let mut block = noise(seed, BLOCK);
    block[BLOCK - 16..].fill(0);
    block
}

const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A disk-like stream: runs of noise, file ends and zero blocks, and a tail of any length.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let run = (0..5u8, 1..90usize, any::<u64>()).prop_map(|(kind, length, seed)| match kind {
        0 => vec![0; (length % 24) * BLOCK],
        1 => noise(seed, length * BLOCK),
        2 => (0..length as u64 % 24).flat_map(|n| last_block(seed ^ n)).collect(),
        3 => (0..length as u64 % 24).flat_map(|n| [last_block(seed ^ n), ZEROS.to_vec()].concat()).collect(),
        _ => [noise(seed, length * 7), vec![0; length * 911]].concat(),
    });
    (prop::collection::vec(run, 0..10), 0..BLOCK, any::<bool>()).prop_map(|(runs, tail, zero)| {
        let tail = if zero { vec![0; tail] } else { noise(7, tail) };
        [runs.concat(), tail].concat()
    })
}

fn params() -> impl Strategy<Value = CutterParams> {
    prop_oneof![
        Just(CutterParams::content()),
        Just(CutterParams::grid(0)),
        (0..BLOCK as u32).prop_map(CutterParams::grid),
        (0..300_000_u32).prop_map(CutterParams::blocks),
    ]
}

fn split_at_random<'d>(data: &'d [u8], steps: &[usize]) -> Vec<&'d [u8]> {
    let (mut rest, mut parts) = (data, Vec::new());
    for step in steps.iter().cycle() {
        if rest.is_empty() {
            return parts;
        }
        let (part, later) = rest.split_at((*step).min(rest.len()));
        parts.push(part);
        rest = later;
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_pieces_are_the_stream(data in streams(), params in params()) {
        let mut whole = Vec::new();
        let mut after_zeros = false;
        for piece in cut(params, &data) {
            prop_assert!(piece.len() > 0);
            match piece {
                Kept::Zeros(length) => {
                    prop_assert!(!after_zeros, "two holes in a row");
                    whole.resize(whole.len() + length as usize, 0);
                    after_zeros = true;
                }
                Kept::Chunk(bytes) => {
                    prop_assert!(bytes.len() <= params.max_bytes as usize);
                    whole.extend(bytes);
                    after_zeros = false;
                }
            }
        }
        prop_assert!(whole == data);
    }

    #[test]
    fn cuts_do_not_depend_on_how_bytes_arrive(
        data in streams(),
        params in params(),
        steps in prop::collection::vec(prop_oneof![1..300usize, 4000..4200usize, 1..400_000usize], 1..8),
    ) {
        prop_assert!(cut_in_parts(params, split_at_random(&data, &steps)) == cut(params, &data));
    }

    #[test]
    fn a_cutter_put_down_and_taken_up_cuts_as_if_nothing_had_been(
        data in streams(),
        params in params(),
        steps in prop::collection::vec(1..200_000usize, 1..6),
    ) {
        let mut kept = Vec::new();
        let mut keep = |piece: Piece<'_>| {
            kept.push(match piece {
                Piece::Zeros(length) => Kept::Zeros(length),
                Piece::Chunk(bytes) => Kept::Chunk(bytes.to_vec()),
            });
        };
        let (mut cutter, mut at) = (Cutter::new(params), 0);
        for part in split_at_random(&data, &steps) {
            cutter.push(part, &mut keep);
            at += part.len();
            let (state, held_back) = cutter.state();
            let held_back = data[at - held_back..at].to_vec();
            cutter = Cutter::resume(params, &state, held_back).unwrap();
        }
        cutter.finish(&mut keep);
        prop_assert_eq!(kept, cut(params, &data));
    }

    #[test]
    fn no_stream_has_more_than_a_piece_per_6_kib(data in streams(), phase in 0..BLOCK as u32) {
        let pieces = cut(CutterParams::grid(phase), &data).len() as u64;
        prop_assert!(pieces <= data.len() as u64 / (6 * 1024) + 10);
    }
}

#[test]
fn a_byte_at_a_time_is_cut_as_in_one_go() {
    let data = [noise(1, 70_000), vec![0; 70_000], last_block(2), noise(3, 5000)].concat();
    for params in [CutterParams::grid(0), CutterParams::grid(512), CutterParams::content()] {
        assert_eq!(lengths(&cut_in_parts(params, data.chunks(1))), lengths(&cut(params, &data)));
    }
}

#[test]
fn a_chunk_ends_with_its_file_and_before_a_hole() {
    let file = [plain_block(1), last_block(2)].concat();
    let data = [&file[..], &plain_block(3), &ZEROS, &ZEROS, &file, &[0; 100]].concat();
    assert_eq!(lengths(&cut(CutterParams::grid(0), &data)), [8192, 4096, -8192, 8192, -100]);
}

#[test]
fn a_short_tail_belongs_to_the_last_chunk() {
    let data = [plain_block(1), vec![5; 10]].concat();
    assert_eq!(lengths(&cut(CutterParams::grid(0), &data)), [4106]);
    assert_eq!(lengths(&cut(CutterParams::grid(0), &[5; 10])), [10]);
}

#[test]
fn a_chunk_without_an_end_is_cut_at_the_longest() {
    let data = plain_block(1).repeat(100);
    assert_eq!(lengths(&cut(CutterParams::grid(0), &data)), [262_144, 147_456]);
}

#[test]
fn the_bytes_before_the_grid_stand_alone() {
    let disk = [plain_block(1), last_block(2), plain_block(3)].concat();
    let shifted = [&[1; 512], &disk[..]].concat();
    assert_eq!(lengths(&cut(CutterParams::grid(512), &shifted)), [512, 8192, 4096]);
    let shifted = [&[0; 512], &ZEROS[..], &disk].concat();
    assert_eq!(lengths(&cut(CutterParams::grid(512), &shifted)), [-4608, 8192, 4096]);
    assert_eq!(lengths(&cut(CutterParams::grid(512), &[1; 100])), [100]);
}

#[test]
fn sixteen_tiny_pieces_raise_the_minimum_until_a_longer_file() {
    let tiny: Vec<u8> = (0..24).flat_map(last_block).collect();
    let long = [plain_block(1).repeat(5), last_block(99)].concat();
    let data = [&tiny[..], &long, &tiny[..4 * BLOCK]].concat();
    let mut expected = vec![4096; 16];
    expected.extend([16384, 16384, 24576, 4096, 4096, 4096, 4096]);
    assert_eq!(lengths(&cut(CutterParams::grid(0), &data)), expected);
}

#[test]
fn under_the_raised_minimum_short_zero_runs_are_data() {
    let tiny: Vec<u8> = (0..16).flat_map(last_block).collect();
    let short_runs =
        [plain_block(1), ZEROS.repeat(3), plain_block(2), ZEROS.repeat(4), plain_block(3)].concat();
    let data = [tiny, short_runs].concat();
    let pieces = lengths(&cut(CutterParams::grid(0), &data));
    assert_eq!(pieces[16..], [20480, -16384, 4096]);
}

#[test]
fn an_insertion_before_it_leaves_a_file_system_cut_as_before() {
    let files: Vec<u8> = (0..40).flat_map(|n| [noise(n, 9 * BLOCK), last_block(n)].concat()).collect();
    let moved = [noise(500, 3 * BLOCK), files.clone()].concat();
    let (old, new) = (cut(CutterParams::grid(0), &files), cut(CutterParams::grid(0), &moved));
    let same = old.iter().filter(|piece| new.contains(piece)).count();
    assert!(same + 1 >= old.len(), "{same} of {}", old.len());
}

#[test]
fn long_zero_runs_are_holes_for_the_content_cutter_too() {
    let data = [noise(1, 5000), vec![0; 16 * BLOCK + 4000], noise(2, 30_000)].concat();
    let pieces = cut(CutterParams::content(), &data);
    // The run is cut on the stream's grid: what is zero before and behind it stays data.
    assert!(lengths(&pieces).contains(&-(16 * BLOCK as i64)), "{:?}", lengths(&pieces));
}

#[test]
fn grid_cuts_are_golden() {
    let data = [noise(42, 1 << 20), last_block(1).repeat(20), vec![0; 9 * BLOCK], noise(43, 70_001)].concat();
    let golden = [
        77824, 12288, 8192, 98304, 36864, 12288, 65536, 90112, 69632, 110592, 90112, 94208, 86016, 94208,
        106496, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096,
        4096, 12288, -36864, 4096, 65905,
    ];
    assert_eq!(lengths(&cut(CutterParams::grid(0), &data)), golden);
}

#[test]
fn content_cuts_are_golden() {
    let golden = [89640, 97646, 67982, 97949, 88098, 72414, 161329, 84206, 72788, 66940, 87428, 42021, 20135];
    assert_eq!(lengths(&cut(CutterParams::content(), &noise(42, 1 << 20))), golden);
}

#[test]
fn params_are_recorded_in_a_golden_form() {
    let text = serde_json::to_string(&CutterParams::grid(512)).unwrap();
    let golden = r#"{"id":1,"min_bytes":4096,"avg_bytes":65536,"max_bytes":262144,"phase":512}"#;
    assert_eq!(text, golden);
}

/// The blocks of a dynamic VHD that holds this disk, behind a head of 2560 bytes.
fn in_vhd(disk: &[u8]) -> Vec<u8> {
    let blocks = disk.chunks(2 << 20).flat_map(|data| [&[0xff; 512], data].concat());
    [vec![3; 2560], blocks.collect()].concat()
}

#[test]
fn p4_blocks_of_a_vhd_share_their_chunks_with_the_disk() {
    let file = |n: u64| [noise(n, (n as usize % 20 + 1) * BLOCK), last_block(n)].concat();
    let disk: Vec<u8> = (0..160).flat_map(file).take(3 * (2 << 20)).collect();
    let (raw, vhd) = (cut(CutterParams::grid(0), &disk), cut(CutterParams::blocks(2560), &in_vhd(&disk)));
    let new: u64 = vhd.iter().filter(|piece| !raw.contains(piece)).map(Kept::len).sum();
    // The head, three bitmaps, and what the ends of blocks cut in two.
    assert!(new < 2560 + 3 * 512 + 4 * 65_536 * 2, "{new} of {}", disk.len());
    let shifted = cut(CutterParams::grid(3072), &in_vhd(&disk));
    let unaware: u64 = shifted.iter().filter(|piece| !raw.contains(piece)).map(Kept::len).sum();
    assert!(unaware > 2 * new, "{unaware}: blocks need no cutter of their own");
}

#[test]
fn block_cuts_are_golden() {
    let disk = [noise(42, 2 << 20), vec![0; 1 << 20], noise(43, 70_001)].concat();
    let pieces = lengths(&cut(CutterParams::blocks(2560), &in_vhd(&disk)));
    let bitmaps: Vec<_> = pieces.iter().enumerate().filter(|(_, length)| **length == 512).collect();
    assert_eq!(bitmaps.len(), 2);
    assert_eq!((pieces[0], pieces[1], pieces[2]), (2560, 512, 77_824));
    assert_eq!(pieces.iter().rev().take(3).rev().copied().collect::<Vec<_>>(), [-1_048_576, 4096, 65_905]);
}

mod choosing {
    use super::*;

    fn with(length: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; length];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn packed_streams_are_cut_by_content() {
        let magics: [(usize, &[u8]); 6] = [
            (0, b"\x1f\x8b\x08"),
            (0, b"\xfd7zXZ\0"),
            (0, b"\x28\xb5\x2f\xfd"),
            (0, b"BZh9"),
            (0, b"PK\x03\x04"),
            (257, b"ustar"),
        ];
        for magic in magics {
            assert_eq!(choose(&with(8192, &[magic])), CutterParams::content(), "{magic:?}");
        }
    }

    #[test]
    fn disks_are_cut_on_their_grid() {
        assert_eq!(choose(&[]), CutterParams::grid(0));
        assert_eq!(choose(&vec![0; 1 << 20]), CutterParams::grid(0));
        assert_eq!(choose(&with(1 << 20, &[(0, b"QFI\xfb\0\0\0\x03")])), CutterParams::grid(0));
    }

    #[test]
    fn compressed_clusters_and_unknown_noise_are_cut_by_content() {
        let mut head = noise(1, 1 << 20);
        assert_eq!(choose(&head), CutterParams::content());
        head[..4].copy_from_slice(b"QFI\xfb");
        assert_eq!(choose(&head), CutterParams::content());
        head[510..512].copy_from_slice(b"\x55\xaa");
        assert_eq!(choose(&head), CutterParams::content(), "a compressed qcow2 is no boot sector");
    }

    #[test]
    fn an_encrypted_disk_with_a_boot_sector_keeps_its_grid() {
        let mut head = noise(1, 1 << 20);
        head[510..512].copy_from_slice(b"\x55\xaa");
        assert_eq!(choose(&head), CutterParams::grid(0));
    }

    #[test]
    fn a_vdi_says_where_its_grid_starts() {
        let head = with(8192, &[(0x40, b"\x7f\x10\xda\xbe"), (0x158, &0x0010_0200u32.to_le_bytes())]);
        assert_eq!(choose(&head), CutterParams::grid(512));
        assert_eq!(choose(&head[..0x100]), CutterParams::grid(0));
    }

    #[test]
    fn grains_of_a_vmdk_have_a_grid_unless_they_are_compressed() {
        let vmdk =
            |flags: u32| with(8192, &[(0, b"KDMV"), (8, &flags.to_le_bytes()), (64, &129_u64.to_le_bytes())]);
        assert_eq!(choose(&vmdk(3)), CutterParams::grid(512));
        assert_eq!(choose(&vmdk(0x3_0001)), CutterParams::content());
        assert_eq!(choose(b"KDMV"), CutterParams::content());
    }

    /// A dynamic VHD whose blocks begin at these sectors.
    fn vhd(block_bytes: u32, sectors: [u32; 2]) -> Vec<u8> {
        with(
            8192,
            &[
                (0, b"conectix"),
                (16, &512u64.to_be_bytes()),
                (512, b"cxsparse"),
                (512 + 16, &1536u64.to_be_bytes()),
                (512 + 28, &3u32.to_be_bytes()),
                (512 + 32, &block_bytes.to_be_bytes()),
                (1536, &[0xff; 4]),
                (1540, &sectors[0].to_be_bytes()),
                (1544, &sectors[1].to_be_bytes()),
            ],
        )
    }

    #[test]
    fn a_dynamic_vhd_is_cut_block_by_block_where_they_follow_each_other() {
        let head = vhd(2 << 20, [4101, 4]);
        assert_eq!(choose(&head), CutterParams::blocks(4 * 512));
        assert_eq!(choose(&head[..600]), CutterParams::grid(0));
    }

    #[test]
    fn a_dynamic_vhd_with_gaps_has_the_phase_of_its_first_block() {
        assert_eq!(choose(&vhd(2 << 20, [4, 4104])), CutterParams::grid(4 * 512 + 512));
        assert_eq!(choose(&vhd(1 << 20, [4, 4101])), CutterParams::grid(4 * 512 + 512));
    }

    #[test]
    fn hostile_headers_are_survived() {
        let at_the_end = u64::MAX.to_be_bytes();
        assert_eq!(choose(&with(600, &[(0, b"conectix"), (16, &at_the_end)])), CutterParams::grid(0));
        let loop_back = with(
            1024,
            &[
                (0, b"conectix"),
                (16, &512u64.to_be_bytes()),
                (512, b"cxsparse"),
                (528, &at_the_end),
                (544, &[0xff; 4]),
            ],
        );
        assert_eq!(choose(&loop_back), CutterParams::grid(0));
    }
}
