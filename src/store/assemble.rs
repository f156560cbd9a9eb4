//! Turns a stream's bytes into extents: known chunks are referred to, new ones go into packs.

mod standing;

use std::collections::HashSet;

use super::cutter::{Cutter, CutterParams, Piece, choose};
use super::error::Error;
use super::filling::Filling;
use super::index::hooks;
use super::manifest::{Extent, push_chunk, push_zeros};
use super::pack::FinishedPack;
use super::pins::Held;
use super::realm::Realm;
use super::share::Share;
use super::stored::Stored;
use super::{Store, VerifyHits};
use crate::model::StorePlace;
pub use standing::Standing;

/// Look-ups are made for this much of the stream at a time, or for its share of memory where that
/// is less.
const BATCH_BYTES: usize = 4 << 20;
/// A stream's head is cut in pieces of this size, so that no batch outgrows its bound.
const HEAD_PIECE: usize = 256 << 10;

/// Where hits are verified by sample, one in this many is, the first one always.
const SAMPLE: u64 = 64;

/// What a batch is made of, in order.
enum Item {
    Zeros(u64),
    Chunk { name: [u8; 32], start: usize, end: usize },
}

/// A whole stream.
pub struct Assembled {
    /// How it was cut.
    pub cutter: CutterParams,
    /// Its extents, in order.
    pub extents: Vec<Extent>,
    /// A pack of it that has no row yet.
    pub last_pack: Option<FinishedPack>,
    /// Length of its packs, in bytes: what was not there yet.
    pub written_bytes: u64,
    /// What keeps its packs until it is published.
    pub held: Held,
}

/// One stream's state between two pieces of it.
pub struct Assembler {
    store: Store,
    realm: Realm,
    head: Vec<u8>,
    cutter: Option<(CutterParams, Cutter)>,
    items: Vec<Item>,
    arena: Vec<u8>,
    extents: Vec<Extent>,
    packs: Filling,
    last: Option<(u64, u32)>,
    /// Whether there was room for new chunks when this batch began to store some.
    roomy: bool,
    hits: u64,
    /// Packs a hit of which did not read back.
    distrusted: HashSet<u64>,
    share: Share,
    // After the packs it pins: fields go in this order.
    held: Held,
}

impl Assembler {
    /// The state before the first byte.
    pub fn new(store: Store, realm: Realm) -> Assembler {
        let held = store.inner.pins.hold();
        Assembler {
            share: store.inner.batches.join(),
            packs: Filling::new(store.clone(), realm),
            store,
            realm,
            head: Vec::new(),
            cutter: None,
            items: Vec::new(),
            arena: Vec::new(),
            extents: Vec::new(),
            last: None,
            roomy: false,
            hits: 0,
            distrusted: HashSet::new(),
            held,
        }
    }

    /// The state before the first byte of what the box stores by itself, with a cutter that was chosen.
    pub fn for_upkeep(store: Store, realm: Realm, params: CutterParams) -> Assembler {
        let mut assembler = Assembler::new(store, realm);
        assembler.held.for_upkeep();
        assembler.cutter = Some((params, Cutter::new(params)));
        assembler
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.cutter.is_none() {
            self.head.extend_from_slice(bytes);
            return if self.head.len() >= self.batch_bytes() { self.begin() } else { Ok(()) };
        }
        self.cut(bytes)
    }

    /// Ends the stream; every pack of it is durable, and all but the last have their rows.
    pub fn finish(mut self) -> Result<Assembled, Error> {
        if self.cutter.is_none() {
            self.begin()?;
        }
        if let Some((_, cutter)) = &mut self.cutter {
            let (items, arena) = (&mut self.items, &mut self.arena);
            cutter.finish(&mut |piece| take(items, arena, piece));
        }
        self.settle()?;
        let last_pack = self.packs.finish()?;
        let cutter = self.cutter.map_or_else(|| choose(&[]), |(params, _)| params);
        let written_bytes = self.packs.written_bytes();
        Ok(Assembled { cutter, extents: self.extents, last_pack, written_bytes, held: self.held })
    }

    fn begin(&mut self) -> Result<(), Error> {
        let head = std::mem::take(&mut self.head);
        let params = choose(&head);
        self.cutter = Some((params, Cutter::new(params)));
        head.chunks(HEAD_PIECE).try_for_each(|piece| self.cut(piece))
    }

    fn cut(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some((_, cutter)) = &mut self.cutter {
            let (items, arena) = (&mut self.items, &mut self.arena);
            cutter.push(bytes, &mut |piece| take(items, arena, piece));
        }
        if self.arena.len() >= self.batch_bytes() { self.settle() } else { Ok(()) }
    }

    fn batch_bytes(&self) -> usize {
        self.share.bytes().min(BATCH_BYTES)
    }

    /// Decides every chunk of the batch: known or new.
    fn settle(&mut self) -> Result<(), Error> {
        let items = std::mem::take(&mut self.items);
        let arena = std::mem::take(&mut self.arena);
        self.roomy = false;
        let names = items.iter().filter_map(|item| match item {
            Item::Chunk { name, .. } => Some(name),
            Item::Zeros(_) => None,
        });
        self.store.load_hooked(self.realm, &hooks(names))?;
        for item in &items {
            match item {
                Item::Zeros(bytes) => push_zeros(&mut self.extents, *bytes),
                Item::Chunk { name, start, end } => {
                    let chunk = &arena[*start..*end];
                    let at = match self.known(name) {
                        Some(at) => at,
                        None => self.add(*name, chunk)?,
                    };
                    self.last = Some(at);
                    push_chunk(&mut self.extents, at, chunk.len() as u64);
                }
            }
        }
        let extents_max = self.store.inner.options.extents_max;
        if self.extents.len() > extents_max {
            return Err(Error::TooFragmented(extents_max));
        }
        self.items = items;
        self.items.clear();
        self.arena = arena;
        self.arena.clear();
        Ok(())
    }

    fn known(&mut self, name: &[u8; 32]) -> Option<(u64, u32)> {
        if let Some(at) = self.packs.find(name) {
            return Some(at);
        }
        // Hostile data must not grow the manifest without bound: past this, all is new and makes runs.
        if self.extents.len() > self.store.inner.options.extents_max / 4 {
            return None;
        }
        let at = self.next_after_last(name).or_else(|| self.store.inner.index.find(self.realm, name))?;
        // Looked at again once it is held: what it was found in may have lost it meanwhile.
        let stays = self.held.chunk(at.0, at.1) && self.store.inner.index.has(at, name);
        (stays && self.holds_up(at)).then_some(at)
    }

    /// Whether a hit counts: not where it is known to be lost, and where the settings ask for it, its
    /// data is read back first. A pack that fails is a miss from then on, so that its data is stored
    /// again.
    fn holds_up(&mut self, at: (u64, u32)) -> bool {
        if self.distrusted.contains(&at.0) || self.store.inner.damage.has_lost(at.0, at.1, 1) {
            return false;
        }
        self.hits += 1;
        let read_back = match self.store.inner.options.verify_hits {
            VerifyHits::Off => false,
            VerifyHits::Sample => self.hits % SAMPLE == 1,
            VerifyHits::Always => true,
        };
        if !read_back {
            return true;
        }
        if let Err(error) = self.store.read_back(at) {
            tracing::error!(%error, pack = at.0, "known data does not read back; storing it again");
            self.store.suspect(Stored::Pack(at.0), None, (at.1, 1));
            self.distrusted.insert(at.0);
            return false;
        }
        true
    }

    /// Images keep their order: the chunk after the last hit is the likeliest.
    fn next_after_last(&self, name: &[u8; 32]) -> Option<(u64, u32)> {
        let (number, ordinal) = self.last?;
        let pack = self.store.inner.index.pack(number)?;
        let next = ordinal.checked_add(1)?;
        (pack.name(next) == Some(name)).then_some((number, next))
    }

    fn add(&mut self, name: [u8; 32], chunk: &[u8]) -> Result<(u64, u32), Error> {
        if !self.roomy {
            self.store.expect_room(self.realm.place)?;
            self.roomy = true;
        }
        self.packs.add(&mut self.held, name, chunk)
    }
}

impl Store {
    /// Refuses new chunks that would use up what the catalog may need. Manifests and the like are
    /// not asked for: they are small, and giving space back may take some.
    fn expect_room(&self, place: StorePlace) -> Result<(), Error> {
        let reserve = self.inner.options.reserve_bytes;
        match self.free_bytes_at(place)? {
            Some(free) if free < reserve => Err(Error::Full(format!(
                "{free} bytes are left on the medium of {place}, and the last {reserve} are kept for the catalog"
            ))),
            _ => Ok(()),
        }
    }
}

fn take(items: &mut Vec<Item>, arena: &mut Vec<u8>, piece: Piece<'_>) {
    match piece {
        Piece::Zeros(bytes) => items.push(Item::Zeros(bytes)),
        Piece::Chunk(chunk) => {
            let start = arena.len();
            arena.extend_from_slice(chunk);
            items.push(Item::Chunk { name: *blake3::hash(chunk).as_bytes(), start, end: arena.len() });
        }
    }
}
