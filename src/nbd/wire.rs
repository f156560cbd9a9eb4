//! The numbers of the protocol, and its headers as bytes: <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>.
//!
//! Invariant: nothing here decides anything. Must not know where bytes come from.

/// The server's first word.
pub const NEGOTIATION: u64 = u64::from_be_bytes(*b"NBDMAGIC");
/// What stands before each option.
pub const OPTION: u64 = u64::from_be_bytes(*b"IHAVEOPT");
/// What stands before each answer to an option.
pub const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
/// What stands before each request.
pub const REQUEST: u32 = 0x2560_9513;
/// What stands before a simple reply.
pub const SIMPLE_REPLY: u32 = 0x6744_6698;
/// What stands before each chunk of a structured reply.
pub const STRUCTURED_REPLY: u32 = 0x668e_33ef;

/// Flags of both sides before anything else: errors are told, and options go on after them.
pub const FIXED_NEWSTYLE: u16 = 1;
/// Likewise: no 124 zeros after the answer to [`option::EXPORT_NAME`].
pub const NO_ZEROES: u16 = 2;

/// Options of a client.
pub mod option {
    /// Ends the negotiation, the old way: there is no answer but the export, or the end.
    pub const EXPORT_NAME: u32 = 1;
    /// Ends the connection.
    pub const ABORT: u32 = 2;
    /// Asks which exports there are.
    pub const LIST: u32 = 3;
    /// Asks for TLS from here on.
    pub const STARTTLS: u32 = 5;
    /// Asks about an export.
    pub const INFO: u32 = 6;
    /// Ends the negotiation with an export.
    pub const GO: u32 = 7;
    /// Asks for structured replies.
    pub const STRUCTURED_REPLY: u32 = 8;
    /// Asks which contexts of block status there are.
    pub const LIST_META_CONTEXT: u32 = 9;
    /// Chooses contexts of block status.
    pub const SET_META_CONTEXT: u32 = 10;
}

/// Answers to options.
pub mod answer {
    /// Done.
    pub const ACK: u32 = 1;
    /// An export.
    pub const SERVER: u32 = 2;
    /// A word about an export.
    pub const INFO: u32 = 3;
    /// A context of block status.
    pub const META_CONTEXT: u32 = 4;
    const ERROR: u32 = 1 << 31;
    /// No such option here.
    pub const UNSUPPORTED: u32 = ERROR | 1;
    /// Not allowed.
    pub const POLICY: u32 = ERROR | 2;
    /// The option makes no sense as it is.
    pub const INVALID: u32 = ERROR | 3;
    /// Not without TLS.
    pub const TLS_REQUIRED: u32 = ERROR | 5;
    /// No such export.
    pub const UNKNOWN: u32 = ERROR | 6;
    /// The server ends.
    pub const SHUTDOWN: u32 = ERROR | 7;
    /// The option is too long.
    pub const TOO_BIG: u32 = ERROR | 9;
}

/// Words about an export.
pub mod info {
    /// Its size and flags.
    pub const EXPORT: u16 = 0;
    /// Its name.
    pub const NAME: u16 = 1;
    /// What people may read of it.
    pub const DESCRIPTION: u16 = 2;
    /// Which sizes of requests it takes.
    pub const BLOCK_SIZE: u16 = 3;
}

/// Flags of an export.
pub mod export_flag {
    /// There are flags.
    pub const HAS_FLAGS: u16 = 1;
    /// Nothing can be written.
    pub const READ_ONLY: u16 = 1 << 1;
    /// Flushes are taken.
    pub const FLUSH: u16 = 1 << 2;
    /// Requests may ask to be durable before they are answered.
    pub const FUA: u16 = 1 << 3;
    /// Trims are taken.
    pub const TRIM: u16 = 1 << 5;
    /// Zeros can be written without sending them.
    pub const WRITE_ZEROES: u16 = 1 << 6;
    /// A read may ask for one chunk.
    pub const DONT_FRAGMENT: u16 = 1 << 7;
    /// Several connections see the same.
    pub const MULTI_CONN: u16 = 1 << 8;
    /// Data can be asked to be near.
    pub const CACHE: u16 = 1 << 10;
    /// Zeros can be asked for only where that is fast.
    pub const FAST_ZERO: u16 = 1 << 11;
}

/// Requests.
pub mod command {
    /// Bytes, please.
    pub const READ: u16 = 0;
    /// Here are bytes.
    pub const WRITE: u16 = 1;
    /// The client leaves.
    pub const DISCONNECT: u16 = 2;
    /// All that was answered is to be durable.
    pub const FLUSH: u16 = 3;
    /// The client does not need these bytes.
    pub const TRIM: u16 = 4;
    /// The client will read these bytes.
    pub const CACHE: u16 = 5;
    /// These bytes are zeros now.
    pub const WRITE_ZEROES: u16 = 6;
    /// What is known of these bytes?
    pub const BLOCK_STATUS: u16 = 7;
}

/// Flags of requests.
pub mod command_flag {
    /// Durable before it is answered.
    pub const FUA: u16 = 1;
    /// Zeros take their space.
    pub const NO_HOLE: u16 = 1 << 1;
    /// One chunk.
    pub const DONT_FRAGMENT: u16 = 1 << 2;
    /// One extent.
    pub const REQUEST_ONE: u16 = 1 << 3;
    /// Only where it is fast.
    pub const FAST_ZERO: u16 = 1 << 4;
}

/// Kinds of chunks.
pub mod chunk {
    /// Nothing: an end alone.
    pub const NONE: u16 = 0;
    /// Bytes.
    pub const OFFSET_DATA: u16 = 1;
    /// Zeros.
    pub const OFFSET_HOLE: u16 = 2;
    /// Extents.
    pub const BLOCK_STATUS: u16 = 5;
    /// From here on kinds tell that it did not work.
    pub const ERRORS: u16 = 1 << 15;
    /// It did not work.
    pub const ERROR: u16 = ERRORS | 1;
    /// The flag of the last chunk.
    pub const DONE: u16 = 1;
}

/// What is known of an extent in the context `base:allocation`: nothing is allocated, and it reads as zeros.
pub const HOLE_OF_ZEROS: u32 = 0b11;
/// The part of it that says that it reads as zeros.
pub const READS_AS_ZEROS: u32 = 0b10;

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Errno {
    /// Not permitted.
    Permission = 1,
    /// It cannot be read.
    Io = 5,
    /// The request makes no sense.
    Invalid = 22,
    /// There is no room.
    NoSpace = 28,
    /// Too much at once.
    Overflow = 75,
    /// The server ends.
    Shutdown = 108,
}

/// Length of a request's header.
pub const REQUEST_BYTES: usize = 28;
/// Length of a simple reply's header.
pub const SIMPLE_BYTES: usize = 16;
/// Length of the header of a chunk.
pub const CHUNK_BYTES: usize = 20;
/// Length of the header of a chunk with bytes, their offset included.
pub const DATA_CHUNK_BYTES: usize = CHUNK_BYTES + 8;

/// A request without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// See [`command_flag`].
    pub flags: u16,
    /// See [`command`].
    pub command: u16,
    /// What the reply to it is told by.
    pub cookie: u64,
    /// Where.
    pub offset: u64,
    /// How many bytes.
    pub length: u32,
}

impl Request {
    /// Reads a header; `None` where it is none.
    pub fn parse(bytes: &[u8; REQUEST_BYTES]) -> Option<Request> {
        let mut fields = Fields(bytes);
        if fields.u32()? != REQUEST {
            return None;
        }
        Some(Request {
            flags: fields.u16()?,
            command: fields.u16()?,
            cookie: fields.u64()?,
            offset: fields.u64()?,
            length: fields.u32()?,
        })
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// The header of a simple reply; 0 is success.
pub fn simple_reply(cookie: u64, error: u32) -> [u8; SIMPLE_BYTES] {
    let mut bytes = [0; SIMPLE_BYTES];
    bytes[..4].copy_from_slice(&SIMPLE_REPLY.to_be_bytes());
    bytes[4..8].copy_from_slice(&error.to_be_bytes());
    bytes[8..].copy_from_slice(&cookie.to_be_bytes());
    bytes
}

/// The header of a chunk with `length` bytes after it.
pub fn chunk_header(cookie: u64, kind: u16, is_last: bool, length: u32) -> [u8; CHUNK_BYTES] {
    let mut bytes = [0; CHUNK_BYTES];
    bytes[..4].copy_from_slice(&STRUCTURED_REPLY.to_be_bytes());
    bytes[4..6].copy_from_slice(&(if is_last { chunk::DONE } else { 0 }).to_be_bytes());
    bytes[6..8].copy_from_slice(&kind.to_be_bytes());
    bytes[8..16].copy_from_slice(&cookie.to_be_bytes());
    bytes[16..].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// Numbers and texts off a message, one after the other; `None` where it ends too early.
pub struct Fields<'m>(pub &'m [u8]);

impl<'m> Fields<'m> {
    /// The next so many bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'m [u8]> {
        let (now, later) = self.0.split_at_checked(count)?;
        self.0 = later;
        Some(now)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// A number of two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A number of four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text, with its length before it.
    pub fn text(&mut self) -> Option<&'m str> {
        let length = self.u32()?;
        std::str::from_utf8(self.bytes(usize::try_from(length).ok()?)?).ok()
    }
}
