//! Going on after a transfer broke: how long to wait, and when to give up.
//!
//! Invariant: only failures that time or a new sign-in may mend are tried again, and never for ever.

use std::time::Duration;

use super::super::client::Client;
use super::super::failure::{Failure, Remedy};

/// The first pause; each failure in a row doubles it.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(15);
/// Failures in a row, without a byte in between, after which it is given up: some three minutes.
const FAILURES_MAX: u32 = 16;

/// The patience of one transfer.
#[derive(Debug, Default)]
pub struct Patience {
    failures: u32,
    reached: u64,
}

impl Patience {
    /// Waits as long as this failure calls for; gives it back when there is no use in waiting.
    /// `reached` is how far the transfer has come.
    pub async fn wait(
        &mut self,
        client: &Client,
        failure: Failure,
        reached: u64,
        tell: impl FnOnce(&str),
    ) -> Result<(), Failure> {
        let mends = matches!(failure.remedy, Remedy::Patience | Remedy::SignIn);
        if !mends || !self.lasts(reached) {
            return Err(failure);
        }
        tell(&format!("{failure}; trying again"));
        tokio::time::sleep(self.pause()).await;
        if failure.remedy == Remedy::SignIn {
            match client.sign_in_again().await {
                Err(refusal) if refusal.remedy != Remedy::Patience => return Err(refusal),
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts a failure; whether there may be another try.
    fn lasts(&mut self, reached: u64) -> bool {
        if reached > self.reached {
            (self.failures, self.reached) = (0, reached);
        }
        self.failures += 1;
        self.failures <= FAILURES_MAX
    }

    fn pause(&self) -> Duration {
        let doubled = FIRST.saturating_mul(2u32.saturating_pow(self.failures.saturating_sub(1)));
        doubled.min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_without_progress_and_begins_anew_with_it() {
        let mut patience = Patience::default();
        assert!((0..FAILURES_MAX).all(|_| patience.lasts(0)));
        assert_eq!(patience.pause(), LONGEST);
        assert!(patience.lasts(1));
        assert_eq!(patience.pause(), FIRST);
        assert!((1..FAILURES_MAX).all(|_| patience.lasts(1)));
        assert!(!patience.lasts(1));
    }
}
