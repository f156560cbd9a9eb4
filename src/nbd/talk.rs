//! Options one by one: what each of them is answered with.
//!
//! Invariant: an option is read whole, or passed over, before it is answered, so that the next one is found. Must not know
//! which options there may be before TLS.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exports::{Disk, Exports, Listed, Refusal};
use super::negotiation::{
    ALLOCATION, ALLOCATION_ID, Agreed, Greeted, Outcome, PREFERRED_BYTES, REQUEST_BYTES_MAX, Tls, flags_of,
};
use super::options::{self, Contexts, Wanted};
use super::wire::{self, answer, info, option};

/// Longest option that is read, in bytes: a few queries beside a name.
pub(super) const OPTION_BYTES_MAX: u32 = 16 << 10;
/// Longest option that is passed over, in bytes; after a longer one the client is left.
const PASSED_BYTES_MAX: u32 = 1 << 20;

/// The next thing a client says.
pub(super) enum Next {
    /// An option and its data.
    Option(u32, Vec<u8>),
    /// One that was too long, and was refused.
    Passed,
    /// No option, or none that can be answered.
    Nonsense,
}

/// What both sides have said so far.
pub(super) struct Talk<'t, S, E: Exports> {
    stream: &'t mut S,
    exports: &'t E,
    greeted: Greeted,
    pub(super) is_structured: bool,
    /// The export that block status was chosen for.
    contexts: Option<String>,
    /// The export that was asked about last.
    known: Option<(String, Arc<E::Disk>)>,
}

impl<'t, S: AsyncRead + AsyncWrite + Unpin + Send, E: Exports> Talk<'t, S, E> {
    pub(super) fn new(stream: &'t mut S, exports: &'t E, greeted: Greeted) -> Talk<'t, S, E> {
        Talk { stream, exports, greeted, is_structured: false, contexts: None, known: None }
    }

    pub(super) async fn next_option(&mut self) -> io::Result<Next> {
        if self.stream.read_u64().await? != wire::OPTION {
            return Ok(Next::Nonsense);
        }
        let (code, length) = (self.stream.read_u32().await?, self.stream.read_u32().await?);
        // The old way has no answer but the export, or the end.
        let longest = if code == option::EXPORT_NAME { OPTION_BYTES_MAX } else { PASSED_BYTES_MAX };
        if length > longest {
            return Ok(Next::Nonsense);
        }
        if length > OPTION_BYTES_MAX {
            let mut rest = (&mut *self.stream).take(length.into());
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
            self.refuse(code, answer::TOO_BIG, "the option is too long").await?;
            return Ok(Next::Passed);
        }
        let mut data = vec![0; length as usize];
        self.stream.read_exact(&mut data).await?;
        Ok(Next::Option(code, data))
    }

    pub(super) async fn answer(&mut self, code: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let mut bytes = wire::OPTION_REPLY.to_be_bytes().to_vec();
        bytes.extend(code.to_be_bytes());
        bytes.extend(kind.to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(data);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    pub(super) async fn refuse(&mut self, code: u32, kind: u32, why: &str) -> io::Result<()> {
        self.answer(code, kind, why.as_bytes()).await
    }

    async fn refuse_export(&mut self, code: u32, refusal: &Refusal) -> io::Result<()> {
        match refusal {
            Refusal::Unknown => self.refuse(code, answer::UNKNOWN, "there is no such export").await,
            Refusal::Policy(why) => self.refuse(code, answer::POLICY, why).await,
            Refusal::Shutdown => self.refuse(code, answer::SHUTDOWN, "the server ends").await,
        }
    }

    pub(super) async fn starts_tls(&mut self, data: &[u8], tls: Tls) -> io::Result<bool> {
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

    pub(super) async fn list(&mut self, data: &[u8]) -> io::Result<()> {
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

    pub(super) async fn export_name(&mut self, data: &[u8]) -> io::Result<Outcome<E::Disk>> {
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

    pub(super) async fn info(&mut self, code: u32, data: &[u8]) -> io::Result<Option<Agreed<E::Disk>>> {
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

    pub(super) async fn contexts(&mut self, code: u32, data: &[u8]) -> io::Result<()> {
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
