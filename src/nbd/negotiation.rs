//! The first words of a connection: which export, with or without TLS, and what both sides know of the protocol.
//!
//! Invariants: an option takes no more memory than a name does, there are not more than so many of them, and nothing is
//! told of exports where TLS has to come first. Who calls sees to it that all of it takes no more than its time. Must not
//! know what an export is made of.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exports::{Disk, Exports, Listed, Refusal};
use super::options::{self, Contexts, Wanted};
use super::wire::{self, FIXED_NEWSTYLE, NO_ZEROES, answer, export_flag, info, option};

/// Longest option that is read, in bytes: a few queries beside a name.
const OPTION_BYTES_MAX: u32 = 16 << 10;
/// Longest option that is passed over, in bytes; after a longer one the client is left.
const PASSED_BYTES_MAX: u32 = 1 << 20;
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
    no_zeroes: bool,
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
    let mut talk = Talk { stream, exports, greeted, is_structured: false, contexts: None, known: None };
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

/// The next thing a client says.
enum Next {
    /// An option and its data.
    Option(u32, Vec<u8>),
    /// One that was too long, and was refused.
    Passed,
    /// No option.
    Nonsense,
}

struct Talk<'t, S, E: Exports> {
    stream: &'t mut S,
    exports: &'t E,
    greeted: Greeted,
    is_structured: bool,
    /// The export that block status was chosen for.
    contexts: Option<String>,
    /// The export that was asked about last.
    known: Option<(String, Arc<E::Disk>)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, E: Exports> Talk<'_, S, E> {
    async fn next_option(&mut self) -> io::Result<Next> {
        if self.stream.read_u64().await? != wire::OPTION {
            return Ok(Next::Nonsense);
        }
        let (code, length) = (self.stream.read_u32().await?, self.stream.read_u32().await?);
        if length > PASSED_BYTES_MAX {
            return Ok(Next::Nonsense);
        }
        if length > OPTION_BYTES_MAX {
            let mut rest = (&mut *self.stream).take(length.into());
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
            self.refuse(code, answer::TOO_BIG, "the option is too long").await?;
            // The old way has no answer but the export.
            return Ok(if code == option::EXPORT_NAME { Next::Nonsense } else { Next::Passed });
        }
        let mut data = vec![0; length as usize];
        self.stream.read_exact(&mut data).await?;
        Ok(Next::Option(code, data))
    }

    async fn answer(&mut self, code: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let mut bytes = wire::OPTION_REPLY.to_be_bytes().to_vec();
        bytes.extend(code.to_be_bytes());
        bytes.extend(kind.to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(data);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    async fn refuse(&mut self, code: u32, kind: u32, why: &str) -> io::Result<()> {
        self.answer(code, kind, why.as_bytes()).await
    }

    async fn refuse_export(&mut self, code: u32, refusal: &Refusal) -> io::Result<()> {
        match refusal {
            Refusal::Unknown => self.refuse(code, answer::UNKNOWN, "there is no such export").await,
            Refusal::Policy(why) => self.refuse(code, answer::POLICY, why).await,
            Refusal::Shutdown => self.refuse(code, answer::SHUTDOWN, "the server ends").await,
        }
    }

    async fn starts_tls(&mut self, data: &[u8], tls: Tls) -> io::Result<bool> {
        let code = option::STARTTLS;
        match tls {
            _ if !data.is_empty() => self.refuse(code, answer::INVALID, "it takes no data").await?,
            Tls::None => self.refuse(code, answer::UNSUPPORTED, "this server has no certificate").await?,
            Tls::Begun => self.refuse(code, answer::INVALID, "TLS has begun already").await?,
            Tls::Required => {
                self.answer(code, answer::ACK, &[]).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn list(&mut self, data: &[u8]) -> io::Result<()> {
        if !data.is_empty() {
            return self.refuse(option::LIST, answer::INVALID, "it takes no data").await;
        }
        match self.exports.list().await {
            Ok(exports) => {
                for Listed { name, description } in exports {
                    let mut server = (name.len() as u32).to_be_bytes().to_vec();
                    server.extend(name.as_bytes());
                    server.extend(description.as_bytes());
                    self.answer(option::LIST, answer::SERVER, &server).await?;
                }
                self.answer(option::LIST, answer::ACK, &[]).await
            }
            Err(refusal) => self.refuse_export(option::LIST, &refusal).await,
        }
    }

    /// The export of this name, opened once for all that a client asks about it.
    async fn open(&mut self, name: &str) -> Result<Arc<E::Disk>, Refusal> {
        if let Some((known, disk)) = &self.known
            && known == name
        {
            return Ok(disk.clone());
        }
        // What was asked about before is let go of first.
        self.known = None;
        let disk = self.exports.open(name).await?;
        self.known = Some((name.to_owned(), disk.clone()));
        Ok(disk)
    }

    fn agreed(&mut self, name: &str, disk: Arc<E::Disk>) -> Agreed<E::Disk> {
        let has_allocation = self.is_structured && self.contexts.as_deref() == Some(name);
        self.known = None;
        Agreed { disk, is_structured: self.is_structured, has_allocation }
    }

    async fn export_name(&mut self, data: &[u8]) -> io::Result<Outcome<E::Disk>> {
        let Some(name) = options::export_name(data) else { return Ok(Outcome::Left) };
        let Ok(disk) = self.open(name).await else { return Ok(Outcome::Left) };
        let mut bytes = disk.size_bytes().to_be_bytes().to_vec();
        bytes.extend(flags_of(&*disk, self.is_structured).to_be_bytes());
        if !self.greeted.no_zeroes {
            bytes.resize(bytes.len() + 124, 0);
        }
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        Ok(Outcome::Agreed(self.agreed(name, disk)))
    }

    async fn info(&mut self, code: u32, data: &[u8]) -> io::Result<Option<Agreed<E::Disk>>> {
        let Some(Wanted { name, infos }) = options::wanted(data) else {
            self.refuse(code, answer::INVALID, "it is a name, and numbers of what to tell of it").await?;
            return Ok(None);
        };
        let disk = match self.open(name).await {
            Ok(disk) => disk,
            Err(refusal) => {
                self.refuse_export(code, &refusal).await?;
                return Ok(None);
            }
        };
        let mut export = info::EXPORT.to_be_bytes().to_vec();
        export.extend(disk.size_bytes().to_be_bytes());
        export.extend(flags_of(&*disk, self.is_structured).to_be_bytes());
        self.answer(code, answer::INFO, &export).await?;
        if infos.contains(&info::NAME) {
            let told = [&info::NAME.to_be_bytes()[..], name.as_bytes()].concat();
            self.answer(code, answer::INFO, &told).await?;
        }
        if infos.contains(&info::DESCRIPTION) {
            let told = [&info::DESCRIPTION.to_be_bytes()[..], disk.description().as_bytes()].concat();
            self.answer(code, answer::INFO, &told).await?;
        }
        if infos.contains(&info::BLOCK_SIZE) {
            let mut sizes = info::BLOCK_SIZE.to_be_bytes().to_vec();
            [1, PREFERRED_BYTES, REQUEST_BYTES_MAX].iter().for_each(|size| sizes.extend(size.to_be_bytes()));
            self.answer(code, answer::INFO, &sizes).await?;
        }
        self.answer(code, answer::ACK, &[]).await?;
        Ok((code == option::GO).then(|| self.agreed(name, disk)))
    }

    async fn contexts(&mut self, code: u32, data: &[u8]) -> io::Result<()> {
        if !self.is_structured {
            return self.refuse(code, answer::INVALID, "structured replies come first").await;
        }
        if code == option::SET_META_CONTEXT {
            self.contexts = None;
        }
        let Some(Contexts { name, queries }) = options::contexts(data) else {
            return self.refuse(code, answer::INVALID, "it is a name, and queries").await;
        };
        if let Err(refusal) = self.open(name).await {
            return self.refuse_export(code, &refusal).await;
        }
        let is_list = code == option::LIST_META_CONTEXT;
        let all = is_list && queries.is_empty();
        if all || queries.iter().any(|query| *query == ALLOCATION || (is_list && *query == "base:")) {
            let told = [&ALLOCATION_ID.to_be_bytes()[..], ALLOCATION.as_bytes()].concat();
            self.answer(code, answer::META_CONTEXT, &told).await?;
            if !is_list {
                self.contexts = Some(name.to_owned());
            }
        }
        self.answer(code, answer::ACK, &[]).await
    }
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
