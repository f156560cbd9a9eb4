//! A stream's extents with other copies of some chunks. Pure.
//!
//! Invariants: the bytes stay the same ones in the same order; a stream is never read in shorter
//! pieces than its bound says, unless it was before.

use super::super::manifest::{Extent, push_run, push_zeros};
use super::stretches::{Place, Stretches};

/// No stream is given runs that are shorter than this on average: a reader fetches 128 KiB at least for
/// each, so that it never reads more than half as much again for nothing. What uploads
/// themselves weave of real disks is about as fine.
const RUN_BYTES_MEAN_MIN: u64 = 256 << 10;
/// A small stream may have so many runs all the same.
const RUNS_FREE: usize = 16;
/// Stretches a stream is given, tried one after the other until its bound holds: all, and from so
/// many bytes on.
const STRETCH_BYTES_TRIED: [u64; 4] = [0, 64 << 10, 256 << 10, 1 << 20];

/// What came of it.
pub enum Woven {
    /// The stream has none of these chunks.
    Untouched,
    /// It would fall into too many pieces.
    TooFine,
    /// Its new extents.
    Extents(Vec<Extent>),
}

/// Gives a stream the copies that stay, where its bound lets that be. `length` tells how long some
/// chunks are together.
///
/// # Errors
/// What `length` says.
pub fn weave<E>(
    extents: &[Extent],
    stretches: &Stretches,
    length: &mut dyn FnMut(Place, u32) -> Result<u64, E>,
) -> Result<Woven, E> {
    let is_touched = |extent: &Extent| match *extent {
        Extent::Run { pack, first, count, .. } => stretches.over((pack, first), count).next().is_some(),
        Extent::Zeros { .. } => false,
    };
    if !extents.iter().any(is_touched) {
        return Ok(Woven::Untouched);
    }
    let most = most(extents);
    for bytes_min in STRETCH_BYTES_TRIED {
        let woven = replaced(extents, stretches, bytes_min, length)?;
        if woven == extents {
            break;
        }
        if woven.len() <= most {
            return Ok(Woven::Extents(woven));
        }
    }
    Ok(Woven::TooFine)
}

/// The most extents that this stream may have.
fn most(extents: &[Extent]) -> usize {
    let data = extents.iter().filter(|extent| matches!(extent, Extent::Run { .. }));
    let runs = data.map(Extent::bytes).sum::<u64>() / RUN_BYTES_MEAN_MIN;
    usize::try_from(runs).unwrap_or(usize::MAX).saturating_add(RUNS_FREE).max(extents.len())
}

fn replaced<E>(
    extents: &[Extent],
    stretches: &Stretches,
    bytes_min: u64,
    length: &mut dyn FnMut(Place, u32) -> Result<u64, E>,
) -> Result<Vec<Extent>, E> {
    let mut woven = Vec::with_capacity(extents.len());
    for extent in extents {
        let Extent::Run { bytes, pack, first, count } = *extent else {
            push_zeros(&mut woven, extent.bytes());
            continue;
        };
        let (mut at, mut rest, end) = (first, bytes, first.saturating_add(count));
        let mut push = |at: &mut u32, until: u32, named: Place| {
            let count = until - *at;
            // What is left is the last piece's: the sum stays what it was.
            let piece = if until == end { rest } else { length((pack, *at), count)?.min(rest) };
            rest -= piece;
            *at = until;
            push_run(&mut woven, named, count, piece);
            Ok(())
        };
        for stretch in stretches.over((pack, first), count).filter(|stretch| stretch.bytes >= bytes_min) {
            let (from, until) = (stretch.goes.1.max(at), stretch.end().min(end));
            if from > at {
                let unchanged = (pack, at);
                push(&mut at, from, unchanged)?;
            }
            let (stays, skipped) = (stretch.stays, from - stretch.goes.1);
            push(&mut at, until, (stays.0, stays.1 + skipped))?;
        }
        if at < end {
            let unchanged = (pack, at);
            push(&mut at, end, unchanged)?;
        }
    }
    Ok(woven)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::stretches::Twin;
    use super::*;

    /// Chunks of this length everywhere.
    const BYTES: u64 = 20_000;

    fn run(pack: u64, first: u32, count: u32) -> Extent {
        Extent::Run { bytes: u64::from(count) * BYTES, pack, first, count }
    }

    fn woven(extents: &[Extent], stretches: &Stretches) -> Woven {
        weave(extents, stretches, &mut |_, count| Ok::<_, ()>(u64::from(count) * BYTES)).unwrap()
    }

    fn stretches(of: &[(Place, Place, u32)]) -> Stretches {
        let mut stretches = Stretches::default();
        for ((pack, first), (other, from), count) in of {
            let twin = |n| Twin { goes: (*pack, first + n), stays: (*other, from + n), bytes: BYTES as u32 };
            stretches.add((0..*count).map(twin).collect());
        }
        stretches
    }

    #[test]
    fn a_run_is_split_where_it_must_be_and_joined_where_it_can() {
        let stretches = stretches(&[((5, 10), (1, 100), 4), ((5, 20), (1, 104), 2)]);
        let Woven::Extents(extents) = woven(&[run(5, 8, 6), run(5, 20, 2), run(1, 106, 1)], &stretches)
        else {
            panic!("nothing was changed");
        };
        assert_eq!(extents, [run(5, 8, 2), run(1, 100, 7)]);
        assert!(matches!(woven(&[run(5, 0, 10), run(6, 10, 4)], &stretches), Woven::Untouched));
    }

    #[test]
    fn p5_no_stream_falls_into_finer_pieces_than_its_bound() {
        // Every fourth chunk of a long run, one by one.
        let every_fourth: Vec<_> = (0..2000).map(|n| ((5, n * 4), (1, n * 2), 1)).collect();
        let whole = [run(5, 0, 8000)];
        assert!(matches!(woven(&whole, &stretches(&every_fourth)), Woven::TooFine));
        // A long stretch among them is taken, and the short ones left.
        let among: Vec<_> = every_fourth.into_iter().chain([((5, 8001), (2, 0), 100)]).collect();
        let Woven::Extents(extents) = woven(&[run(5, 0, 8200)], &stretches(&among)) else {
            panic!("nothing was changed");
        };
        assert_eq!(extents, [run(5, 0, 8001), run(2, 0, 100), run(5, 8101, 99)]);
    }

    proptest! {
        #[test]
        fn p3_every_chunk_is_itself_or_its_twin(
            extents in vec((0u64..3, 0u32..60, 1u32..20), 1..12),
            twins in vec((0u64..3, 0u32..60, 1u32..8, 0u32..1000), 0..12),
        ) {
            let extents: Vec<Extent> = extents.into_iter().map(|(pack, first, count)| run(pack, first, count)).collect();
            let of: Vec<_> = twins.iter().map(|(pack, first, count, at)| ((*pack, *first), (9, *at), *count)).collect();
            let stretches = stretches(&of);
            let places = |extents: &[Extent]| -> Vec<Place> {
                let each = |extent: &Extent| match *extent {
                    Extent::Run { pack, first, count, .. } => (first..first + count).map(|n| (pack, n)).collect(),
                    Extent::Zeros { .. } => Vec::new(),
                };
                extents.iter().flat_map(each).collect()
            };
            let Ok(after) = replaced(&extents, &stretches, 0, &mut |_, count| Ok::<_, ()>(u64::from(count) * BYTES)) else {
                return Err(TestCaseError::fail("it failed"));
            };
            let twin = |place: Place| stretches.twin_of(place).unwrap_or(place);
            let expected: Vec<Place> = places(&extents).into_iter().map(twin).collect();
            prop_assert_eq!(places(&after), expected);
            for extent in &after {
                if let Extent::Run { bytes, count, .. } = extent {
                    prop_assert_eq!(*bytes, u64::from(*count) * BYTES);
                }
            }
        }
    }
}
