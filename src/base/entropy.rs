//! Randomness, injected: ids, salts, tokens and keys all come through here.

/// A source of random bytes. The product's source is the operating system's; tests seed one.
pub trait Entropy: Send + Sync {
    /// Fills `out` with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);

    /// Sixteen random bytes: an object id, or the raw form of a version 4 UUID.
    fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        self.fill(&mut id);
        id
    }

    /// A random version 4 UUID.
    fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.id()).into_uuid()
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) {
        // A machine without randomness can neither make ids nor keys: nothing useful is left to do.
        #[allow(clippy::expect_used, clippy::disallowed_methods)]
        getrandom::fill(out).expect("the operating system gives no randomness");
    }
}
