//! `FORMAT.md` says what the code does: every number and name in it that code has too.

use super::cutter::CutterParams;
use super::digest::BLOCK;
use super::format::*;
use super::ingest::Progress;
use super::keyring::RingRecord;
use super::log::records::{LogRecord, SnapshotFooter, SnapshotRows};
use super::manifest::Manifest;
use super::pack::PackFooter;
use super::parity::records::{ParityFooter, ParityRow};
use super::rows::{ContentRow, PackRow};
use super::seal::TAG_BYTES;
use crate::db::codec::Record;
use crate::db::{SEALED_HEADER_BYTES, SEALED_MAGIC, SEALED_VERSION};

const DOCUMENT: &str = include_str!("FORMAT.md");

#[test]
fn the_description_has_the_numbers_of_the_code() {
    let kinds = [Kind::Pack, Kind::Manifest, Kind::Log, Kind::Snapshot, Kind::Parity];
    let listed: Vec<String> = kinds.iter().map(|kind| format!("{} {}", *kind as u8, kind.prefix())).collect();
    let magic = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\\0");
    let kib = |bytes: usize| bytes >> 10;
    let cutter = |params: CutterParams| {
        let [min, avg, max] =
            [params.min_bytes, params.avg_bytes, params.max_bytes].map(|bytes| kib(bytes as usize));
        (params.id, format!("({min}/{avg}/{max} KiB)"))
    };
    let (grid, content) = (cutter(CutterParams::grid(0)), cutter(CutterParams::content()));
    let said = [
        format!("# The store's format, version {FORMAT_VERSION}\n"),
        format!(
            "| header | {HEADER_BYTES} | magic `{}` ({}), version u16 = {FORMAT_VERSION}, kind u8 ({}), ",
            magic(&MAGIC),
            MAGIC.len(),
            listed.join(", ")
        ),
        format!("| footer sum | {FOOTER_SUM_BYTES} |"),
        format!("at least {PADDING_BYTES_MIN} |"),
        format!("| locator | {LOCATOR_BYTES} (+{TAG_BYTES}) |"),
        format!("BLAKE3 of each {} MiB block", HASH_BLOCK_BYTES >> 20),
        format!("| tail | {TAIL_BYTES} | magic `{}` ({})", magic(&TAIL_MAGIC), TAIL_MAGIC.len()),
        format!("its {TAG_BYTES}-byte tag"),
        format!("closed at {} KiB, or holds", kib(FRAME_BYTES)),
        format!("never holds more than {} KiB", kib(FRAME_BYTES_MAX)),
        format!("**Key ring** (version {})", RingRecord::VERSION),
        format!(
            "**Sealed catalog** (version {SEALED_VERSION}): `catalog.redb` of a sealed store = header of {SEALED_HEADER_BYTES} bytes"
        ),
        format!("magic `{}`", magic(&SEALED_MAGIC)),
        format!("**Pack footer** (version {})", PackFooter::VERSION),
        format!("**Manifest** (version {})", <Manifest>::VERSION),
        format!("**Parity footer** (version {})", ParityFooter::VERSION),
        format!("Rows of packs (version {})", PackRow::VERSION),
        format!("and parity (version {}) keep it", ParityRow::VERSION),
        format!("is the progress (version {})", <Progress>::VERSION),
        format!("the last whole block of {BLOCK} bytes"),
        format!("**Log** (version {})", LogRecord::VERSION),
        format!("**Snapshot** (version {})", SnapshotFooter::VERSION),
        format!("a section is zstd of (version {})", SnapshotRows::VERSION),
        format!("{}: the guest's 4 KiB grid with cuts at file ends {}", grid.0, grid.1),
        format!("{}: FastCDC 2020 {}", content.0, content.1),
    ];
    for text in said {
        assert!(DOCUMENT.contains(&text), "FORMAT.md does not say {text:?}");
    }
    assert_eq!(ContentRow::VERSION, ParityRow::VERSION, "FORMAT.md names one version for both");
    for kind in kinds {
        assert!(DOCUMENT.contains(&format!("`{}/", kind.prefix())), "FORMAT.md has no name of a {kind:?}");
    }
}
