//! The first words of a connection: which export, with or without TLS, and what both sides know of the protocol.
//!
//! Invariants: an option takes no more memory than a name does, there are not more than so many of them, and nothing is
//! told of exports where TLS has to come first. Who calls sees to it that all of it takes no more than its time. Must not
//! know what an export is made of.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exports::{Disk, Exports};
use super::talk::{Next, Talk};
use super::wire::{self, FIXED_NEWSTYLE, NO_ZEROES, answer, export_flag, option};

/// Options of one client, at most.
const OPTIONS_MAX: usize = 4096;
/// What a client is told of the sizes of requests: any, 4 KiB at best, and no more than all clients take for granted.
pub const PREFERRED_BYTES: u32 = 4096;
/// See [`PREFERRED_BYTES`].
pub const REQUEST_BYTES_MAX: u32 = 32 << 20;
/// The number of the one context of block status.
pub const ALLOCATION_ID: u32 = 1;
/// Its name.
pub const ALLOCATION: &str = "base:allocation";

/// How TLS stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// There is none here.
    None,
    /// It has to begin before anything else.
    Required,
    /// It has begun.
    Begun,
}

/// What a client agreed on.
pub struct Agreed<D> {
    /// Its disk.
    pub disk: Arc<D>,
    /// Whether it takes structured replies.
    pub is_structured: bool,
    /// Whether it asks for block status.
    pub has_allocation: bool,
}

/// How a negotiation ends.
pub enum Outcome<D> {
    /// With an export.
    Agreed(Agreed<D>),
    /// With TLS, in which it begins anew.
    StartTls,
    /// Without anything: the client left, or was told to.
    Left,
}

/// The flags that a client is told of a disk.
pub fn flags_of(disk: &impl Disk, is_structured: bool) -> u16 {
    use export_flag::{
        CACHE, DONT_FRAGMENT, FAST_ZERO, FLUSH, FUA, HAS_FLAGS, MULTI_CONN, READ_ONLY, TRIM, WRITE_ZEROES,
    };
    let structured = if is_structured { DONT_FRAGMENT } else { 0 };
    // What one connection writes no other sees.
    let access = match disk.is_writable() {
        true => FUA | TRIM | WRITE_ZEROES | FAST_ZERO,
        false => READ_ONLY | MULTI_CONN,
    };
    HAS_FLAGS | FLUSH | CACHE | access | structured
}

/// Says the first word. Comes before [`negotiate`], and not again after TLS has begun.
///
/// # Errors
/// When the connection breaks.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<Option<Greeted>> {
    let mut hello = wire::NEGOTIATION.to_be_bytes().to_vec();
    hello.extend(wire::OPTION.to_be_bytes());
    hello.extend((FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes());
    stream.write_all(&hello).await?;
    stream.flush().await?;
    let flags = stream.read_u32().await?;
    let known = u32::from(FIXED_NEWSTYLE | NO_ZEROES);
    // Who says words that are not known cannot be understood.
    Ok((flags & !known == 0).then_some(Greeted { no_zeroes: flags & u32::from(NO_ZEROES) != 0 }))
}

/// What the client's first word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeted {
    /// Whether it does without zeros after the old way's answer.
    pub no_zeroes: bool,
}

/// Answers options until one of them ends it.
///
/// # Errors
/// When the connection breaks.
pub async fn negotiate<S, E>(
    stream: &mut S,
    greeted: Greeted,
    exports: &E,
    tls: Tls,
) -> io::Result<Outcome<E::Disk>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    E: Exports,
{
    let mut talk = Talk::new(stream, exports, greeted);
    for _ in 0..OPTIONS_MAX {
        let (code, data) = match talk.next_option().await? {
            Next::Option(code, data) => (code, data),
            Next::Passed => continue,
            Next::Nonsense => return Ok(Outcome::Left),
        };
        match code {
            option::ABORT => {
                talk.answer(code, answer::ACK, &[]).await?;
                return Ok(Outcome::Left);
            }
            option::STARTTLS => {
                if talk.starts_tls(&data, tls).await? {
                    return Ok(Outcome::StartTls);
                }
            }
            // The old way has no words for a refusal.
            option::EXPORT_NAME if tls == Tls::Required => return Ok(Outcome::Left),
            _ if tls == Tls::Required => {
                talk.refuse(code, answer::TLS_REQUIRED, "this server talks of exports inside TLS alone")
                    .await?;
            }
            option::EXPORT_NAME => return talk.export_name(&data).await,
            option::INFO | option::GO => {
                if let Some(agreed) = talk.info(code, &data).await? {
                    return Ok(Outcome::Agreed(agreed));
                }
            }
            option::LIST => talk.list(&data).await?,
            option::STRUCTURED_REPLY if !data.is_empty() => {
                talk.refuse(code, answer::INVALID, "it takes no data").await?;
            }
            option::STRUCTURED_REPLY => {
                talk.is_structured = true;
                talk.answer(code, answer::ACK, &[]).await?;
            }
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => talk.contexts(code, &data).await?,
            _ => talk.refuse(code, answer::UNSUPPORTED, "this server has no such option").await?,
        }
    }
    Ok(Outcome::Left)
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
