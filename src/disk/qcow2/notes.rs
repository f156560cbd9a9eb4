//! What the header of a qcow2 says of its past, and of what else is in the file.

use crate::disk::fields::Fields;
use crate::disk::notes::{Note, NoteCode};

const DIRTY: u64 = 1 << 0;
/// Of the features that a reader need not know.
const LAZY_REFCOUNTS: u64 = 1 << 0;

/// What is no fault, but worth knowing.
pub(super) fn notes(version: u32, header: &Fields, bitmaps: Option<u32>) -> Vec<Note> {
    let (incompatible, compatible) = if version == 2 { (0, 0) } else { (header.be64(72), header.be64(80)) };
    let snapshots = Some(header.be32(60)).filter(|count| *count > 0);
    let is_lazy = compatible & LAZY_REFCOUNTS != 0;
    [
        snapshots.map(|count| Note::with(NoteCode::InternalSnapshots, "nb_snapshots", count)),
        (incompatible & DIRTY != 0).then(|| Note::new(NoteCode::Dirty, "incompatible_features")),
        is_lazy.then(|| Note::new(NoteCode::LazyRefcounts, "compatible_features")),
        bitmaps.map(|count| Note::with(NoteCode::Bitmaps, "nb_bitmaps", count)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
