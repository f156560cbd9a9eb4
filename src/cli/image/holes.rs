//! Where a disk that is to arrive has nothing: told before it arrives, so that nothing travels for it.
//!
//! Invariant: what is not known to be a hole travels. Must not know where the data goes.

use std::ops::Range;

use serde_json::Value;

use super::super::client::{Api, Client};

/// A hole that is shorter travels as the zeros that it is, in bytes: a request costs as much.
const HOLE_BYTES_MIN: u64 = 1 << 20;
/// Answers about a disk that are asked for, at most: of what falls into more pieces, the rest travels.
const PAGES_MAX: usize = 64;

/// The holes of a disk, in order, apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holes(Vec<Range<u64>>);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// So many zeros.
    Hole(u64),
    /// Data up to this byte; up to the end where there is none.
    Data(Option<u64>),
}

impl Holes {
    /// Those of an image's disk; none where the box does not tell.
    pub(super) async fn of_disk(client: &Client, id: &str) -> Holes {
        let (mut holes, mut from) = (Holes::default(), Some(0));
        for _ in 0..PAGES_MAX {
            let Some(at) = from else { break };
            let path = format!("/images/{id}/extents?from={at}");
            // Whoever asks for the data hears why it cannot be had.
            let Ok(page) = client.get(Api::Native, &path).await else { break };
            from = page["next"].as_u64();
            page["extents"].as_array().into_iter().flatten().for_each(|extent| holes.add(extent));
        }
        holes.0.retain(|hole| hole.end - hole.start >= HOLE_BYTES_MIN);
        holes
    }

    fn add(&mut self, extent: &Value) {
        let (Some(at), Some(bytes), Some(true)) =
            (extent["offset"].as_u64(), extent["bytes"].as_u64(), extent["zero"].as_bool())
        else {
            return;
        };
        let end = at.saturating_add(bytes);
        match self.0.last_mut() {
            Some(last) if at < last.start => {}
            Some(last) if at <= last.end => last.end = last.end.max(end),
            _ => self.0.push(at..end),
        }
    }

    /// What comes at byte `at`.
    pub(super) fn next(&self, at: u64) -> Next {
        let hole = self.0.get(self.0.partition_point(|hole| hole.end <= at));
        match hole {
            Some(hole) if hole.start <= at => Next::Hole(hole.end - at),
            Some(hole) => Next::Data(Some(hole.start)),
            None => Next::Data(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_and_holes_take_turns() {
        let mut holes = Holes::default();
        for (at, bytes, zero) in
            [(0, 5, false), (5, 5, true), (10, 10, true), (20, 1, false), (21, 9, true), (3, 1, true)]
        {
            holes.add(&json!({"offset": at, "bytes": bytes, "zero": zero}));
        }
        holes.add(&json!({"offset": "30"}));
        assert_eq!(holes.0, [5..20, 21..30]);
        let next = [0, 5, 19, 20, 21, 30].map(|at| holes.next(at));
        let wanted = [
            Next::Data(Some(5)),
            Next::Hole(15),
            Next::Hole(1),
            Next::Data(Some(21)),
            Next::Hole(9),
            Next::Data(None),
        ];
        assert_eq!(next, wanted);
    }
}
