//! Overlays beside a plain array of bytes: they read alike after any writes, and hold no more than they may.

use proptest::prelude::*;

use super::super::testing::Plain;
use super::*;

/// Not a whole number of blocks.
const SIZE: usize = 70_001;

fn base() -> Plain {
    Plain::new((0..SIZE).map(|at| if at / 10_000 % 2 == 0 { (at % 251) as u8 } else { 0 }).collect(), false)
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Zero(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = (0..SIZE, prop_oneof![1usize..600, 1usize..20_000, Just(SIZE)]);
    let range = range
        .prop_map(|(at, bytes)| (at / 64 * 64, bytes))
        .prop_map(|(at, bytes)| (at, bytes.min(SIZE - at)));
    let step =
        (range, any::<u8>(), any::<bool>()).prop_map(|((at, bytes), value, is_write)| match is_write {
            true => Step::Write(at, bytes, value),
            false => Step::Zero(at, bytes),
        });
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #[test]
    fn an_overlay_reads_as_what_was_written_over_the_disk(
        steps in steps(),
        room_bytes in prop_oneof![Just(1 << 20), 0..12 * BLOCK_COST],
    ) {
        let room = Overlays::new(room_bytes, room_bytes);
        let overlay = Overlay::new(base(), room.clone());
        let mut expected = base().bytes();
        for step in steps {
            let (done, at, bytes, value) = match step {
                Step::Write(at, bytes, value) => {
                    (overlay.write_at(at as u64, &vec![value; bytes]), at, bytes, value)
                }
                Step::Zero(at, bytes) => (overlay.zero(at as u64, bytes as u64), at, bytes, 0),
            };
            match done {
                Ok(()) => expected[at..at + bytes].fill(value),
                Err(refused) => {
                    prop_assert!(refused == Errno::NoSpace && room_bytes < 1 << 20, "{refused:?}");
                }
            }
            let written = overlay.read();
            prop_assert!(written.held <= room_bytes);
            prop_assert_eq!(written.held, written.cost());
            prop_assert_eq!(room.held.load(Ordering::Relaxed), written.held);
            let ranges: Vec<(u64, u64)> = written.zeros.iter().map(|(from, to)| (*from, *to)).collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
            prop_assert!(ranges.iter().all(|(from, to)| written.data.range(from..to).next().is_none()));
        }
        let mut read = vec![1; SIZE];
        overlay.read_at(0, &mut read).unwrap();
        prop_assert!(read == expected);
        let mut at = 0;
        while at < SIZE {
            let extent = overlay.extent_at(at as u64).unwrap();
            let end = at + extent.bytes as usize;
            prop_assert!(extent.bytes > 0 && end <= SIZE);
            prop_assert!(!extent.is_zero || expected[at..end].iter().all(|byte| *byte == 0));
            at = end;
        }
        drop(overlay);
        prop_assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn zeros_take_room_where_they_need_some_alone() {
    let most = 2 * BLOCK_COST + RANGE_COST;
    let one = Overlay::new(base(), Overlays::new(most, most));
    let read = |at: u64| {
        let mut read = [0];
        one.read_at(at, &mut read).unwrap();
        read[0]
    };
    one.write_at(0, &[1; 2 * 4096]).unwrap();
    // Parts of blocks that are there, also beside each other.
    one.zero(100, 50).unwrap();
    one.zero(4000, 200).unwrap();
    assert_eq!([99, 100, 149, 150, 3999, 4000, 4199, 4200].map(read), [1, 0, 0, 1, 1, 0, 0, 1]);
    // A block of data becomes a range, and is room for one more block.
    one.zero(0, 4096).unwrap();
    one.zero(8192, 10).unwrap();
    one.write_at(4200, &[2; 3 * 1000]).unwrap();
    let before = [20_480, 30_719, 8202].map(read);
    assert_eq!(one.zero(20_480, 4096), Err(Errno::NoSpace));
    assert_eq!(one.zero(30_000, 700), Err(Errno::NoSpace));
    assert_eq!([20_480, 30_719, 8202].map(read), before);
    // Zeros that are there, and what makes them longer.
    one.zero(50, 200).unwrap();
    one.zero(4096, 4096).unwrap();
    assert_eq!([0, 5000, 8191, 8192].map(read), [0; 4]);
    assert_eq!(one.read().held, BLOCK_COST + RANGE_COST);
}

#[test]
fn a_write_without_room_changes_nothing() {
    let room = Overlays::new(4 * BLOCK_COST, 6 * BLOCK_COST);
    let (one, other) = (Overlay::new(base(), room.clone()), Overlay::new(base(), room));
    one.write_at(0, &[1; 3 * 4096]).unwrap();
    assert_eq!(one.write_at(8192, &[2; 3 * 4096]), Err(Errno::NoSpace));
    let mut read = vec![0; 4096];
    one.read_at(8192, &mut read).unwrap();
    assert_eq!(read, vec![1; 4096]);
    // What is there can be written over.
    one.write_at(0, &[3; 3 * 4096]).unwrap();
    // Others have what is left of all.
    other.write_at(0, &[1; 2 * 4096]).unwrap();
    assert_eq!(other.write_at(8192, &[1; 4096]), Err(Errno::NoSpace));
    drop(one);
    other.write_at(8192, &[1; 4096]).unwrap();
}
