//! Headers of a tar, read strictly: plain files with flat names, one after the other, and nothing else.
//!
//! Source: POSIX.1-1988 ustar, with GNU's large sizes and POSIX.1-2001's extended records as far as they tell nothing about
//! a member's name or size. Invariants: members lie in the file, apart from each other, and no two have the same name; no more
//! than [`HEADERS_MAX`] headers are read, whatever they are of.

use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

const BLOCK: u64 = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// More members are no machine's.
const MEMBERS_MAX: usize = 256;
/// Headers of members, and of extended records, of which each member has few.
const HEADERS_MAX: usize = 4 * MEMBERS_MAX;
/// Extended records of one member, in bytes.
const RECORDS_BYTES_MAX: u64 = 64 << 10;
/// What may fill the file up behind its end.
const PADDING_BYTES_MAX: u64 = 1 << 20;
/// Extended records that change nothing of what is read here: times, owners, remarks.
const HARMLESS: [&str; 12] = [
    "mtime",
    "atime",
    "ctime",
    "uid",
    "gid",
    "uname",
    "gname",
    "comment",
    "LIBARCHIVE.creationtime",
    "SCHILY.dev",
    "SCHILY.ino",
    "SCHILY.nlink",
];

/// A file in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its data begins.
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// All members, in order.
pub(super) fn members(source: &dyn Source) -> Result<Vec<Member>, Error> {
    let tar = Tar { file: Structures::new(source, Format::Ova), size_bytes: source.size_bytes() };
    let (mut found, mut at, mut headers) = (Vec::<Member>::new(), 0, 0);
    loop {
        let header = tar.file.bytes("tar header", at, BLOCK as usize)?;
        if header.iter().all(|byte| *byte == 0) {
            tar.expect_end(at)?;
            return Ok(found);
        }
        headers += 1;
        if headers > HEADERS_MAX {
            let why = format!("there are more than {HEADERS_MAX}");
            return Err(tar.file.refuse(Code::OverBudget, "tar headers", why));
        }
        tar.expect_checksum(&header)?;
        let (data, bytes) = (at + BLOCK, tar.size(&header)?);
        tar.file.expect_inside("tar member", data, bytes)?;
        match header[156] {
            b'0' | 0 => {
                let name = tar.name(&header)?;
                if found.iter().any(|member| member.name == name) {
                    return Err(tar.refuse(Code::BadField, "tar name", "two members have the same name"));
                }
                if found.len() >= MEMBERS_MAX {
                    let why = format!("there are more than {MEMBERS_MAX}");
                    return Err(tar.file.refuse(Code::OverBudget, "tar members", why));
                }
                found.push(Member { name, at: data, bytes });
            }
            b'x' | b'g' => tar.expect_harmless(data, bytes)?,
            kind => {
                let why = format!("{:?} is no plain file", char::from(kind));
                return Err(tar.file.refuse(Code::Unsupported, "tar typeflag", why));
            }
        }
        at = data + bytes.next_multiple_of(BLOCK);
    }
}

struct Tar<'s> {
    file: Structures<'s>,
    size_bytes: u64,
}

impl Tar<'_> {
    fn refuse(&self, code: Code, field: &'static str, why: &str) -> Error {
        self.file.refuse(code, field, why)
    }

    fn expect_checksum(&self, header: &[u8]) -> Result<(), Error> {
        let (fields, told) = (Fields(header), octal(&header[CHECKSUM]));
        if fields.bytes(257, 5) != b"ustar" {
            return Err(self.refuse(Code::BadField, "tar magic", "it is not that of ustar"));
        }
        let counted = header.iter().enumerate();
        let byte = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { 32 } else { u64::from(*byte) };
        if told != Some(counted.map(byte).sum()) {
            return Err(self.refuse(Code::BadChecksum, "tar checksum", "it is not that of the header"));
        }
        Ok(())
    }

    fn size(&self, header: &[u8]) -> Result<u64, Error> {
        let field = &header[124..136];
        let size = match field.split_first() {
            // A number in base 256: its first bit marks it, and is none of it.
            Some((0x80, rest)) => rest.iter().try_fold(0_u64, |size, byte| {
                size.checked_mul(256).and_then(|size| size.checked_add(u64::from(*byte)))
            }),
            _ => octal(field),
        };
        size.filter(|size| *size <= self.size_bytes).ok_or_else(|| {
            self.refuse(Code::BadField, "tar size", "it is no number, or past what the file has")
        })
    }

    fn name(&self, header: &[u8]) -> Result<String, Error> {
        let wrong = |why: &str| Err(self.refuse(Code::BadField, "tar name", why));
        let field = &header[..100];
        let length = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        let Ok(name) = std::str::from_utf8(&field[..length]) else { return wrong("it is not UTF-8") };
        if !Fields(header).is_zero(345, 131) {
            return wrong("a folder is before it; names are flat");
        }
        match is_flat(name) {
            true => Ok(name.to_owned()),
            false => wrong("it is empty or has a separator; names are flat"),
        }
    }

    /// Extended records may not tell of names, sizes, links or holes.
    fn expect_harmless(&self, at: u64, bytes: u64) -> Result<(), Error> {
        let records = self.file.table("tar extended records", at, bytes, RECORDS_BYTES_MAX)?;
        let mut rest = &records[..];
        while !rest.is_empty() {
            let Some((key, after)) = record(rest) else {
                return Err(self.refuse(Code::BadField, "tar extended records", "one is not in order"));
            };
            if !HARMLESS.contains(&key) {
                let why = "one changes what a member is; write the archive as plain ustar";
                return Err(self.refuse(Code::Unsupported, "tar extended records", why));
            }
            rest = after;
        }
        Ok(())
    }

    /// Nothing but zeros follows the end.
    fn expect_end(&self, at: u64) -> Result<(), Error> {
        let rest = self.size_bytes - at;
        if rest > PADDING_BYTES_MAX {
            return Err(self.refuse(Code::BadField, "tar end", "more follows the end of the archive"));
        }
        let rest = self.file.table("tar end", at, rest, PADDING_BYTES_MAX)?;
        match rest.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(self.refuse(Code::BadField, "tar end", "something follows the end of the archive")),
        }
    }
}

/// Whether a name is that of a file beside all others.
pub(super) fn is_flat(name: &str) -> bool {
    let is_plain = |c: char| !matches!(c, '/' | '\\' | ':') && !c.is_control();
    !name.is_empty() && name != "." && name != ".." && name.chars().all(is_plain)
}

/// The key of the first record, `LENGTH KEY=VALUE\n`, and what follows that record.
fn record(records: &[u8]) -> Option<(&str, &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (whole, rest) = (records.get(..length)?, records.get(length..)?);
    let body = whole.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((std::str::from_utf8(&body[..equals]).ok()?, rest))
}

/// A number in octal digits, with blanks and zeros around it.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    u64::from_str_radix(text, 8).ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
