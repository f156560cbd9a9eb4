//! What Rock Ridge adds to records: names, modes, links, and directories that were moved to lie less deep.

use super::Disc;
use super::record::Record;
use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;
use crate::disk::inside::tree::LINK_BYTES_MAX;

/// Times that a record's entries go on elsewhere.
const CONTINUATIONS_MAX: usize = 16;
const CONTINUATION_BYTES_MAX: u32 = 32 << 10;
const NAME_BYTES_MAX: usize = 1024;
const NAME_GOES_ON: u8 = 0x01;
const HERE: u8 = 0x02;
const PARENT: u8 = 0x04;
const ROOT: u8 = 0x08;

/// What it says of one record.
#[derive(Default)]
pub(super) struct More {
    pub(super) name: Option<String>,
    pub(super) mode: Option<u32>,
    pub(super) link: String,
    /// The block that the directory really is at.
    pub(super) directory_at: Option<u32>,
    /// Whether the record stands for a directory that shows elsewhere.
    pub(super) is_moved_away: bool,
    /// Whether the next part of the link goes on in the middle of a name.
    is_mid_name: bool,
}

impl Disc {
    /// How many bytes of system use stand before entries, where the disc has Rock Ridge.
    pub(super) fn rock_ridge(&self) -> Result<Option<usize>, Fault> {
        let bytes = self.part.bytes(self.root.0, 255)?;
        let Some(own) = Record::of(&bytes) else { return Ok(None) };
        let system_use = own.system_use();
        let fields = Fields(system_use);
        if fields.bytes(0, 2) != b"SP" || fields.bytes(4, 2) != [0xbe, 0xef] {
            return Ok(None);
        }
        let skip = fields.bytes(6, 1).first().copied().unwrap_or_default();
        let mut has_modes = false;
        self.each_addition(system_use, &mut |kind, _| has_modes |= kind == b"PX" || kind == b"RR")?;
        Ok(has_modes.then_some(skip.into()))
    }

    /// What is said of a record.
    pub(super) fn more(&self, record: &Record<'_>, skip: usize) -> Result<More, Fault> {
        let mut more = More::default();
        let system_use = record.system_use().get(skip..).unwrap_or_default();
        self.each_addition(system_use, &mut |kind, body| more.add(kind, body))?;
        // A name decides about paths: one that could be taken for several, or for none, is none.
        more.name = more.name.filter(|name| !name.is_empty() && !name.contains(['/', '\0']));
        Ok(more)
    }

    /// Visits the entries of system use, wherever they go on.
    fn each_addition(&self, system_use: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Fault> {
        let mut here = system_use.to_vec();
        for _ in 0..CONTINUATIONS_MAX {
            let (mut rest, mut next) = (here.as_slice(), None);
            while let Some(length) = rest.get(2).map(|length| usize::from(*length)) {
                self.part.effort().steps(1)?;
                let Some(entry) = rest.get(..length).filter(|entry| entry.len() >= 4) else { break };
                let (kind, body) = (entry.get(..2).unwrap_or_default(), entry.get(4..).unwrap_or_default());
                match kind {
                    b"CE" => next = Some(body.to_vec()),
                    b"ST" => break,
                    _ => visit(kind, body),
                }
                rest = rest.get(length..).unwrap_or_default();
            }
            let Some(place) = next else { return Ok(()) };
            let fields = Fields(&place);
            let (block, skip, bytes) = (fields.le32(0), fields.le32(8), fields.le32(16));
            if bytes > CONTINUATION_BYTES_MAX {
                return Err(Fault::broken("a record goes on for too long"));
            }
            let at = u64::from(block) * self.block_bytes + u64::from(skip);
            here = self.part.bytes(at, bytes as usize)?;
        }
        Err(Fault::TooLarge("a record goes on too often"))
    }
}

impl More {
    fn add(&mut self, kind: &[u8], body: &[u8]) {
        let fields = Fields(body);
        match kind {
            b"NM" => {
                let name = self.name.get_or_insert_default();
                if name.len() < NAME_BYTES_MAX {
                    name.push_str(&String::from_utf8_lossy(body.get(1..).unwrap_or_default()));
                }
            }
            b"PX" => self.mode = Some(fields.le32(0)),
            b"CL" => self.directory_at = Some(fields.le32(0)),
            b"RE" => self.is_moved_away = true,
            b"SL" => self.add_link(body.get(1..).unwrap_or_default()),
            _ => {}
        }
    }

    /// Components of a link: flags, a length, and a name each.
    fn add_link(&mut self, mut parts: &[u8]) {
        while let [flags, length, rest @ ..] = parts {
            let Some(text) = rest.get(..usize::from(*length)) else { return };
            if self.link.len() as u64 > LINK_BYTES_MAX {
                return;
            }
            if !self.link.is_empty() && !self.link.ends_with('/') && !self.is_mid_name {
                self.link.push('/');
            }
            match *flags {
                flags if flags & ROOT != 0 => self.link.push('/'),
                flags if flags & PARENT != 0 => self.link.push_str(".."),
                flags if flags & HERE != 0 => self.link.push('.'),
                _ => self.link.push_str(&String::from_utf8_lossy(text)),
            }
            self.is_mid_name = flags & NAME_GOES_ON != 0;
            parts = rest.get(usize::from(*length)..).unwrap_or_default();
        }
    }
}
