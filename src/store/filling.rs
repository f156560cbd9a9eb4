//! The packs one stream fills: one takes chunks while the one before it becomes durable.
//!
//! Invariant: a pack's row is committed only after its object is durable, packs are committed in
//! the order they were filled, and at most one waits for the medium. What is in them is known to
//! this stream at once, to others once it is committed; the last one is whoever publishes the
//! stream's to commit.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};

use super::error::Error;
use super::pack::{FinishedPack, PackWriter};
use super::pins::Held;
use super::realm::Realm;
use super::share::Share;
use super::{Store, thread};

/// Ordinals of the chunks in a pack that is not committed yet.
type Names = HashMap<[u8; 32], u32>;

/// Memory for a chunk while its pack is filled, in bytes: its place in the map and in the footer's lists,
/// which double as they grow, for this pack and for the one that is becoming durable.
const CHUNK_COST: usize = 320;

/// The packs of one stream. Must go before whatever holds their pins.
pub struct Filling {
    store: Store,
    realm: Realm,
    /// Memory for the names of chunks.
    names: Share,
    open: Option<(PackWriter, Names)>,
    closing: Option<Closing>,
    /// Length of the packs that are durable, in bytes.
    written_bytes: u64,
}

/// A pack that another thread makes durable and gives its row.
struct Closing {
    number: u64,
    names: Names,
    /// Its length in bytes.
    done: Receiver<Result<u64, Error>>,
}

impl Filling {
    /// No packs yet; they will be `realm`'s.
    pub fn new(store: Store, realm: Realm) -> Filling {
        let names = store.inner.names.join();
        Filling { names, store, realm, open: None, closing: None, written_bytes: 0 }
    }

    /// Where a chunk is that this stream stored a moment ago.
    pub fn find(&self, name: &[u8; 32]) -> Option<(u64, u32)> {
        let open = self.open.iter().map(|(pack, names)| (pack.number(), names));
        let closing = self.closing.iter().map(|pack| (pack.number, &pack.names));
        open.chain(closing).find_map(|(number, names)| names.get(name).map(|ordinal| (number, *ordinal)))
    }

    /// Stores a new chunk; says where. `held` pins what it goes into.
    pub fn add(&mut self, held: &mut Held, name: [u8; 32], chunk: &[u8]) -> Result<(u64, u32), Error> {
        if self.is_full()? {
            self.close()?;
        }
        let (pack, names) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert((self.store.start_pack(self.realm, held)?, Names::new())),
        };
        let ordinal = pack.push(name, chunk)?;
        names.insert(name, ordinal);
        Ok((pack.number(), ordinal))
    }

    /// Whether the open pack has its size, or as many chunks as this stream's share of memory can name.
    fn is_full(&mut self) -> Result<bool, Error> {
        let bytes_max = self.store.inner.options.pack_bytes;
        let chunks_max = self.names.bytes() / CHUNK_COST;
        match &mut self.open {
            Some((pack, names)) => Ok(names.len() >= chunks_max || pack.has_stored(bytes_max)?),
            None => Ok(false),
        }
    }

    /// Ends the open pack; every pack is durable and has its row.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.close()?;
        self.wait()
    }

    /// Ends the stream: every pack is durable and has its row, but for the last, which is handed over.
    pub fn finish(&mut self) -> Result<Option<FinishedPack>, Error> {
        let last = self.open.take().map(|(pack, _)| pack.finish()).transpose();
        self.wait()?;
        if let Ok(Some(last)) = &last {
            self.written_bytes += last.written.object_bytes;
        }
        last
    }

    /// Length of all packs that this stream has filled so far, in bytes.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Ends the open pack and goes on; waits where the one before it still needs the medium.
    fn close(&mut self) -> Result<(), Error> {
        self.wait()?;
        let Some((pack, names)) = self.open.take() else { return Ok(()) };
        let (number, store) = (pack.number(), self.store.clone());
        let (send, done) = sync_channel(1);
        thread::spawn("pack", move || {
            // There is room for the one answer, and nobody misses it where the stream is gone.
            let committed = pack.finish().and_then(|finished| {
                let bytes = finished.written.object_bytes;
                store.commit_pack(finished).map(|_| bytes)
            });
            let _ = send.send(committed);
        })?;
        self.closing = Some(Closing { number, names, done });
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Error> {
        if let Some(pack) = self.closing.take() {
            self.written_bytes += pack.done.recv().unwrap_or(Err(Error::Broken))?;
        }
        Ok(())
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // Also when the stream is abandoned: pins may not end before what they protect.
        let _ = self.done.recv();
    }
}
