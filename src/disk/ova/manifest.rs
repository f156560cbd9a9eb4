//! The manifest of an archive: what its members must be, by their digests.
//!
//! Source: DSP0243, 6.3: a line for each file, `SHA256(name)= hex`; SHA-1 in older ones. Invariant: data is read piece by
//! piece, whatever a member's size.

use sha2::Digest;

use super::tar::Member;
use crate::disk::refusal::Code;
use crate::disk::source::Source;

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Why a manifest is not believed, or data not what it says.
pub(super) type Wrong = (Code, &'static str, String);

/// A line.
struct Line<'t> {
    name: &'t str,
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    fn parse(word: &str) -> Option<Algorithm> {
        match word.to_ascii_uppercase().as_str() {
            "SHA1" => Some(Algorithm::Sha1),
            "SHA256" => Some(Algorithm::Sha256),
            "SHA512" => Some(Algorithm::Sha512),
            _ => None,
        }
    }

    /// The digest of a member's data.
    fn digest(self, source: &dyn Source, member: &Member) -> std::io::Result<Vec<u8>> {
        match self {
            Algorithm::Sha1 => digest::<sha1::Sha1>(source, member),
            Algorithm::Sha256 => digest::<sha2::Sha256>(source, member),
            Algorithm::Sha512 => digest::<sha2::Sha512>(source, member),
        }
    }
}

fn digest<D: Digest>(source: &dyn Source, member: &Member) -> std::io::Result<Vec<u8>> {
    let (mut state, mut at, end) = (D::new(), member.at, member.at + member.bytes);
    let mut piece = vec![0; member.bytes.min(PIECE_BYTES) as usize];
    while at < end {
        let count = (end - at).min(PIECE_BYTES);
        let piece = &mut piece[..count as usize];
        source.read_exact_at(at, piece)?;
        state.update(piece);
        at += count;
    }
    Ok(state.finalize().to_vec())
}

/// Compares what a manifest says with the members; each of `must` has to be in it.
///
/// # Errors
/// What reading fails with.
pub(super) fn compare(
    text: &[u8],
    members: &[Member],
    must: &[&str],
    source: &dyn Source,
) -> std::io::Result<Result<(), Wrong>> {
    let lines = match lines(text) {
        Ok(lines) => lines,
        Err(wrong) => return Ok(Err(wrong)),
    };
    for name in must {
        if !lines.iter().any(|line| line.name == *name) {
            return Ok(Err(wrong("it leaves out the description or a disk")));
        }
    }
    for Line { name, algorithm, digest } in lines {
        let Some(member) = members.iter().find(|member| member.name == name) else {
            return Ok(Err(wrong("it names what is not in the archive")));
        };
        if algorithm.digest(source, member)? != digest {
            let why = "the data of a member is not what it says".to_owned();
            return Ok(Err((Code::BadChecksum, "manifest", why)));
        }
    }
    Ok(Ok(()))
}

fn lines(text: &[u8]) -> Result<Vec<Line<'_>>, Wrong> {
    let text = std::str::from_utf8(text).map_err(|_| wrong("it is not UTF-8"))?;
    let mut found = Vec::<Line>::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = parse(line)?;
        if found.iter().any(|known| known.name == line.name) {
            return Err(wrong("two lines name the same file"));
        }
        found.push(line);
    }
    Ok(found)
}

/// `SHA256(name)= hex`, with blanks where tools have them.
fn parse(line: &str) -> Result<Line<'_>, Wrong> {
    let parts = || {
        let (algorithm, rest) = line.split_once('(')?;
        let (name, digest) = rest.rsplit_once(')')?;
        Some((algorithm.trim(), name.trim(), digest.trim_start().strip_prefix('=')?.trim()))
    };
    let (algorithm, name, digest) = parts().ok_or_else(|| wrong("a line is not in order"))?;
    let Some(algorithm) = Algorithm::parse(algorithm) else {
        let why = "a digest is neither SHA-256, SHA-512 nor SHA-1".to_owned();
        return Err((Code::Unsupported, "manifest", why));
    };
    let digest = hex::decode(digest).map_err(|_| wrong("a digest is not in hexadecimal digits"))?;
    Ok(Line { name, algorithm, digest })
}

fn wrong(why: &str) -> Wrong {
    (Code::BadField, "manifest", why.to_owned())
}
