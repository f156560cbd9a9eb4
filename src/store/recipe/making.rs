//! Keeping a stream by a recipe in the place of its own bytes.
//!
//! Invariants: nobody who reads the stream notices; it changes in one commit, after all that it is made of is durable and was
//! put together and compared with its digest. Whatever does not work out leaves the stream as it is, and what was stored for
//! it meanwhile is reclaimed like any other that nothing names.

use super::super::Store;
use super::super::assemble::{Assembled, Assembler};
use super::super::cutter::{BLOCK_BYTES, CutterParams};
use super::super::error::Error;
use super::super::manifest::{Extent, Manifest, push_zeros};
use super::super::read::{Layout, Reader};
use super::super::replace::Names;
use super::super::steps::{Progress, Steps, Stop, Watch};
use super::composition::expect_sound;
use super::{Group, PREFLATE_0_7, Recipe, Step, deflate, sum};
use crate::model::{ContentId, Digests};

/// A group is ended when it has so many steps, as they are gone through one by one.
const GROUP_STEPS: usize = 256;
/// How what is not on the guest's grid is cut: small, as corrections of some hundred bytes are the same in another image
/// where their units are.
const REST_CUTTER: CutterParams =
    CutterParams { min_bytes: 512, avg_bytes: 2048, max_bytes: 8192, ..CutterParams::CONTENT };
/// What is no unit is read in pieces of this size.
const READ_BYTES: u64 = 1 << 20;
/// A unit that holds more, or is larger, stays as it stands: whoever reads a byte of it holds all of it, and waits until all of
/// it is made.
const UNIT_BYTES_MAX: u64 = 256 << 10;
/// Units after which it is decided whether to go on.
const SAMPLE_UNITS: u64 = 64;
/// Corrections that are more than one part in so many of the units are not worth it.
const CORRECTIONS_SHARE: u64 = 5;

/// A part of a stream that shows the guest's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where in the stream it begins.
    pub at: u64,
    /// How long it is; of a unit, at most.
    pub bytes: u64,
    /// What comes out of it, where it is a deflate stream (RFC 1951); `None` where it lies on the guest's grid as it is.
    pub unpacked_bytes: Option<u64>,
}

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recast {
    /// It is kept by a recipe now.
    Done {
        /// Units that are made again when they are read.
        units: u64,
        /// Their length, which is no longer stored.
        packed_bytes: u64,
        /// What they hold, much of which other images have too.
        plain_bytes: u64,
        /// What it takes to make them again.
        correction_bytes: u64,
        /// What was written for all of it, as it was not there yet: of what lies beside units too.
        written_bytes: u64,
    },
    /// It stays as it is: too little of it can be made again, or making it again would take too much.
    Pointless,
    /// It stays as it is: its recipe would be so long that it leaves too little memory for other streams to be read beside it.
    TooLong,
    /// It is kept by a recipe already.
    Kept,
    /// It changed or went meanwhile.
    Unchanged,
    /// Whoever watches ended it.
    Ended,
}

impl Store {
    /// Keeps a stream by a recipe. `pieces` are in the order of the stream: one that lies behind is passed over. Safe beside uploads and reads;
    /// one stream at a time. Blocks on the medium, for long.
    ///
    /// # Errors
    /// When the database or the medium fails, or there is no room. The stream is as it was then.
    pub fn keep_by_recipe(
        &self,
        content: &ContentId,
        pieces: &mut dyn Iterator<Item = Piece>,
        watch: &mut Watch<'_>,
    ) -> Result<Recast, Error> {
        self.expect_entered()?;
        let Some(_one) = self.wait_for_rewriting(watch) else { return Ok(Recast::Ended) };
        let Some(row) = self.content_row(content)? else { return Ok(Recast::Unchanged) };
        let reader = self.reader_for_upkeep(content)?;
        if reader.is_made() {
            return Ok(Recast::Kept);
        }
        // An unfinished upload goes on from the extents that it has.
        if reader.manifest().record.is_empty() {
            return Ok(Recast::Unchanged);
        }
        let mut steps = Steps::new(self, watch);
        let made = match self.make_recipe(&reader, pieces, &mut steps) {
            Ok(Ok(made)) => made,
            Ok(Err(left)) => return Ok(left),
            Err(Stop::Ended) => return Ok(Recast::Ended),
            Err(Stop::Failed(Error::TooFragmented(_))) => return Ok(Recast::Pointless),
            Err(Stop::Failed(error)) => return Err(error),
        };
        let Made { manifest, done, held: _held } = made;
        match self.expect_same(&manifest, &mut steps) {
            Ok(()) => {}
            Err(Stop::Ended) => return Ok(Recast::Ended),
            Err(Stop::Failed(error)) => return Err(error),
        }
        let let_go = reader.manifest().packs();
        match self.replace_manifest(&row, &manifest, Names::Fewer(&let_go))? {
            Some(_) => {
                self.inner.activity.kept_recipe();
                Ok(done)
            }
            None => Ok(Recast::Unchanged),
        }
    }

    /// Makes a recipe, or says why there is none.
    fn make_recipe(
        &self,
        reader: &Reader,
        pieces: &mut dyn Iterator<Item = Piece>,
        steps: &mut Steps<'_, '_>,
    ) -> Result<Result<Made, Recast>, Stop> {
        let Some(pack) = reader.manifest().packs().min() else { return Ok(Err(Recast::Pointless)) };
        let Some(row) = self.pack_row(pack)? else { return Ok(Err(Recast::Unchanged)) };
        let memory_bytes_max = self.inner.layouts.share();
        steps.begin(Progress::TAKING_APART, reader.size_bytes())?;
        // What assemblers hold is what they would hold of an upload.
        let incoming = self.inner.frames.incoming();
        incoming.brought(reader.size_bytes());
        let assembler = |cutter| Assembler::for_upkeep(self.clone(), row.realm(), cutter);
        let mut making = Making::new(reader, assembler(CutterParams::grid(0)), assembler(REST_CUTTER));
        for piece in pieces {
            let end = piece.at.checked_add(piece.bytes).filter(|_| piece.at >= making.at);
            if end.is_none_or(|end| piece.unpacked_bytes.is_none() && end > reader.size_bytes()) {
                continue;
            }
            making.rest_until(piece.at.min(reader.size_bytes()), steps)?;
            match piece.unpacked_bytes {
                Some(plain_bytes) => making.unit(&piece, plain_bytes, steps)?,
                None => making.on_grid(&piece, steps)?,
            }
            if making.is_pointless() {
                return Ok(Err(Recast::Pointless));
            }
            if Layout::most(making.recipe_bytes) > memory_bytes_max {
                return Ok(Err(Recast::TooLong));
            }
        }
        making.rest_until(reader.size_bytes(), steps)?;
        Ok(making.end(self)?.ok_or(Recast::Pointless))
    }

    /// Refuses a recipe that does not make the stream, byte for byte.
    fn expect_same(&self, manifest: &Manifest, steps: &mut Steps<'_, '_>) -> Result<(), Stop> {
        let stored: u64 = manifest.extents.iter().map(Extent::bytes).sum();
        if let Some(recipe) = &manifest.recipe {
            expect_sound(recipe, manifest.size_bytes, stored)?;
        }
        steps.begin(Progress::COMPARING_RECIPE, manifest.size_bytes)?;
        let layout = Layout::new(manifest.clone());
        let made = Reader::new(self.clone(), layout.into(), self.inner.pins.hold());
        let (mut hasher, mut at) = (blake3::Hasher::new(), 0);
        let mut buffer = vec![0; READ_BYTES as usize];
        while at < manifest.size_bytes {
            let now = READ_BYTES.min(manifest.size_bytes - at);
            let part = &mut buffer[..now as usize];
            made.read_at(at, part)?;
            hasher.update(part);
            at += now;
            steps.step(now)?;
        }
        let digests: Digests = manifest.digests.clone().into();
        if *hasher.finalize().as_bytes() != digests.blake3 {
            let what = format!("the recipe of content {}", ContentId(manifest.content));
            return Err(Error::damaged(what, "it makes other bytes than the stream has").into());
        }
        Ok(())
    }
}

/// A recipe, and what holds its material until it counts.
struct Made {
    manifest: Manifest,
    done: Recast,
    held: [Assembled; 2],
}

/// A recipe that is being made.
struct Making<'r> {
    reader: &'r Reader,
    /// What lies on the guest's grid.
    plain: Assembler,
    /// What does not.
    rest: Assembler,
    at: u64,
    groups: Vec<Group>,
    group: Group,
    /// What its steps take in the manifest's object.
    recipe_bytes: u64,
    tried: u64,
    units: u64,
    packed_bytes: u64,
    unpacked_bytes: u64,
    correction_bytes: u64,
}

impl<'r> Making<'r> {
    fn new(reader: &'r Reader, plain: Assembler, rest: Assembler) -> Making<'r> {
        Making {
            reader,
            plain,
            rest,
            at: 0,
            groups: Vec::new(),
            group: Group::default(),
            recipe_bytes: 0,
            tried: 0,
            units: 0,
            packed_bytes: 0,
            unpacked_bytes: 0,
            correction_bytes: 0,
        }
    }

    /// Takes everything before `end` as it stands.
    fn rest_until(&mut self, end: u64, steps: &mut Steps<'_, '_>) -> Result<(), Stop> {
        while self.at < end {
            let bytes = self.read((end - self.at).min(READ_BYTES))?;
            self.rest.push(&bytes)?;
            self.add(Step::Rest { bytes: bytes.len() as u32 });
            steps.step(bytes.len() as u64)?;
        }
        Ok(())
    }

    /// Takes a piece that lies on the guest's grid.
    fn on_grid(&mut self, piece: &Piece, steps: &mut Steps<'_, '_>) -> Result<(), Stop> {
        let end = piece.at + piece.bytes;
        while self.at < end {
            let bytes = self.read((end - self.at).min(READ_BYTES))?;
            self.plain.push(&bytes)?;
            self.add(Step::Plain { bytes: bytes.len() as u32 });
            steps.step(bytes.len() as u64)?;
        }
        Ok(())
    }

    /// Takes a unit, as what it holds where it can be made again of that.
    fn unit(&mut self, piece: &Piece, plain_bytes: u64, steps: &mut Steps<'_, '_>) -> Result<(), Stop> {
        self.tried += 1;
        // What is left of it stays for whatever comes next.
        let bytes = piece.bytes.min(self.reader.size_bytes().saturating_sub(piece.at));
        if bytes > UNIT_BYTES_MAX || plain_bytes > UNIT_BYTES_MAX || bytes == 0 {
            return Ok(());
        }
        let mut packed = vec![0; bytes as usize];
        self.reader.read_at(piece.at, &mut packed)?;
        let Some(apart) = deflate::take_apart(&packed, plain_bytes as usize) else { return Ok(()) };
        self.at += apart.packed_bytes as u64;
        self.plain.push(&apart.plain)?;
        self.rest.push(&apart.corrections)?;
        self.units += 1;
        self.packed_bytes += apart.packed_bytes as u64;
        self.unpacked_bytes += apart.plain.len() as u64;
        self.correction_bytes += apart.corrections.len() as u64;
        self.add(Step::Packed {
            packed_bytes: apart.packed_bytes as u32,
            plain_bytes: apart.plain.len() as u32,
            correction_bytes: apart.corrections.len() as u32,
            sum: sum(&packed[..apart.packed_bytes]),
        });
        steps.step(apart.packed_bytes as u64)
    }

    fn read(&mut self, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut read = vec![0; bytes as usize];
        self.reader.read_at(self.at, &mut read)?;
        self.at += bytes;
        Ok(read)
    }

    fn add(&mut self, step: Step) {
        match (self.group.steps.last_mut(), step) {
            (Some(Step::Rest { bytes }), Step::Rest { bytes: more })
            | (Some(Step::Plain { bytes }), Step::Plain { bytes: more })
                if bytes.checked_add(more).is_some() =>
            {
                *bytes += more;
            }
            _ => {
                self.recipe_bytes += step.object_bytes();
                self.group.steps.push(step);
            }
        }
        if self.group.steps.len() >= GROUP_STEPS {
            self.groups.push(std::mem::take(&mut self.group));
        }
    }

    fn is_pointless(&self) -> bool {
        self.tried >= SAMPLE_UNITS
            && (self.units < self.tried / 2
                || self.correction_bytes.saturating_mul(CORRECTIONS_SHARE) > self.packed_bytes)
    }

    /// Ends the recipe, with its material durable.
    fn end(mut self, store: &Store) -> Result<Option<Made>, Stop> {
        if self.units == 0 || self.correction_bytes.saturating_mul(CORRECTIONS_SHARE) > self.packed_bytes {
            return Ok(None);
        }
        self.groups.push(std::mem::take(&mut self.group));
        let recipe = Recipe { codec: PREFLATE_0_7, groups: self.groups };
        let mut held = [self.plain.finish()?, self.rest.finish()?];
        for last in held.iter_mut().filter_map(|assembled| assembled.last_pack.take()) {
            store.commit_pack(last)?;
        }
        let mut extents = held[0].extents.clone();
        let plain_bytes = recipe.plain_bytes();
        match plain_bytes.next_multiple_of(BLOCK_BYTES) - plain_bytes {
            0 => {}
            filling => push_zeros(&mut extents, filling),
        }
        extents.extend_from_slice(&held[1].extents);
        let done = Recast::Done {
            units: self.units,
            packed_bytes: self.packed_bytes,
            plain_bytes: self.unpacked_bytes,
            correction_bytes: self.correction_bytes,
            written_bytes: held.iter().map(|assembled| assembled.written_bytes).sum(),
        };
        let before = self.reader.manifest().clone();
        let manifest = Manifest { cutter: held[0].cutter, extents, recipe: Some(recipe), ..before };
        Ok(Some(Made { manifest, done, held }))
    }
}
