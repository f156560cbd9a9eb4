//! The client's side of a negotiation: structured replies and block status where there are any, and the export.

use std::io::{self, Read, Write};

use super::super::negotiation::ALLOCATION;
use super::super::wire::{self, FIXED_NEWSTYLE, Fields, NO_ZEROES, answer, info, option};
use super::{array, nonsense, shown};

/// Longest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Answers to one option, at most.
const ANSWERS_MAX: usize = 64;

/// What was agreed on.
pub(super) struct Shaken {
    pub size_bytes: u64,
    pub is_structured: bool,
    pub has_allocation: bool,
}

/// Comes to an agreement about the export of this name.
pub(super) fn shake(stream: &mut (impl Read + Write), name: &str) -> io::Result<Shaken> {
    let hello: [u8; 18] = array(stream)?;
    let mut fields = Fields(&hello);
    let (first, second, flags) = (fields.u64(), fields.u64(), fields.u16().unwrap_or_default());
    if first != Some(wire::NEGOTIATION) || second != Some(wire::OPTION) || flags & FIXED_NEWSTYLE == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no NBD server of today"));
    }
    stream.write_all(&u32::from(flags & (FIXED_NEWSTYLE | NO_ZEROES)).to_be_bytes())?;
    let (is_structured, _) = ask(stream, option::STRUCTURED_REPLY, &[])?;
    let mut has_allocation = false;
    if is_structured {
        let mut query = text(name);
        query.extend(1u32.to_be_bytes());
        query.extend(text(ALLOCATION));
        let (_, answers) = ask(stream, option::SET_META_CONTEXT, &query)?;
        // Its number is the server's to choose; there is no other context to take it for.
        has_allocation = answers.iter().any(|(kind, data)| {
            *kind == answer::META_CONTEXT && data.get(4..) == Some(ALLOCATION.as_bytes())
        });
    }
    let mut go = text(name);
    go.extend(0u16.to_be_bytes());
    let (is_done, answers) = ask(stream, option::GO, &go)?;
    if !is_done {
        let why = answers.last().map(|(_, data)| shown(data));
        let why = why.filter(|why| !why.is_empty()).unwrap_or_else(|| "it does not say why".into());
        return Err(io::Error::other(format!("the NBD server refuses the export: {why}")));
    }
    let size = answers.iter().find_map(|(kind, data)| {
        let mut fields = Fields(data);
        (*kind == answer::INFO && fields.u16() == Some(info::EXPORT)).then(|| fields.u64()).flatten()
    });
    Ok(Shaken { size_bytes: size.ok_or_else(nonsense)?, is_structured, has_allocation })
}

/// Answers to an option: the kind of each, and its data.
type Answers = Vec<(u32, Vec<u8>)>;

/// Asks, and takes answers until one is the last; says whether that was a good one.
fn ask(stream: &mut (impl Read + Write), code: u32, data: &[u8]) -> io::Result<(bool, Answers)> {
    let mut asked = wire::OPTION.to_be_bytes().to_vec();
    asked.extend(code.to_be_bytes());
    asked.extend((data.len() as u32).to_be_bytes());
    asked.extend(data);
    stream.write_all(&asked)?;
    let mut answers = Vec::new();
    for _ in 0..ANSWERS_MAX {
        let header: [u8; 20] = array(stream)?;
        let mut fields = Fields(&header);
        let (magic, of, kind) = (fields.u64(), fields.u32(), fields.u32().unwrap_or_default());
        let length = fields.u32().unwrap_or_default() as usize;
        if magic != Some(wire::OPTION_REPLY) || of != Some(code) || length > ANSWER_BYTES_MAX {
            return Err(nonsense());
        }
        let mut data = vec![0; length];
        stream.read_exact(&mut data)?;
        answers.push((kind, data));
        if kind == answer::ACK || kind >= answer::UNSUPPORTED {
            return Ok((kind == answer::ACK, answers));
        }
    }
    Err(nonsense())
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
}
