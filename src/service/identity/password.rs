//! Passwords: never printed, wiped after use, hashed with Argon2id, a bounded number at a time.
//!
//! Invariant: checking a password costs the same whether the user exists or not.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::base::Entropy;
use crate::base::limits::PASSWORD_BYTES_MAX;
use crate::model::identity::PasswordHash;
use crate::service::{Error, ErrorKind};

/// Callers that may wait for a turn to hash. Each holds a thread; more would starve other work.
const WAITING_MAX: usize = 64;

/// A password in clear. Wiped when dropped; has no `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);

impl Password {
    /// Takes a password a caller gave.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is longer than [`PASSWORD_BYTES_MAX`].
    pub fn new(text: String) -> Result<Password, Error> {
        let password = Password(text);
        if password.0.len() > PASSWORD_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a password may have at most {PASSWORD_BYTES_MAX} bytes; choose a shorter one"
            )));
        }
        Ok(password)
    }

    /// Makes one with 128 bits of randomness, from letters and digits that are hard to confuse.
    pub fn generate(entropy: &dyn Entropy) -> Password {
        // 32 letters carry 5 bits each, without modulo bias; 26 of them make 130 bits.
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut random = [0; 26];
        entropy.fill(&mut random);
        let text = random.iter().map(|&byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
        random.zeroize();
        Password(text)
    }

    /// The clear text, for the one file that shows it to the administrator.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What one Argon2id hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// OWASP's recommendation: 19 MiB, two passes; some tens of milliseconds.
    fn default() -> PasswordCost {
        PasswordCost { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Hashes and checks passwords, a few at a time. Blocks.
pub(in crate::service) struct Hasher {
    cost: PasswordCost,
    gate: Gate,
}

impl Hasher {
    pub(in crate::service) fn new(cost: PasswordCost, at_once: usize) -> Hasher {
        Hasher { cost, gate: Gate::new(at_once) }
    }

    /// A new password's hash.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty password, [`ErrorKind::Unavailable`] when too many wait.
    pub(super) fn hash(&self, password: &Password, entropy: &dyn Entropy) -> Result<PasswordHash, Error> {
        if password.0.is_empty() {
            return Err(Error::invalid("a password must not be empty; choose one, or leave it out"));
        }
        self.hash_with(password, &entropy.id())
    }

    /// Whether `password` belongs to `hash`. Without a hash it is as slow, and false.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when too many wait.
    pub(super) fn matches(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<bool, Error> {
        let Some(hash) = hash else {
            self.hash_with(password, &[0; 16])?;
            return Ok(false);
        };
        let _turn = self.gate.enter()?;
        let parsed = phc::PasswordHash::new(&hash.0).map_err(internal)?;
        Ok(self.argon()?.verify_password(password.0.as_bytes(), &parsed).is_ok())
    }

    fn hash_with(&self, password: &Password, salt: &[u8]) -> Result<PasswordHash, Error> {
        let _turn = self.gate.enter()?;
        let argon = self.argon()?;
        let hash = argon.hash_password_with_salt(password.0.as_bytes(), salt).map_err(internal)?;
        Ok(PasswordHash(hash.to_string()))
    }

    fn argon(&self) -> Result<Argon2<'static>, Error> {
        let params = Params::new(self.cost.memory_kib, self.cost.passes, 1, None).map_err(internal)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

fn internal(cause: impl std::fmt::Display) -> Error {
    Error {
        kind: ErrorKind::Internal,
        message: "the server could not hash a password".into(),
        internal: Some(cause.to_string()),
        reason: None,
    }
}

/// Lets a few in at once, a bounded number wait, and turns the rest away.
struct Gate {
    at_once: usize,
    crowd: Mutex<Crowd>,
    left: Condvar,
}

#[derive(Default)]
struct Crowd {
    inside: usize,
    waiting: usize,
}

impl Gate {
    fn new(at_once: usize) -> Gate {
        Gate { at_once: at_once.max(1), crowd: Mutex::default(), left: Condvar::new() }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Result<Turn<'_>, Error> {
        let mut crowd = self.crowd();
        if crowd.inside >= self.at_once {
            if crowd.waiting >= WAITING_MAX {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "too many sign-ins at once; try again in a few seconds",
                ));
            }
            crowd.waiting += 1;
            let full = |crowd: &mut Crowd| crowd.inside >= self.at_once;
            crowd = self.left.wait_while(crowd, full).unwrap_or_else(PoisonError::into_inner);
            crowd.waiting -= 1;
        }
        crowd.inside += 1;
        Ok(Turn(self))
    }
}

struct Turn<'a>(&'a Gate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.crowd().inside -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::OsEntropy;

    fn cheap(at_once: usize) -> Hasher {
        Hasher::new(PasswordCost { memory_kib: 8, passes: 1 }, at_once)
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap_or_else(|_| unreachable!())
    }

    #[test]
    fn only_the_right_password_matches() {
        let hasher = cheap(1);
        let hash = hasher.hash(&password("right"), &OsEntropy).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", hash.0);
        assert!(hasher.matches(&password("right"), Some(&hash)).unwrap());
        assert!(!hasher.matches(&password("wrong"), Some(&hash)).unwrap());
        assert!(!hasher.matches(&password("right"), None).unwrap());
    }

    #[test]
    fn a_hash_made_at_another_cost_still_checks() {
        let hash = cheap(1).hash(&password("right"), &OsEntropy).unwrap();
        let dearer = Hasher::new(PasswordCost { memory_kib: 16, passes: 2 }, 1);
        assert!(dearer.matches(&password("right"), Some(&hash)).unwrap());
    }

    #[test]
    fn empty_and_endless_passwords_are_refused() {
        assert!(cheap(1).hash(&password(""), &OsEntropy).is_err());
        assert!(Password::new("x".repeat(PASSWORD_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn generated_passwords_differ() {
        let (one, two) = (Password::generate(&OsEntropy), Password::generate(&OsEntropy));
        assert_eq!(one.expose().len(), 26);
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn no_more_than_allowed_are_inside_and_the_queue_is_bounded() {
        let gate = Gate::new(2);
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let _turn = gate.enter().unwrap();
                    most.fetch_max(gate.crowd().inside, Ordering::Relaxed);
                });
            }
        });
        assert!(most.into_inner() <= 2);
        let _turns = (gate.enter().unwrap(), gate.enter().unwrap());
        gate.crowd().waiting = WAITING_MAX;
        assert_eq!(gate.enter().err().map(|e| e.kind), Some(ErrorKind::Unavailable));
    }
}
